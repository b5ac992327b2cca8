/**
 * One connection may bring hundreds of requests at once, each behind the other: browsers and proxies do not, attackers may. It is given a few
 * of them per turn of the event loop, and not read while more of them wait. Node puts the responses in their order.
 */
import type { Duplex } from "node:stream"

import { setImmediate } from "./turn.ts"
import * as Turn from "./turn.ts"

/** The requests that one connection is given in one turn. */
const TURN_REQUESTS = 8

/** The requests that may wait: what one read has brought, and a little more. */
const MAX_WAITING = 2_048

const WAITING = Symbol("waiting")

type Connection = Duplex & { [WAITING]?: Array<() => void> | undefined }

/** The connection that has brought a request last, and how many it has in this turn: what one of them brings comes in a row. */
let last: Connection | undefined
let turn = -1
let count = 0

const forgetting: Turn.TurnTask = {
  onTurnEnd: () => {
    last = undefined
  },
  onDefect: () => {}
}

/** Takes a request of the connection: now, or behind those that wait. */
export const take = (connection: Connection, run: () => void): void => {
  const waiting = connection[WAITING]
  if (waiting !== undefined) {
    // A body that is read has Node read on.
    if (waiting.push(run) > MAX_WAITING) connection.destroy()
    else connection.pause()
    return
  }
  if (last !== connection) {
    last = connection
    count = 0
    if (turn !== Turn.turn) {
      turn = Turn.turn
      Turn.atTurnEnd(forgetting)
    }
  }
  if (++count <= TURN_REQUESTS) return run()
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
