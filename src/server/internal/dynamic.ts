import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { Handshake } from "../../Handshake.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { ANYONE } from "../../internal/lineLimits.ts"
import { isMatchable } from "../../internal/namespacePattern.ts"
import type { ConnectRefused } from "../../NamespaceMiddleware.ts"
import type { Ending } from "./closing.ts"
import type { Environment } from "./environment.ts"
import type { Hub } from "./hub.ts"
import type { NamespaceGroup } from "./layerState.ts"
import type { NamespaceInstance, NamespaceRuntime } from "./namespace.ts"
import { type Build, type Registration, refusalOf, type StreamHandling } from "./ports.ts"
import type { SocketRuntime } from "./socket.ts"

/** A client's request for a namespace that is not open. */
export interface NamespaceRequest {
  readonly name: string
  readonly params: any
  readonly handshake: Handshake
}

/** The hubs of a contract's dynamic namespaces that open and close. */
export interface Lifecycle {
  readonly openings: Hub<NamespaceRuntime>
  readonly closings: Hub<NamespaceRuntime>
}

export interface DynamicOptions {
  readonly label: string
  readonly contract: CompiledContract
  readonly context: Context.Context<any>
  readonly streams: StreamHandling | undefined
  /** The layer's scope: the scopes of the namespaces are forked from it. */
  readonly scope: Scope.Scope
  /** Their openings and closings. */
  readonly lifecycle: Lifecycle
  /** One of them has opened. */
  readonly onOpen: (namespace: NamespaceRuntime) => void
  /** Whether a name that the contract's pattern matches is one of them. */
  readonly match: ((request: NamespaceRequest) => Effect.Effect<boolean, never, any>) | undefined
  /**
   * Runs once per namespace, in its scope; yields the builder of its sockets, or refuses the
   * clients that wait for it.
   */
  readonly open: (namespace: NamespaceRuntime, params: any) => Effect.Effect<Build, ConnectRefused, any>
  /** The time for which an empty namespace stays, in milliseconds. */
  readonly idleTimeToLive: number
  /** The number of namespaces that may be empty at once. */
  readonly maxIdle: number
}

/**
 * The dynamic namespaces of one layer: a resource per name, which is closed when it has been idle.
 *
 * An `RcMap` does not fit. It refuses a name beyond its capacity, whereas this closes the one that
 * has been idle the longest. It opens a name anew while the last resource of that name still
 * closes. And every reference to it takes a finalizer, which is memory for each connection.
 */
export class DynamicNamespaces implements NamespaceGroup<NamespaceRuntime> {
  readonly label: string
  readonly contract: CompiledContract
  readonly environment: Environment
  readonly options: DynamicOptions
  /** Those that are open, that open, or that close. */
  private readonly instances = new Map<NamespaceRuntime, Instance>()
  /**
   * Those that admit clients: the instances, and those whose first clients are not admitted yet.
   */
  private readonly served = new Set<NamespaceRuntime>()
  /** The instances that are empty and will close, the one that has been empty the longest first. */
  private readonly idle = new Set<Instance>()
  private readonly registration: Registration

  constructor(environment: Environment, options: DynamicOptions) {
    this.environment = environment
    this.options = options
    this.label = options.label
    this.contract = options.contract
    const { context, contract, streams } = options
    this.registration = { contract, context, build: undefined, streams }
  }

  /** Those that are open, that open, or that close. */
  get members(): ReadonlyArray<NamespaceRuntime> {
    return Array.from(this.instances.keys())
  }

  /** Whether a name can be one of them. If there is a predicate, it decides. */
  mayMatch(name: string): boolean {
    return isMatchable(name) && this.params(name) !== undefined
  }

  /** Whether a name is certainly one of them, without asking a predicate. */
  matchesSurely(name: string): boolean {
    return this.options.match === undefined && this.mayMatch(name)
  }

  /**
   * Whether a client's request is for one of them. A predicate that dies counts as no, and is
   * logged.
   */
  matches(name: string, { connection, handshake }: SocketRuntime): Effect.Effect<boolean> {
    const { context, match } = this.options
    if (!this.mayMatch(name)) return Effect.succeed(false)
    if (match === undefined) return Effect.succeed(true)
    return Effect.suspend(() => match({ name, params: this.params(name), handshake })).pipe(
      Effect.provideContext(context),
      Effect.catchDefect((defect) =>
        Effect.sync(() => {
          const { observer } = this.environment
          observer.defect("matching a namespace's name failed", defect, { namespace: name }, connection)
          return false
        })
      )
    ) as Effect.Effect<boolean>
  }

  params(name: string): Readonly<Record<string, unknown>> | undefined {
    const { contract } = this
    const raw = contract.pattern?.match(name)
    if (raw === undefined) return undefined
    const params: Record<string, unknown> = {}
    for (const [parameter, codec] of contract.params) {
      const value = codec.decode(raw[parameter])
      if (value._tag === "Failure") return undefined
      // Each parameter has one spelling: "07" would be another namespace for the number 7.
      const encoded = codec.encode(value.value)
      if (encoded._tag === "Failure" || encoded.value !== raw[parameter]) return undefined
      params[parameter] = value.value
    }
    return params
  }

  /** Serves a namespace from now on. It opens with the first client that is admitted. */
  serve(namespace: NamespaceRuntime): void {
    this.served.add(namespace)
    namespace.joinGroup(this, this.registration)
  }

  /**
   * Opens a namespace if it is not open. Returns the builder of its sockets, or a refusal;
   * `undefined` on a defect.
   */
  open(namespace: NamespaceRuntime): Effect.Effect<Build | ConnectRefused | undefined> {
    return Effect.gen({ self: this }, function* () {
      // The last instance releases everything before it is acquired anew.
      while (namespace.instance?.isClosing) yield* namespace.instance.closed
      // The layer has closed meanwhile.
      if (!this.served.has(namespace)) return undefined
      let instance = this.instances.get(namespace)
      if (instance === undefined) {
        namespace.joinCluster()
        instance = new Instance(this, namespace)
        this.instances.set(namespace, instance)
        namespace.instance = instance
        instance.open()
      }
      return yield* instance.opened
    })
  }

  /**
   * An instance is empty. If there are too many, the one that has been empty the longest closes.
   */
  addIdle(instance: Instance): void {
    this.idle.delete(instance)
    this.idle.add(instance)
    if (this.idle.size <= this.options.maxIdle) return
    const [oldest] = this.idle
    oldest!.close()
  }

  removeIdle(instance: Instance): void {
    this.idle.delete(instance)
  }

  /** An instance has closed, and has given everything back. */
  remove(namespace: NamespaceRuntime): void {
    this.instances.delete(namespace)
  }

  release(namespace: NamespaceRuntime): void {
    this.served.delete(namespace)
    this.instances.get(namespace)?.onOccupied()
  }

  /** The layer has closed: so do they. */
  close(): Ending {
    const namespaces = Array.from(this.served)
    this.served.clear()
    return {
      sessions: namespaces.flatMap((namespace) => namespace.unregister()),
      onLeft: () => {
        for (const namespace of namespaces) this.instances.get(namespace)?.close()
      }
    }
  }
}

/**
 * The state of an instance. Being idle is not a state of its own: an instance may be empty while it
 * opens, because its first client may leave meanwhile.
 */
type InstanceState =
  | { readonly _tag: "Opening"; readonly fiber: Fiber.Fiber<Build, ConnectRefused> | undefined }
  | { readonly _tag: "Open" }
  | { readonly _tag: "Closing" }

/**
 * The time in which a dynamic namespace is open: from its first client to a while after its last.
 */
class Instance implements NamespaceInstance, WheelEntry {
  bucket: number = IDLE
  private readonly group: DynamicNamespaces
  private readonly namespace: NamespaceRuntime
  private readonly scope: Scope.Closeable
  private state: InstanceState = { _tag: "Opening", fiber: undefined }
  private readonly ready = Deferred.makeUnsafe<Build | ConnectRefused | undefined>()
  private readonly end = Deferred.makeUnsafe<void>()

  constructor(group: DynamicNamespaces, namespace: NamespaceRuntime) {
    this.group = group
    this.namespace = namespace
    this.scope = Scope.forkUnsafe(group.options.scope)
  }

  get isClosing(): boolean {
    return this.state._tag === "Closing"
  }

  /**
   * The builder of its sockets, once it is open; a refusal, or `undefined`, if it does not open.
   */
  get opened(): Effect.Effect<Build | ConnectRefused | undefined> {
    return Deferred.await(this.ready)
  }

  get closed(): Effect.Effect<void> {
    return Deferred.await(this.end)
  }

  /** Opens it. A failure closes it at once. */
  open(): void {
    const { environment, options } = this.group
    const { namespace } = this
    const { observer } = environment
    const fiber = environment.runFork(
      Effect.suspend(() => options.open(namespace, this.group.params(namespace.name))).pipe(
        Effect.provideContext(Context.add(options.context, Scope.Scope, this.scope))
      )
    )
    // Its first steps, which have run by now, may have closed it.
    if (this.isClosing) fiber.interruptUnsafe()
    else this.state = { _tag: "Opening", fiber }
    fiber.addObserver((exit) => {
      const refusal = exit._tag === "Failure" ? refusalOf(exit.cause) : undefined
      Deferred.doneUnsafe(this.ready, Effect.succeed(exit._tag === "Success" ? exit.value : refusal))
      if (exit._tag === "Failure") {
        // The end of its layer interrupts it, which is no failure.
        if (refusal === undefined && !Cause.hasInterruptsOnly(exit.cause)) {
          observer.error("opening a namespace failed", exit.cause, { namespace: namespace.name }, this.group)
        }
        return this.close()
      }
      if (!this.isClosing) this.onOpen()
    })
  }

  private onOpen(): void {
    this.state = { _tag: "Open" }
    const { environment, options } = this.group
    // It stays from now on, and no longer only until the deadline of its opening.
    if (!Number.isFinite(options.idleTimeToLive)) this.onOccupied()
    environment.observer.debug("namespace", "namespace opened", { namespace: this.namespace.name }, ANYONE)
    options.lifecycle.openings.publish(this.namespace)
    options.onOpen(this.namespace)
  }

  onOccupied(): void {
    this.group.removeIdle(this)
    this.group.environment.wheel.cancel(this)
  }

  onEmpty(): void {
    const { environment, options } = this.group
    const { wheel } = environment
    if (Number.isFinite(options.idleTimeToLive)) {
      wheel.schedule(this, options.idleTimeToLive)
      this.group.addIdle(this)
    } else if (this.state._tag === "Opening") {
      // Once open, it stays. If it never opens, it must not stay.
      wheel.schedule(this, environment.options.connectTimeout)
    }
  }

  /** It has been empty for its time. */
  onDeadline(): void {
    if (this.namespace.isEmpty) this.close()
  }

  close(): void {
    const { state } = this
    if (state._tag === "Closing") return
    this.state = { _tag: "Closing" }
    this.onOccupied()
    const opening = state._tag === "Opening" ? state.fiber : undefined
    opening?.interruptUnsafe()
    const { environment } = this.group
    environment.closing.close(this.scope, {
      annotations: { namespace: this.namespace.name },
      culprit: this.group,
      users: opening === undefined || opening.pollUnsafe() !== undefined ? [] : [opening],
      onClosed: () => this.onClosed(state._tag === "Open")
    })
  }

  private onClosed(wasOpen: boolean): void {
    const { group, namespace } = this
    const { environment, options } = group
    group.remove(namespace)
    namespace.onInstanceClosed()
    Deferred.doneUnsafe(this.end, Effect.void)
    environment.observer.debug("namespace", "namespace closed", { namespace: namespace.name }, ANYONE)
    // Readers were not told of a namespace that could not be opened.
    if (wasOpen) options.lifecycle.closings.publish(namespace)
    namespace.forgetIfUnused()
  }
}
