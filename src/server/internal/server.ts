import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"

import { AdapterFactory, type Factory } from "../../adapter/Adapter.ts"
import type { EngineSession } from "../../engine/EngineSession.ts"
import type { EngineServer } from "../../engine/EngineServer.ts"
import type { ClosingTime } from "../../engine/ClosingTime.ts"
import type { TimerWheel } from "../../engine/TimerWheel.ts"
import { OutboundMessage } from "../../engine/OutboundMessage.ts"
import { makeGenerator } from "../../engine/SessionId.ts"
import { parseDebug } from "../../internal/debugNamespaces.ts"
import { isMatchable, ownCopy } from "../../internal/namespacePattern.ts"
import { Parser } from "../../Parser.ts"
import * as JsonDepth from "../../protocol/JsonDepth.ts"
import type { DecoderLimits } from "../../protocol/PacketDecoder.ts"
import type { PacketParser } from "../../protocol/PacketParser.ts"
import { isProtocolError, make as makeProtocolError } from "../../protocol/ProtocolError.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import type { ResolvedServerOptions } from "../ServerOptions.ts"
import { Connection } from "./connection.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { DynamicNamespaces } from "./dynamic.ts"
import type { SocketRuntime } from "./socket.ts"
import { Hub } from "./hub.ts"
import { NamespaceRuntime, type Registration } from "./namespace.ts"
import type { Culprit } from "../../internal/lineLimits.ts"
import { type Annotations, Observer, type Subsystem } from "./observer.ts"

/** Namespaces that clients wait for at once. */
const MAX_AWAITED = 1_000

/** The part of a shutdown's time that is kept for connections that are still to be closed. */
const FLUSHING = 0.1

/** Somebody who waits for finalizers: of all scopes that are closing, or of some namespaces'. */
interface Waiting {
  readonly concerns: (namespace: string) => boolean
  readonly scopes: Set<Scope.Closeable>
  readonly done: Deferred.Deferred<void>
}

/** Tells which of a contract's dynamic namespaces open and close. */
export interface Lives {
  readonly openings: Hub<NamespaceRuntime>
  readonly closings: Hub<NamespaceRuntime>
}

/** What all connections and namespaces of a server share. */
export class ServerRuntime {
  readonly options: ResolvedServerOptions
  /** What packets may be like. */
  readonly limits: DecoderLimits
  readonly context: Context.Context<never>
  readonly generateId: () => string
  readonly adapters: Factory
  readonly parser: PacketParser
  readonly observer: Observer
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  wheel!: TimerWheel
  private readonly namespaces = new Map<string, NamespaceRuntime>()
  private readonly dynamic = new Set<DynamicNamespaces>()
  /** Those that clients have asked for, and that may be there in time. */
  private readonly awaited = new Set<NamespaceRuntime>()
  /** Dynamic namespaces whose layer has closed: it may come again. */
  private readonly retired = new Map<string, DynamicNamespaces>()
  private readonly lives = new Map<CompiledContract, Lives>()
  private readonly connections = new Set<Connection>()
  /** The scopes that are closing, with the names of their namespaces. */
  private readonly closing = new Map<Scope.Closeable, string>()
  private readonly waiting = new Set<Waiting>()
  private engine!: Pick<EngineServer, "closing" | "sessionCount" | "wheel">
  private startedAt = 0

  constructor(
    options: ResolvedServerOptions,
    context: Context.Context<never>,
    adapters: Factory,
    parser: PacketParser,
    observer: Observer
  ) {
    this.options = options
    this.limits = { ...options, isTooDeep: JsonDepth.check(options.maxDepth) }
    this.context = context
    this.adapters = adapters
    this.parser = parser
    this.observer = observer
    this.generateId = makeGenerator(context)
    this.runFork = Effect.runForkWith(context)
  }

  /** The engine runs: the time in which clients may wait for namespaces begins. */
  start(engine: Pick<EngineServer, "closing" | "sessionCount" | "wheel">): void {
    this.engine = engine
    this.wheel = engine.wheel
    this.startedAt = engine.wheel.now()
  }

  /** The time of a shutdown. */
  get closingTime(): ClosingTime {
    return this.engine.closing
  }

  /** Encodes a packet as a message; throws on what cannot be encoded. */
  encode(
    type: SocketPacket["type"],
    namespace: string,
    id: number | undefined,
    data: unknown,
    mayHaveBinary: boolean,
    shared: boolean
  ): OutboundMessage {
    const packet = this.parser.encode({ type, namespace, id, data }, mayHaveBinary)
    if (isProtocolError(packet)) throw packet
    const { attachments, text } = packet
    if (attachments !== undefined) {
      const { maxAttachments } = this.options
      if (!attachments.every(isBytes)) throw makeProtocolError("not encodable", "a Blob: read it first")
      // Clients would close their connections at it.
      if (attachments.length > maxAttachments) {
        const problem = `${attachments.length} attachments, of which clients take ${maxAttachments}`
        throw makeProtocolError("too many attachments", problem)
      }
    }
    const message = new OutboundMessage(text === undefined ? undefined : "4" + text, attachments, shared)
    // Who is told of something else waits for that.
    if (type !== PacketType.EVENT) message.droppable = false
    return message
  }

  // ---------------------------------------------------------------- connections

  onSession(session: EngineSession): Connection {
    const connection = new Connection(session, this)
    this.connections.add(connection)
    const annotations = { session: session.id, transport: session.transport }
    this.debug("connection", "connection opened", annotations, connection)
    return connection
  }

  removeConnection(connection: Connection): void {
    this.connections.delete(connection)
  }

  // ---------------------------------------------------------------- namespaces

  /** How long a client may still wait for a namespace that is not there, in milliseconds. */
  get graceLeft(): number {
    return Math.max(0, this.startedAt + this.options.namespaceGrace - this.wheel.now())
  }

  /** The namespace that a client may connect to, or wait for. */
  findNamespace(name: string): NamespaceRuntime | undefined {
    const namespace = this.namespaces.get(name)
    if (namespace?.isRegistered) return namespace
    for (const family of this.dynamic) if (family.mayMatch(name)) return this.getOrMake(name)
    if (this.graceLeft === 0) return undefined
    if (namespace !== undefined || !isMatchable(name)) return namespace
    // Clients of protocol 4 do not ask for the default one: they are in it.
    if (this.awaited.size >= MAX_AWAITED && name !== "/") return undefined
    const made = this.getOrMake(name)
    this.awaited.add(made)
    return made
  }

  /** A namespace is there, or nobody waits for it any more. */
  notAwaited(namespace: NamespaceRuntime): void {
    this.awaited.delete(namespace)
  }

  /** The dynamic namespaces that a client's request is for: the first that say so. */
  findDynamic(name: string, socket: SocketRuntime): Effect.Effect<DynamicNamespaces | undefined> {
    return Effect.gen({ self: this }, function* () {
      for (const family of Array.from(this.dynamic)) {
        // Its layer may have closed while another's predicate was asked.
        if ((yield* family.matches(name, socket)) && this.dynamic.has(family)) return family
      }
      return undefined
    })
  }

  /** Tells which of a contract's dynamic namespaces open and close, whether a layer serves them yet or not. */
  livesOf(contract: CompiledContract): Lives {
    let lives = this.lives.get(contract)
    if (lives === undefined) this.lives.set(contract, (lives = { openings: new Hub(), closings: new Hub() }))
    return lives
  }

  /** The dynamic namespaces of a contract, if a layer serves them. */
  dynamicOf(contract: CompiledContract): DynamicNamespaces | undefined {
    for (const family of this.dynamic) if (family.contract === contract) return family
    return undefined
  }

  /** Serves dynamic namespaces, from now on; clients that wait for one of them are let in. */
  addDynamic(family: DynamicNamespaces): void {
    this.dynamic.add(family)
    this.closingTime.forget()
    this.retired.delete(family.label)
    for (const namespace of this.namespaces.values()) {
      if (!namespace.isRegistered && family.mayMatch(namespace.name)) namespace.accepting.openUnsafe()
    }
  }

  removeDynamic(family: DynamicNamespaces): void {
    this.dynamic.delete(family)
    this.retired.set(family.label, family)
    family.close()
  }

  /**
   * Whether the namespace that is not there may come: its layer is being replaced, or the server starts and others wait for all
   * names that may be waited for. A refusal would be final, a lost connection is not.
   */
  mayCome(name: string): boolean {
    return this.hasServed(name) || (isMatchable(name) && this.graceLeft > 0)
  }

  /** Whether a layer has served the namespace that is not served now. */
  hasServed(name: string): boolean {
    if (this.namespaces.get(name)?.hasServed === true) return true
    for (const family of this.retired.values()) if (family.matchesSurely(name)) return true
    return false
  }

  /** Serves the namespace of a name. Throws if it is served already. */
  register(name: string, registration: Registration): NamespaceRuntime {
    const namespace = this.getOrMake(name)
    if (namespace.isRegistered) throw new Error(`namespace "${name}" is served by two layers`)
    namespace.register(registration)
    return namespace
  }

  /** The namespace of a name that the application knows, for as long as it does something with it. */
  mention(name: string, contract: CompiledContract | undefined): NamespaceRuntime {
    const namespace = this.getOrMake(name)
    if (contract !== undefined) namespace.learn(contract)
    namespace.mentions++
    return namespace
  }

  unmention(namespace: NamespaceRuntime): void {
    namespace.mentions--
    this.forgetIfUnused(namespace)
  }

  /** The namespace of a name, if it is there. */
  get(name: string): NamespaceRuntime | undefined {
    return this.namespaces.get(name)
  }

  /** The namespace of a name, for as long as somebody does something with it. */
  lend(name: string, contract: CompiledContract): NamespaceRuntime {
    const namespace = this.getOrMake(name)
    namespace.learn(contract)
    namespace.lent++
    return namespace
  }

  takeBack(namespace: NamespaceRuntime): void {
    namespace.lent--
    this.forgetIfUnused(namespace)
  }

  private getOrMake(name: string): NamespaceRuntime {
    let namespace = this.namespaces.get(name)
    if (namespace !== undefined) return namespace
    const own = ownCopy(name)
    this.namespaces.set(own, (namespace = new NamespaceRuntime(own, this)))
    return namespace
  }

  forgetIfUnused(namespace: NamespaceRuntime): void {
    if (!namespace.isUnused || this.namespaces.get(namespace.name) !== namespace) return
    this.namespaces.delete(namespace.name)
    this.awaited.delete(namespace)
    namespace.dispose()
  }

  /** The server has ended. */
  dispose(): void {
    for (const namespace of this.namespaces.values()) namespace.dispose()
    this.namespaces.clear()
    this.awaited.clear()
    for (const { closings, openings } of this.lives.values()) {
      openings.close()
      closings.close()
    }
  }

  // ---------------------------------------------------------------- scopes

  /**
   * Closes a scope, when the fibers have ended that use what is in it, in a fiber of the server's: a finalizer may outlive the
   * connection, not the server.
   */
  closeScope(
    scope: Scope.Closeable,
    annotations: Record<"namespace", string>,
    onClosed: () => void = () => {},
    users: ReadonlyArray<Fiber.Fiber<unknown, unknown>> = [],
    culprit?: Culprit
  ): void {
    const { namespace } = annotations
    this.closing.set(scope, namespace)
    for (const { concerns, scopes } of this.waiting) if (concerns(namespace)) scopes.add(scope)
    const closed = Scope.close(scope, Exit.void)
    this.runFork(
      (users.length === 0 ? closed : Effect.andThen(Fiber.awaitAll(users), closed)).pipe(
        Effect.catchCause((cause) => Effect.sync(() => this.error("finalizer failed", cause, annotations, culprit))),
        Effect.ensuring(
          Effect.sync(() => {
            this.closing.delete(scope)
            onClosed()
            for (const { done, scopes } of this.waiting) {
              if (scopes.delete(scope) && scopes.size === 0) Deferred.doneUnsafe(done, Effect.void)
            }
          })
        )
      )
    )
  }

  /**
   * Waits for the finalizers of what has ended in some namespaces, up to `timeout` milliseconds: those of others' clients are none
   * of their business.
   */
  private awaitFinalizers(timeout: number, concerns: (namespace: string) => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const scopes = new Set<Scope.Closeable>()
      for (const [scope, namespace] of this.closing) if (concerns(namespace)) scopes.add(scope)
      if (scopes.size === 0) return Effect.void
      const waiting: Waiting = { concerns, scopes, done: Deferred.makeUnsafe<void>() }
      this.waiting.add(waiting)
      return Effect.timeoutOption(Deferred.await(waiting.done), Duration.millis(timeout)).pipe(
        Effect.ensuring(Effect.sync(() => this.waiting.delete(waiting))),
        Effect.asVoid
      )
    })
  }

  /** Ends the service of namespaces, and waits for the finalizers of their sockets, for as long as a shutdown may take. */
  closeNamespaces(end: () => void, concerns: (namespace: string) => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { closingTime, engine } = this
      closingTime.begin()
      end()
      // What waits for the clients of others, whose connections close after these, has to be sent.
      const kept = engine.sessionCount > 0 ? closingTime.total * FLUSHING : 0
      return Effect.ensuring(
        this.awaitFinalizers(Math.max(0, closingTime.left - kept), concerns),
        Effect.sync(() => closingTime.finish())
      )
    })
  }

  /** Waits for all finalizers that are at work, for as long as a shutdown may take. */
  get finalizers(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.closing.size === 0 ? Effect.void : this.awaitFinalizers(this.closingTime.left, () => true)
    )
  }

  // ---------------------------------------------------------------- what is told

  /** Counts something. */
  count(counter: Metric.Counter<number>, attributes: Readonly<Record<string, string>>): void {
    this.observer.count(counter, attributes)
  }

  /** A line about something that is probably a mistake. One about a client is left out if there are too many. */
  warn(subsystem: Subsystem, message: string, annotations: Annotations, culprit?: Culprit): void {
    this.observer.warn(subsystem, message, annotations, culprit)
  }

  /** A debug line. One about a client is left out if there are too many. */
  debug(subsystem: Subsystem, message: string, annotations: Annotations, culprit?: Culprit): void {
    this.observer.debug(subsystem, message, annotations, culprit)
  }

  /** A line about what went wrong. One that a client can bring about is left out if there are too many. */
  error(message: string, cause: Cause.Cause<unknown>, annotations: Annotations, culprit?: Culprit): void {
    this.observer.error(message, cause, annotations, culprit)
  }

  defect(message: string, defect: unknown, annotations: Annotations, culprit?: Culprit): void {
    this.error(message, Cause.die(defect), annotations, culprit)
  }
}

/** The `DEBUG` setting of the configuration, by default the environment. One that cannot be read asks for nothing. */
const debugSetting = Config.String("DEBUG").pipe(
  Config.option,
  Effect.map(Option.getOrElse(() => "")),
  Effect.orElseSucceed(() => "")
)

const isBytes = (attachment: Uint8Array | Blob): attachment is Uint8Array => ArrayBuffer.isView(attachment)

export const make = (options: ResolvedServerOptions): Effect.Effect<ServerRuntime, never, Scope.Scope> =>
  Effect.gen(function* () {
    const base = yield* Scheduler.Scheduler
    // Every fiber has a dispatcher of its own, and Node runs its ticks between their immediates: replies of handlers that
    // were suspended would each take a write of their own. With one dispatcher for all they leave together.
    const dispatcher = base.makeDispatcher()
    const context = Context.add(yield* Effect.context<never>(), Scheduler.Scheduler, {
      executionMode: base.executionMode,
      shouldYield: (fiber) => base.shouldYield(fiber),
      makeDispatcher: () => dispatcher
    })
    const clock = yield* Clock.Clock
    // The clock's nanoseconds are a bigint, made anew for every reading: on the message path that is felt.
    const isLive = !context.mapUnsafe.has(Clock.Clock.key)
    const observer = new Observer(context, {
      debug: parseDebug(yield* debugSetting),
      tracing: options.tracing,
      now: isLive ? () => performance.now() : () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    })
    return new ServerRuntime(options, context, yield* AdapterFactory, yield* Parser, observer)
  })
