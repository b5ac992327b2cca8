/**
 * The end of a turn of the event loop, and the timers that belong to it.
 *
 * A turn ends after everything that the poll for events has brought was read and handled. That is
 * the time to write, for all connections in a row. A write per connection between the reads takes
 * up to twice the time in the kernel, which has to wake the peers one by one; and what a connection
 * is sent by others' messages misses its own write.
 */

/**
 * Timers as they were when this was loaded. Fake ones, which an application's tests may install,
 * must not hold bytes back.
 */
export const { setImmediate, setTimeout } = globalThis

/** The monotonic time in milliseconds. */
export const now: () => number = performance.now.bind(performance)

/** Something to do at the end of a turn. */
export interface TurnTask {
  readonly onTurnEnd: () => void
  /**
   * Takes the error that `onTurnEnd` has thrown. It ends the task's connection or exchange, and
   * must not throw itself.
   */
  readonly onDefect: (defect: unknown) => void
}

const tasks: Array<TurnTask> = []
/** The number of tasks that have begun. */
let begun = 0
let awaited = false

/** The number of turns in which there was something to do. */
export let turn = 0

/** Runs every task that waits for the end of the turn, those that are added meanwhile included. */
export const endTurn = (): void => {
  turn++
  while (begun < tasks.length) {
    const task = tasks[begun++]!
    try {
      task.onTurnEnd()
    } catch (defect) {
      // The task's owner takes it; the bytes of others must not wait for it.
      task.onDefect(defect)
    }
  }
  tasks.length = begun = 0
  awaited = false
}

// A process that exits ends no more turns, but Node still writes to its sockets.
process.on("exit", endTurn)

/** Makes sure that `turn` changes at the end of this turn. */
export const awaitTurnEnd = (): void => {
  if (awaited) return
  awaited = true
  setImmediate(endTurn)
}

/** Runs a task at the end of this turn. */
export const atTurnEnd = (task: TurnTask): void => {
  tasks.push(task)
  awaitTurnEnd()
}
