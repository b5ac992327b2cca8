import { now, setImmediate, setTimeout } from "./turn.ts"

/**
 * The time in milliseconds that all connections that send too much have together in one turn of the
 * event loop. The others come next, however many such connections there are. Those that are left
 * over have the next turn.
 */
const SHARED_TIME = 1

/** The tasks that have run are `nothing`. */
const tasks: Array<() => void> = []
let begun = 0
let isAwaited = false

const nothing = (): void => {}

/** Tasks that have run are forgotten at the end, or after so many. */
const MANY = 1_024

const run = (): void => {
  const end = now() + SHARED_TIME
  // Those that are added meanwhile come later.
  const last = tasks.length
  isAwaited = false
  try {
    do {
      const task = tasks[begun]!
      tasks[begun++] = nothing
      task()
    } while (begun < last && now() < end)
  } finally {
    if (begun === tasks.length || begun >= MANY) {
      tasks.splice(0, begun)
      begun = 0
    }
    if (tasks.length > 0) wait()
  }
}

const wait = (): void => {
  if (isAwaited) return
  isAwaited = true
  setImmediate(run)
}

const add = (task: () => void): void => {
  tasks.push(task)
  wait()
}

/**
 * Runs the next turn of a connection that sends too much, after a pause in milliseconds. It runs in
 * a later turn of the event loop, in the order of such connections.
 */
export const takeTurn = (task: () => void, pause: number): void => {
  if (pause > 0) setTimeout(add, pause, task)
  else add(task)
}
