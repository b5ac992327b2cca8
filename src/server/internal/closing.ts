import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

import type { ClosingTime } from "../../engine/ClosingTime.ts"
import type { EngineSession } from "../../engine/EngineSession.ts"
import type { Culprit } from "../../internal/lineLimits.ts"
import type { Observer } from "./observer.ts"

/** The part of a shutdown's time that is reserved for connections that are closed after it. */
const FLUSHING = 0.1

/** The circumstances of a scope that closes. */
export interface ClosingScope {
  /**
   * The annotations of a finalizer's failure in the log. A scope without a namespace belongs to all
   * of them.
   */
  readonly annotations: { readonly namespace?: string; readonly [name: string]: string | undefined }
  /** The client, or another cause, that a failure's log line counts for. */
  readonly culprit?: Culprit
  /** Fibers that use the scope: it closes after they have ended. */
  readonly users?: ReadonlyArray<Fiber.Fiber<unknown, unknown>>
  readonly onClosed?: () => void
}

/** A fiber that waits for the finalizers of the scopes that concern it. */
interface Waiting {
  readonly concerns: (namespace: string) => boolean
  readonly scopes: Set<Scope.Closeable>
  readonly done: Deferred.Deferred<void>
}

/** The engine, as far as a shutdown needs it. */
export interface ShutdownClock {
  readonly closing: ClosingTime
  readonly sessionCount: number
  /** Moves the clients of these namespaces to other servers before the end, if that is wanted. */
  readonly moveForShutdown: (
    concerns: (namespace: string) => boolean,
    close: Effect.Effect<void>
  ) => Effect.Effect<void>
  readonly forgetShutdown: () => void
  /** A layer of namespaces has closed: new clients go to other servers if it was the last one. */
  readonly onNamespacesEnded: () => void
  /** Closes sessions as a shutdown does: many at once, and within its time. */
  readonly closeSessions: (sessions: ReadonlyArray<EngineSession>) => Effect.Effect<void>
}

/** The end of a layer's service of namespaces. */
export interface Ending {
  /** The connections that close with it. */
  readonly sessions: ReadonlyArray<EngineSession>
  /** To be called when they have closed. */
  readonly onLeft?: () => void
}

/** The scopes that are closing: a finalizer may outlive its connection, but not the server. */
export class Closing {
  private readonly runFork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly observer: Observer
  private engine!: ShutdownClock
  /** With the names of their namespaces. */
  private readonly scopes = new Map<Scope.Closeable, string | undefined>()
  private readonly waiting = new Set<Waiting>()

  constructor(runFork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>, observer: Observer) {
    this.runFork = runFork
    this.observer = observer
  }

  start(engine: ShutdownClock): void {
    this.engine = engine
  }

  /** The server is in use, so this is not a shutdown. */
  forgetShutdown(): void {
    this.engine.closing.forget()
    this.engine.forgetShutdown()
  }

  /** Closes a scope, in a fiber of the server's, after the fibers that use it have ended. */
  close(scope: Scope.Closeable, { annotations, culprit, onClosed, users = [] }: ClosingScope): void {
    // Most scopes have nothing to finalize: they take no fiber.
    if (users.length === 0 && scope.state._tag === "Empty") {
      void Scope.closeUnsafe(scope, Exit.void)
      return onClosed?.()
    }
    const { namespace } = annotations
    this.scopes.set(scope, namespace)
    for (const { concerns, scopes } of this.waiting)
      if (namespace === undefined || concerns(namespace)) scopes.add(scope)
    const closed = Scope.close(scope, Exit.void)
    this.runFork(
      (users.length === 0 ? closed : Effect.andThen(Fiber.awaitAll(users), closed)).pipe(
        Effect.catchCause((cause) =>
          Effect.sync(() => this.observer.error("finalizer failed", cause, annotations, culprit))
        ),
        Effect.ensuring(
          Effect.sync(() => {
            this.scopes.delete(scope)
            onClosed?.()
            for (const { done, scopes } of this.waiting) {
              if (scopes.delete(scope) && scopes.size === 0) Deferred.doneUnsafe(done, Effect.void)
            }
          })
        )
      )
    )
  }

  /**
   * Ends the service of namespaces, closes the connections of their clients, and waits for the
   * finalizers of their sockets, as long as a shutdown may take.
   */
  closeNamespaces(end: () => Ending, concerns: (namespace: string) => boolean): Effect.Effect<void> {
    const close = Effect.suspend(() => {
      const { engine } = this
      const { closing } = engine
      closing.begin()
      const { onLeft, sessions } = end()
      engine.onNamespacesEnded()
      const finalizers = Effect.suspend(() => {
        onLeft?.()
        // Connections that are still open close after this, and their last messages take time, too.
        const kept = engine.sessionCount > 0 ? closing.total * FLUSHING : 0
        return this.awaitFinalizers(Math.max(0, closing.left - kept), concerns)
      })
      return Effect.ensuring(
        Effect.andThen(engine.closeSessions(sessions), finalizers),
        Effect.sync(() => closing.finish())
      )
    })
    return Effect.suspend(() => this.engine.moveForShutdown(concerns, close))
  }

  /** Waits for all running finalizers, up to the time limit of a shutdown. */
  get finalizers(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.scopes.size === 0 ? Effect.void : this.awaitFinalizers(this.engine.closing.left, () => true)
    )
  }

  /** Waits for the finalizers that concern some namespaces, up to `timeout` milliseconds. */
  private awaitFinalizers(timeout: number, concerns: (namespace: string) => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const scopes = new Set<Scope.Closeable>()
      for (const [scope, namespace] of this.scopes) {
        if (namespace === undefined || concerns(namespace)) scopes.add(scope)
      }
      if (scopes.size === 0) return Effect.void
      const waiting: Waiting = { concerns, scopes, done: Deferred.makeUnsafe<void>() }
      this.waiting.add(waiting)
      return Effect.timeoutOption(Deferred.await(waiting.done), Duration.millis(timeout)).pipe(
        Effect.ensuring(Effect.sync(() => this.waiting.delete(waiting))),
        Effect.asVoid
      )
    })
  }
}
