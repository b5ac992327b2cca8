/**
 * Connections may come by the hundred at once: from somebody who opens one after the other, or from everybody when a server is there
 * again. To open one takes a hundred times what a message does, so a turn of the event loop is given to a few of them, and the others
 * wait in their order: whoever is connected already waits for these few alone.
 */
import type { Duplex } from "node:stream"

import { now, setImmediate } from "./timers.ts"
import * as Turn from "./turn.ts"

/** The time that one turn is given to openings, in milliseconds: one at the least. */
const TURN_TIME = 1

interface Opening {
  readonly connection: Duplex
  readonly run: () => void
}

let waiting: Array<Opening> = []
let turn = -1
let taken = 0

/** Opens something for a connection: now, or behind those that wait. It is left out if the connection has ended by then. */
export const take = (connection: Duplex, run: () => void): void => {
  if (turn !== Turn.turn) {
    turn = Turn.turn
    taken = 0
    Turn.awaitTurnEnd()
  }
  if (waiting.length === 0 && taken < TURN_TIME) return open({ connection, run })
  if (waiting.push({ connection, run }) === 1) setImmediate(goOn)
}

const open = ({ connection, run }: Opening): void => {
  if (connection.destroyed) return
  const began = now()
  run()
  taken += now() - began
}

const goOn = (): void => {
  turn = Turn.turn
  taken = 0
  Turn.awaitTurnEnd()
  let at = 0
  for (const opening of waiting) {
    if (taken >= TURN_TIME) break
    at++
    open(opening)
  }
  waiting = waiting.slice(at)
  if (waiting.length > 0) setImmediate(goOn)
}
