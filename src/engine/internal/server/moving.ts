import * as Effect from "effect/Effect"

import type { InvalidOptionError } from "../../../SocketIoError.ts"
import * as Drain from "../../Drain.ts"
import type { ReadinessState } from "../../Readiness.ts"
import { type Passing, PassingSession } from "../leaving.ts"
import { type MovingServer, Mover, type ShutdownStep } from "../mover.ts"
import type { Retirement } from "../retiring.ts"
import { Session } from "../session/session.ts"

/** The connections on their way to other servers: its own, and those that pass through. */
export class Moving {
  private readonly sessions: ReadonlyMap<string, Session>
  private readonly onShutdown: Drain.ResolvedDrainOptions | undefined
  private readonly mover: Mover<Session | PassingSession>
  private readonly passing = new Set<PassingSession>()
  /** Whether there has ever been a connection. */
  private wasUsed = false

  /** `onShutdown` is the drain as the first part of a shutdown. */
  constructor(
    sessions: ReadonlyMap<string, Session>,
    onShutdown: Drain.ResolvedDrainOptions | undefined,
    { after, wheel }: Pick<MovingServer<Session>, "after" | "wheel">,
    readiness: ReadinessState
  ) {
    const { passing } = this
    this.sessions = sessions
    this.onShutdown = onShutdown
    this.mover = new Mover<Session | PassingSession>(
      {
        get sessions() {
          return [...sessions.values(), ...passing]
        },
        wheel,
        after
      },
      readiness
    )
  }

  /** Whether new sessions are refused. */
  get isRefusing(): boolean {
    return this.mover.isRefusing
  }

  /** The server ends: it is not ready any more, and takes no new sessions. */
  get close(): Effect.Effect<void> {
    return this.mover.close
  }

  onOpened(): void {
    this.wasUsed = true
  }

  onClosed(session: Session): void {
    this.mover.onClosed(session)
  }

  move(
    options: Drain.DrainOptions | undefined,
    last: Effect.Effect<void>
  ): Effect.Effect<Drain.DrainReport, InvalidOptionError> {
    return Effect.flatMap(Drain.resolve("drain", options), (resolved) => this.mover.move(resolved, last))
  }

  moveForShutdown(step?: ShutdownStep<Session>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { onShutdown } = this
      // A server that no client has ever found, such as one that could not listen, ends at once.
      if (onShutdown === undefined || !this.wasUsed) return step?.close ?? Effect.void
      return this.mover.moveForShutdown(onShutdown, {
        concerns: (session) => step === undefined || (session instanceof Session && step.concerns(session)),
        close: step?.close ?? Effect.void,
        isNeeded: step?.isNeeded ?? (() => false)
      })
    })
  }

  /** The server ends, or looks like it, until something opens. */
  refuseForShutdown(): void {
    this.mover.refuseForShutdown()
  }

  forgetShutdown(): void {
    this.mover.forgetShutdown()
  }

  moveOne(id: string, within: number): void {
    const session = this.sessions.get(id)
    if (session !== undefined) this.mover.moveOne(session, within)
  }

  retire(id: string, retirement: Retirement): void {
    const session = this.sessions.get(id)
    if (session !== undefined) this.mover.retire(session, retirement)
  }

  /** Returns the function to call when the connection has closed. */
  addPassing(passing: Passing): () => void {
    const session = new PassingSession(passing)
    this.passing.add(session)
    this.wasUsed = true
    return () => {
      session.isOpen = false
      this.passing.delete(session)
      this.mover.onClosed(session)
    }
  }
}
