import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"

import { AdapterFactory, type Factory } from "../../adapter/Adapter.ts"
import type { EngineSession } from "../../engine/EngineSession.ts"
import type { TimerWheel } from "../../engine/internal/timerWheel.ts"
import { makeGenerator } from "../../engine/SessionId.ts"
import type { ResolvedServerOptions } from "../ServerOptions.ts"
import { Connection } from "./connection.ts"
import { NamespaceRuntime } from "./namespace.ts"

/** Namespaces that clients have asked for before they were there. */
const MAX_AWAITED = 1_000

/** What all connections and namespaces of a server share. */
export class ServerRuntime {
  readonly options: ResolvedServerOptions
  readonly context: Context.Context<never>
  readonly generateId = makeGenerator()
  wheel!: TimerWheel
  private readonly scope: Scope.Scope
  private readonly adapters: Factory
  private readonly namespaces = new Map<string, NamespaceRuntime>()
  private readonly connections = new Set<Connection>()
  private readonly closing = new Set<Scope.Closeable>()
  private readonly closed: Latch.Latch
  private startedAt = 0
  private readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => unknown
  private readonly debugEnabled: boolean

  constructor(
    options: ResolvedServerOptions,
    context: Context.Context<never>,
    scope: Scope.Scope,
    adapters: Factory,
    closed: Latch.Latch
  ) {
    this.options = options
    this.context = context
    this.scope = scope
    this.adapters = adapters
    this.closed = closed
    this.runFork = Effect.runForkWith(context)
    // Asked once: a line that nobody wants shall cost nothing.
    this.debugEnabled = LogLevel.isLessThanOrEqualTo(Context.get(context, References.MinimumLogLevel), "Debug")
  }

  /** The engine runs: the time in which clients may wait for namespaces begins. */
  start(wheel: TimerWheel): void {
    this.wheel = wheel
    this.startedAt = wheel.now()
  }

  /** How long a client may still wait for a namespace that is not there, in milliseconds. */
  get graceLeft(): number {
    return Math.max(0, this.startedAt + this.options.namespaceGrace - this.wheel.now())
  }

  onSession(session: EngineSession): Connection {
    const connection = new Connection(session, this)
    this.connections.add(connection)
    return connection
  }

  removeConnection(connection: Connection): void {
    this.connections.delete(connection)
  }

  /** The namespace that a client may connect to, or wait for. */
  findNamespace(name: string): NamespaceRuntime | undefined {
    const namespace = this.namespaces.get(name)
    if (namespace !== undefined && (namespace.isRegistered || this.graceLeft > 0)) return namespace
    if (namespace !== undefined || this.graceLeft === 0 || this.namespaces.size >= MAX_AWAITED) return undefined
    return this.getOrMake(name)
  }

  /** Whether a layer has served the namespace that is not served now. */
  hasServed(name: string): boolean {
    return this.namespaces.get(name)?.hasServed === true
  }

  /** The namespace of a name, for the application: it stays, even if nobody serves it. */
  mention(name: string): NamespaceRuntime {
    const namespace = this.getOrMake(name)
    namespace.isMentioned = true
    return namespace
  }

  private getOrMake(name: string): NamespaceRuntime {
    let namespace = this.namespaces.get(name)
    if (namespace === undefined) {
      namespace = new NamespaceRuntime(name, this, Latch.makeUnsafe(false))
      this.namespaces.set(name, namespace)
      namespace.adapter = Effect.runSync(Scope.provide(this.adapters(namespace.host), this.scope))
    }
    return namespace
  }

  forgetIfUnused(namespace: NamespaceRuntime): void {
    if (namespace.isUnused) this.namespaces.delete(namespace.name)
  }

  /** Closes a socket's scope in a fiber of the server's: a finalizer may outlive the connection, not the server. */
  closeScope(scope: Scope.Closeable, annotations: Record<string, string>): void {
    this.closing.add(scope)
    this.runFork(
      Scope.close(scope, Exit.void).pipe(
        Effect.catchCause((cause) => Effect.sync(() => this.error("finalizer failed", cause, annotations))),
        Effect.ensuring(
          Effect.sync(() => {
            this.closing.delete(scope)
            if (this.closing.size === 0) this.closed.openUnsafe()
          })
        )
      )
    )
  }

  /** Waits for the finalizers of the sockets that have ended, up to `timeout` milliseconds. */
  awaitFinalizers(timeout: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.closing.size === 0) return Effect.void
      this.closed.closeUnsafe()
      return Effect.asVoid(Effect.timeoutOption(this.closed.await, Duration.millis(timeout)))
    })
  }

  /** Counts an event of a namespace. */
  count(counter: Metric.Counter<number>, namespace: string, event: string): void {
    this.runFork(Metric.update(Metric.withAttributes(counter, { namespace, event }), 1))
  }

  debug(message: string, annotations: Readonly<Record<string, unknown>>): void {
    if (this.debugEnabled) this.runFork(Effect.annotateLogs(Effect.logDebug(message), annotations))
  }

  error(message: string, cause: Cause.Cause<unknown>, annotations: Readonly<Record<string, unknown>>): void {
    this.runFork(Effect.annotateLogs(Effect.logError(message, cause), annotations))
  }
}

export const make = (options: ResolvedServerOptions): Effect.Effect<ServerRuntime, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const adapters = yield* AdapterFactory
    const base = yield* Scheduler.Scheduler
    // Every fiber has a dispatcher of its own, and Node runs its ticks between their immediates: replies of handlers that
    // were suspended would each take a write of their own. With one dispatcher for all they leave together.
    const dispatcher = base.makeDispatcher()
    const context = Context.add(yield* Effect.context<never>(), Scheduler.Scheduler, {
      executionMode: base.executionMode,
      shouldYield: (fiber) => base.shouldYield(fiber),
      makeDispatcher: () => dispatcher
    })
    return new ServerRuntime(options, context, scope, adapters, yield* Latch.make(false))
  })
