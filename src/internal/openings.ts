/**
 * Opens a few connections per turn of the event loop, in their order.
 *
 * Hundreds of connections may come at once: from one client that opens them one after the other, or
 * from all clients when a server is back. Opening one takes a hundred times as long as a message.
 * Connected clients therefore wait only for a few openings at a time.
 */
import { now, setImmediate } from "./turn.ts"
import * as Turn from "./turn.ts"

/**
 * The number of openings in one turn, and the time in milliseconds after which no more begin in
 * this turn.
 */
const TURN_OPENINGS = 8
const TURN_TIME = 1

/** The connection, or the request, that opens one. */
interface Connection {
  readonly destroyed: boolean
}

interface Opening {
  readonly connection: Connection
  readonly run: () => void
}

let waiting: Array<Opening> = []
let turn = -1
/** The number of openings in this turn, and the time that they have taken. */
let count = 0
let taken = 0

/**
 * Opens a connection: now, or after the waiting ones. A connection that has ended by then is
 * skipped.
 */
export const take = (connection: Connection, run: () => void): void => {
  if (turn !== Turn.turn) beginTurn()
  if (waiting.length === 0 && !isOver()) return open({ connection, run })
  if (waiting.push({ connection, run }) === 1) setImmediate(goOn)
}

const beginTurn = (): void => {
  turn = Turn.turn
  count = taken = 0
  Turn.awaitTurnEnd()
}

const isOver = (): boolean => count >= TURN_OPENINGS || taken >= TURN_TIME

const open = ({ connection, run }: Opening): void => {
  if (connection.destroyed) return
  count++
  const began = now()
  run()
  taken += now() - began
}

const goOn = (): void => {
  beginTurn()
  let at = 0
  for (const opening of waiting) {
    if (isOver()) break
    at++
    open(opening)
  }
  waiting = waiting.slice(at)
  if (waiting.length > 0) setImmediate(goOn)
}
