/**
 * The end of a turn of the event loop: everything that the poll for events has brought was read and handled. Then is the time to
 * write, for all connections in a row: a write per connection between the reads costs up to twice the time in the kernel, which
 * has to wake the peers one by one, and what a connection is sent by others' messages misses its own write.
 */

import { setImmediate } from "./timers.ts"

/** What is to be done at the end of a turn. */
export interface TurnTask {
  readonly onTurnEnd: () => void
  /** Takes what `onTurnEnd` has thrown: it ends what the task belongs to, and must not throw itself. */
  readonly onDefect: (defect: unknown) => void
}

const tasks: Array<TurnTask> = []
/** How many of them have been begun. */
let begun = 0
let awaited = false

/** Counts the turns in which there was something to be done. */
export let turn = 0

/** Runs everything that waits for the end of the turn, also what comes to wait meanwhile. */
export const endTurn = (): void => {
  turn++
  while (begun < tasks.length) {
    const task = tasks[begun++]!
    try {
      task.onTurnEnd()
    } catch (defect) {
      // It is its owner's; the others' bytes are not to wait for it.
      task.onDefect(defect)
    }
  }
  tasks.length = begun = 0
  awaited = false
}

// A last word: Node writes to a socket at once, but no more turn comes to its end.
process.on("exit", endTurn)

/** Has `turn` changed when this turn is over. */
export const awaitTurnEnd = (): void => {
  if (awaited) return
  awaited = true
  setImmediate(endTurn)
}

export const atTurnEnd = (task: TurnTask): void => {
  tasks.push(task)
  awaitTurnEnd()
}
