/**
 * The report of a simulation, and the ways in which one fails.
 *
 * Users meet all of it as a part of `Simulation`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"

import { TaggedError } from "../SocketIoError.ts"

const STUCK = { Deadlock: "deadlock", TooMuchTime: "too much time", TooManyTasks: "too many tasks" }

/**
 * The reasons why an effect does not end.
 *
 * - `Deadlock`: nothing could go on and no timer was set, also where the effect waits for something
 *   outside of the world, such as I/O.
 * - `TooMuchTime`, `TooManyTasks`: the effect took more than its limits allow.
 *
 * @since 0.1.0
 * @category models
 */
export type StuckReason =
  | { readonly _tag: "Deadlock" }
  | { readonly _tag: "TooMuchTime" }
  | { readonly _tag: "TooManyTasks" }

/**
 * The effect did not end.
 *
 * @since 0.1.0
 * @category errors
 */
export class Stuck extends TaggedError("Stuck")<{
  readonly reason: StuckReason
  /** Everything that had not ended, in words. */
  readonly waiting: ReadonlyArray<string>
}> {
  override get message(): string {
    return `${STUCK[this.reason._tag]}: ${this.waiting.join("; ")}`
  }
}

/**
 * The result of a simulation.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report<A, E> {
  readonly seed: number
  readonly exit: Exit.Exit<A, E | Stuck>
  /**
   * The hash of everything that has happened, in its order: 16 hexadecimal digits. Two runs are
   * equal if (and, but for an accident, only if) their hashes are.
   */
  readonly hash: string
  /** The last lines of the trace, each with its time: events of the networks, and notes. */
  readonly trace: ReadonlyArray<string>
  /** The number of tasks that have run, and the time that has passed in the world. */
  readonly tasks: number
  readonly elapsed: Duration.Duration
  /**
   * Everything that should have ended with the effect and has not: fibers, timers, connections, in
   * words.
   */
  readonly leaks: ReadonlyArray<string>
}

/**
 * A simulation has failed, or has leaked something. Its message says how to run it again, and ends
 * with the last lines of its trace.
 *
 * @since 0.1.0
 * @category errors
 */
export class SimulationFailed extends TaggedError("SimulationFailed")<{
  readonly report: Report<unknown, unknown>
}> {
  override get message(): string {
    const { elapsed, exit, hash, leaks, seed, tasks, trace } = this.report
    const why = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : `it has not closed: ${leaks.join("; ")}`
    const when = `after ${tasks} tasks and ${Duration.format(elapsed)}, with trace ${hash}`
    return [`the simulation with seed ${seed} has failed ${when}: ${why}`, ...trace.slice(-40)].join("\n  ")
  }
}
