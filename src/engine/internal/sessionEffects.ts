import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import { type Overflow, type OverflowError, type StreamOptions, StreamOverflow } from "../../StreamOptions.ts"
import type { EngineSession, SessionHandler } from "../EngineSession.ts"
import { checkCapacity } from "./messageStreams.ts"
import { IGNORE } from "./session/inflow.ts"
import type { Session } from "./session/session.ts"

/** Leaves the messages of a session to its streams, and holds them for the first one. */
export const HOLD = (session: Session): SessionHandler => {
  session.holdMessages()
  return IGNORE
}

/**
 * Runs an effect for a session in the given scope, while the session is open or its messages are
 * read.
 */
export const handlerOf =
  <E, R>(
    onSession: (session: EngineSession) => Effect.Effect<unknown, E, R>,
    context: Context.Context<Exclude<R, Scope.Scope>>,
    scope: Scope.Scope
  ) =>
  (session: Session): SessionHandler => {
    const runFork = Effect.runForkWith(context)
    session.holdMessages()
    let fiber: Fiber.Fiber<unknown, E> | undefined
    return {
      onOpen: () => {
        const running = runFork(Effect.scoped(Effect.suspend(() => onSession(session))))
        fiber = running
        Fiber.runIn(running, scope)
        running.addObserver((exit) => {
          if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) session.closeUnsafe()
          else session.onDefect(Cause.squash(exit.cause))
        })
      },
      onMessage() {},
      onBinary() {},
      onClose: () =>
        session.whenRead(() => {
          // It runs in a later turn: an effect whose stream has just ended goes on until it
          // suspends.
          runFork(
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => fiber?.interruptUnsafe())
            )
          )
        })
    }
  }

/** The streams of a server's sessions. */
export class SessionStreams {
  private readonly scope: Scope.Scope
  private readonly readers = new Set<(session: EngineSession) => void>()

  constructor(scope: Scope.Scope) {
    this.scope = scope
  }

  onSession(session: EngineSession): void {
    for (const reader of this.readers) reader(session)
  }

  open<O extends Exclude<Overflow, "suspend">>({
    capacity = 10_000,
    overflow = "fail" as O
  }: StreamOptions<O>): Stream.Stream<EngineSession, OverflowError<O>> {
    return Stream.unwrap(
      Effect.gen({ self: this }, function* () {
        yield* checkCapacity(capacity)
        const queue = yield* (overflow === "dropOldest" ? Queue.sliding : Queue.dropping)<
          EngineSession,
          StreamOverflow | Cause.Done
        >(capacity)
        const read = (session: EngineSession) => {
          if (Queue.offerUnsafe(queue, session) || overflow !== "fail") return
          this.readers.delete(read)
          Queue.failCauseUnsafe(queue, Cause.fail(new StreamOverflow({ stream: "sessions", capacity })))
        }
        yield* Effect.acquireRelease(
          Effect.sync(() => this.readers.add(read)),
          () => Effect.sync(() => this.readers.delete(read))
        )
        // The stream ends with the server.
        const ending = yield* Effect.acquireRelease(Scope.fork(this.scope), (scope) => Scope.close(scope, Exit.void))
        yield* Scope.addFinalizer(ending, Queue.end(queue))
        return Stream.fromQueue(queue) as Stream.Stream<EngineSession, OverflowError<O>>
      })
    )
  }
}
