/**
 * The end of a turn of the event loop, and its timers.
 *
 * A turn ends when everything from the poll for events was read and handled. All connections write
 * then, one after the other. Writing each connection between the reads takes up to twice the time
 * in the kernel, which has to wake the peers one by one. It would also split the output of a
 * connection that receives messages of others later in the same turn.
 */

/**
 * The timers as they were when this module was loaded. An application's tests may install fake
 * ones, which must not hold bytes back.
 */
export const { setTimeout } = globalThis

/** Some platforms have none. */
export const setImmediate: <Args extends Array<any>>(task: (...args: Args) => void, ...args: Args) => void =
  globalThis.setImmediate ?? ((task, ...args) => setTimeout(task, 0, ...args))

/** The monotonic time in milliseconds. */
export const now: () => number = performance.now.bind(performance)

/** A task for the end of a turn. */
export interface TurnTask {
  readonly onTurnEnd: () => void
  /**
   * Takes an error that `onTurnEnd` has thrown. It ends the task's connection or exchange, and must
   * not throw itself.
   */
  readonly onDefect: (defect: unknown) => void
}

const tasks: Array<TurnTask> = []
/** The number of tasks that have begun. */
let begun = 0
let awaited = false

/** The number of turns that had tasks. */
export let turn = 0

/** Runs every task that waits for the end of the turn, including tasks that are added meanwhile. */
export const endTurn = (): void => {
  turn++
  while (begun < tasks.length) {
    const task = tasks[begun++]!
    try {
      task.onTurnEnd()
    } catch (defect) {
      // The task's owner handles the error; the bytes of others must not wait for it.
      task.onDefect(defect)
    }
  }
  tasks.length = begun = 0
  awaited = false
}

/** Ensures that `turn` changes at the end of this turn. */
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
