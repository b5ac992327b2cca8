/**
 * Takes a few requests per turn of the event loop from one connection, and stops reading it while
 * more of them wait.
 *
 * A connection may bring hundreds of requests without waiting for their responses. Browsers and
 * proxies do not do that, but attackers may. Node keeps the responses in order.
 */
import type { Duplex } from "node:stream"

import { setImmediate } from "../../internal/turn.ts"
import { TurnCount } from "./turnCount.ts"

/** The number of requests of one connection in one turn. */
const TURN_REQUESTS = 8

/** The number of requests that may wait: those of one read, and a few more. */
const MAX_WAITING = 2_048

const WAITING = Symbol("waiting")

type Connection = Duplex & { [WAITING]?: Array<() => void> | undefined }

const requests = new TurnCount()

/** Takes a request of the connection: now, or after the waiting ones. */
export const take = (connection: Connection, run: () => void): void => {
  const waiting = connection[WAITING]
  if (waiting !== undefined) {
    // Reading a body makes Node read on, so the bound can be exceeded.
    if (waiting.push(run) > MAX_WAITING) connection.destroy()
    else connection.pause()
    return
  }
  if (requests.add(connection) <= TURN_REQUESTS) return run()
  connection[WAITING] = [run]
  connection.pause()
  setImmediate(goOn, connection)
}

/** Whether requests of the connection wait. */
export const isWaiting = (connection: Connection): boolean => connection[WAITING] !== undefined

const goOn = (connection: Connection): void => {
  const waiting = connection[WAITING]!
  if (connection.destroyed) {
    connection[WAITING] = undefined
    return
  }
  for (const run of waiting.splice(0, TURN_REQUESTS)) run()
  if (waiting.length > 0) {
    connection.pause()
    setImmediate(goOn, connection)
    return
  }
  connection[WAITING] = undefined
  connection.resume()
}
