/**
 * Opens a few connections per turn of the event loop, in their order.
 *
 * Hundreds of connections may come at once: from one client that opens them one after the other, or
 * from all clients when a server is back. Opening one takes a hundred times as long as a message.
 * Connected clients therefore wait only for a few openings at a time.
 *
 * The edges bound the number that waits, each as far as it knows the connections of its clients.
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

/** An opening that waits for its turn. */
export interface Opening {
  readonly connection: Connection
  readonly run: () => void
}

const waiting = new Set<Opening>()
let isScheduled = false
let turn = -1
/** The number of openings in this turn, and the time that they have taken. */
let count = 0
let taken = 0

/**
 * Opens a connection: now, or after the waiting ones. A connection that has ended by then is
 * skipped. Returns the opening if it waits.
 */
export const take = (connection: Connection, run: () => void): Opening | undefined => {
  if (turn !== Turn.turn) beginTurn()
  const opening = { connection, run }
  if (waiting.size === 0 && !isOver()) {
    open(opening)
    return undefined
  }
  waiting.add(opening)
  schedule()
  return opening
}

/** Forgets an opening: its connection has ended, and it need not stay in memory until its turn. */
export const forget = (opening: Opening): void => void waiting.delete(opening)

/** The number of openings that wait. */
export const size = (): number => waiting.size

const schedule = (): void => {
  if (isScheduled) return
  isScheduled = true
  setImmediate(goOn)
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
  isScheduled = false
  beginTurn()
  try {
    // Those that come meanwhile are at the end.
    for (const opening of waiting) {
      if (isOver()) break
      waiting.delete(opening)
      open(opening)
    }
  } finally {
    // A defect of one must not leave the others waiting for ever.
    if (waiting.size > 0) schedule()
  }
}
