/**
 * Takes a few requests per turn of the event loop from one connection, and stops reading it while
 * more of them wait.
 *
 * A connection may bring hundreds of requests without waiting for their responses. Browsers and
 * proxies do not do that, but attackers may. Node keeps the responses in order.
 *
 * Of the requests that open a session, one of a connection waits for its turn among all
 * connections. The later ones wait until it has had it: otherwise one connection could have
 * thousands of openings before those of all others.
 */
import type { Duplex } from "node:stream"

import { setImmediate } from "../../internal/turn.ts"
import { openInTurn } from "./openInTurn.ts"
import { TurnCount } from "./turnCount.ts"

/** The number of requests of one connection in one turn. */
const TURN_REQUESTS = 8

/** The number of requests that may wait: those of one read, and a few more. */
const MAX_WAITING = 2_048

/** A request that waits. */
interface Request {
  readonly run: () => void
  readonly isOpening: boolean
}

/** The requests of a connection that wait until earlier ones were taken. */
interface Waiting {
  /** They may be none while an opening waits for its turn. */
  readonly requests: Array<Request>
  /** Whether the connection is not read. */
  isHeld: boolean
}

const WAITING = Symbol("waiting")

type Connection = Duplex & { [WAITING]?: Waiting | undefined }

const counts = new TurnCount()

/** Takes a request of the connection: now, or after the waiting ones. */
export const take = (connection: Connection, run: () => void, isOpening: boolean): void => {
  let waiting = connection[WAITING]
  if (waiting === undefined) {
    if (counts.add(connection) <= TURN_REQUESTS) {
      if (!isOpening) run()
      // It is read until more requests come, so that its end is noticed.
      else if (!openInTurn(connection, run, onTurn)) connection[WAITING] = { requests: [], isHeld: false }
      return
    }
    connection[WAITING] = waiting = { requests: [], isHeld: false }
    setImmediate(goOn, connection)
  }
  // Nothing but a defect of Node could bring more than one read.
  if (waiting.requests.push({ run, isOpening }) > MAX_WAITING) return void connection.destroy()
  if (waiting.isHeld) return
  waiting.isHeld = true
  connection.on("resume", pause).pause()
}

/** Whether requests of the connection wait. */
export const isWaiting = (connection: Connection): boolean => connection[WAITING] !== undefined

/** Node resumes a connection after each request, and whenever a request's stream has room. */
const pause = function (this: Duplex): void {
  this.pause()
}

/** The opening of a connection has its turn. */
const onTurn = (connection: Connection): void => {
  if (connection[WAITING]!.requests.length > 0) setImmediate(goOn, connection)
  else finish(connection)
}

const goOn = (connection: Connection): void => {
  const { requests } = connection[WAITING]!
  if (connection.destroyed) {
    connection[WAITING] = undefined
    return
  }
  for (let count = 0; count < TURN_REQUESTS && requests.length > 0; count++) {
    const { isOpening, run } = requests.shift()!
    if (!isOpening) run()
    else if (!openInTurn(connection, run, onTurn)) return
  }
  if (requests.length > 0) setImmediate(goOn, connection)
  else finish(connection)
}

const finish = (connection: Connection): void => {
  const { isHeld } = connection[WAITING]!
  connection[WAITING] = undefined
  if (isHeld) connection.off("resume", pause).resume()
}
