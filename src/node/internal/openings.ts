/**
 * Opens a few connections per turn of the event loop, in their order.
 *
 * Connections may come by the hundred at once: from one client that opens them one after the other,
 * or from all clients when a server is back. To open one takes a hundred times what a message does.
 * Clients that are connected already wait for a few of them alone.
 */
import type { Duplex } from "node:stream"

import { now, setImmediate } from "./turn.ts"
import * as Turn from "./turn.ts"

/**
 * The openings of one turn, and the time after which no more begin, however few they were, in
 * milliseconds.
 */
const TURN_OPENINGS = 8
const TURN_TIME = 1

interface Opening {
  readonly connection: Duplex
  readonly run: () => void
}

let waiting: Array<Opening> = []
let turn = -1
/** The openings of this turn, and the time that they have taken. */
let count = 0
let taken = 0

/**
 * Opens something for a connection: now, or after those that wait. It is left out if the connection
 * has ended by then.
 */
export const take = (connection: Duplex, run: () => void): void => {
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
