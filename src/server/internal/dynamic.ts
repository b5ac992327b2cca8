import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

import type { Handshake } from "../../Handshake.ts"
import { isMatchable } from "../../internal/namespacePattern.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { ANYONE } from "../../internal/lineLimits.ts"
import type { Build, NamespaceRuntime } from "./namespace.ts"
import type { ServerRuntime } from "./server.ts"
import type { SocketRuntime } from "./socket.ts"

/** What is asked for when a client asks for a namespace that is not there. */
export interface NamespaceRequest {
  readonly name: string
  readonly params: any
  readonly handshake: Handshake
}

export interface DynamicOptions {
  readonly label: string
  readonly contract: CompiledContract | undefined
  readonly context: Context.Context<any>
  /** Whether a name can be one of these namespaces: what can be told at once. */
  readonly test: ((name: string) => boolean) | undefined
  /** Whether a name that can be one is one. */
  readonly match: ((request: NamespaceRequest) => Effect.Effect<boolean, never, any>) | undefined
  /** Runs once per namespace, in its scope; yields what builds its sockets. */
  readonly open: (home: NamespaceRuntime, params: any) => Effect.Effect<Build, never, any>
  /** How long a namespace stays when it is empty, in milliseconds. */
  readonly idleTimeToLive: number
  /** How many may be empty at once. */
  readonly maxIdle: number
}

/** Namespaces that come into being when clients ask for them. */
export class DynamicNamespaces {
  readonly label: string
  readonly contract: CompiledContract | undefined
  readonly idleTimeToLive: number
  /** Those that are open, or about to open. */
  readonly members = new Set<NamespaceRuntime>()
  /** Those that clients are admitted to: members, and those whose first clients are still being asked who they are. */
  private readonly adopted = new Set<NamespaceRuntime>()
  /** Those that are empty and will close, the one that has been so the longest first. */
  private readonly idle = new Set<NamespaceRuntime>()
  private readonly options: DynamicOptions
  private readonly server: ServerRuntime

  constructor(server: ServerRuntime, options: DynamicOptions) {
    this.server = server
    this.options = options
    this.label = options.label
    this.contract = options.contract
    this.idleTimeToLive = options.idleTimeToLive
  }

  /** Whether a name can be one of them. `true` for those that only a predicate knows. */
  mayMatch(name: string): boolean {
    if (!isMatchable(name) || this.options.test?.(name) === false) return false
    return this.params(name) !== undefined
  }

  /** Whether it can be told at once that a name is one of them. */
  matchesSurely(name: string): boolean {
    return this.options.test !== undefined && this.options.match === undefined && this.mayMatch(name)
  }

  /** Whether a client's request is for one of them. A predicate that dies says no, and that is logged. */
  matches(name: string, { connection, handshake }: SocketRuntime): Effect.Effect<boolean> {
    const { context, match } = this.options
    if (!this.mayMatch(name)) return Effect.succeed(false)
    if (match === undefined) return Effect.succeed(true)
    return Effect.suspend(() => match({ name, params: this.params(name), handshake })).pipe(
      Effect.provideContext(context),
      Effect.catchDefect((defect) =>
        Effect.sync(() => {
          this.server.defect("matching a namespace's name failed", defect, { namespace: name }, connection)
          return false
        })
      )
    ) as Effect.Effect<boolean>
  }

  /** The parameters of a name; `undefined` if they do not decode. */
  params(name: string): Readonly<Record<string, unknown>> | undefined {
    const { contract } = this
    if (contract?.pattern === undefined) return {}
    const raw = contract.pattern.match(name)
    if (raw === undefined) return undefined
    const params: Record<string, unknown> = {}
    for (const [parameter, codec] of contract.params) {
      const value = codec.decode(raw[parameter])
      if (value._tag === "Failure") return undefined
      // One name for the same parameters: "07" would be a second namespace for what "7" is.
      const encoded = codec.encode(value.value)
      if (encoded._tag === "Failure" || encoded.value !== raw[parameter]) return undefined
      params[parameter] = value.value
    }
    return params
  }

  /** Makes a namespace one of them. */
  adopt(home: NamespaceRuntime): void {
    home.family = this
    this.adopted.add(home)
    home.register({ contract: this.contract, context: this.options.context, build: undefined })
  }

  /** Opens a namespace if it is not open; what builds its sockets, or `undefined` if that failed. */
  open(home: NamespaceRuntime): Effect.Effect<Build | undefined> {
    return Effect.gen({ self: this }, function* () {
      // What it holds is given back before it is acquired anew.
      while (home.instance?.isClosing) yield* home.instance.closed
      // The layer has closed meanwhile: nothing opens any more.
      if (!this.adopted.has(home)) return undefined
      let { instance } = home
      if (instance === undefined) {
        home.joinCluster()
        home.instance = instance = new Instance(this, this.server, home)
        instance.start((scope) =>
          Effect.suspend(() => this.options.open(home, this.params(home.name))).pipe(
            Effect.provideContext(Context.add(this.options.context, Scope.Scope, scope))
          )
        )
      }
      return yield* instance.opened
    })
  }

  /** Nobody is in a namespace any more: it closes after its time, or before if too many are waiting for theirs. */
  onEmpty(home: NamespaceRuntime): void {
    if (!Number.isFinite(this.idleTimeToLive)) {
      // It would stay once it were open. One that does not open would, too, for nobody.
      if (home.instance?.isOpening) this.server.wheel.schedule(home, this.server.options.connectTimeout)
      return
    }
    this.server.wheel.schedule(home, this.idleTimeToLive)
    this.idle.delete(home)
    this.idle.add(home)
    if (this.idle.size <= this.options.maxIdle) return
    const [oldest] = this.idle
    this.notIdle(oldest!)
    oldest!.instance?.close()
  }

  /** Somebody has come, or it is closing. */
  notIdle(home: NamespaceRuntime): void {
    this.idle.delete(home)
    this.server.wheel.cancel(home)
  }

  /** The server has forgotten a namespace. */
  release(home: NamespaceRuntime): void {
    this.adopted.delete(home)
    this.idle.delete(home)
  }

  /** The layer has closed: so do they. */
  close(): void {
    const homes = Array.from(this.adopted)
    this.adopted.clear()
    for (const home of homes) {
      home.unregister()
      home.instance?.close()
    }
  }
}

/** One life of a dynamic namespace, from its first socket to the time after its last. */
export class Instance {
  isClosing = false
  private readonly family: DynamicNamespaces
  private readonly server: ServerRuntime
  private readonly home: NamespaceRuntime
  private readonly scope = Scope.makeUnsafe()
  private fiber: Fiber.Fiber<Build> | undefined
  private readonly ready = Deferred.makeUnsafe<Build | undefined>()
  private readonly ended = Deferred.makeUnsafe<void>()

  constructor(family: DynamicNamespaces, server: ServerRuntime, home: NamespaceRuntime) {
    this.family = family
    this.server = server
    this.home = home
    family.members.add(home)
  }

  get isOpening(): boolean {
    return this.fiber?.pollUnsafe() === undefined
  }

  /** What builds its sockets, once it is open; `undefined` if that failed. */
  get opened(): Effect.Effect<Build | undefined> {
    return Deferred.await(this.ready)
  }

  /** Waits until everything that it held is given back. */
  get closed(): Effect.Effect<void> {
    return Deferred.await(this.ended)
  }

  /** Opens it: a failure closes it at once. */
  start(open: (scope: Scope.Scope) => Effect.Effect<Build>): void {
    const { family, home, server } = this
    this.fiber = server.runFork(open(this.scope))
    // What it ran at once may have closed it already.
    if (this.isClosing) this.fiber.interruptUnsafe()
    this.fiber.addObserver((exit) => {
      Deferred.doneUnsafe(this.ready, Exit.isSuccess(exit) ? Effect.succeed(exit.value) : Effect.succeed(undefined))
      if (Exit.isSuccess(exit)) {
        if (!Number.isFinite(family.idleTimeToLive)) family.notIdle(home)
        server.debug("namespace", "namespace opened", { namespace: home.name }, ANYONE)
        if (family.contract !== undefined) server.livesOf(family.contract).openings.publish(home)
        return
      }
      // It is interrupted when its layer closes: nothing is wrong then.
      if (!Cause.hasInterruptsOnly(exit.cause)) {
        server.error("opening a namespace failed", exit.cause, { namespace: home.name }, family)
      }
      this.close()
    })
  }

  close(): void {
    if (this.isClosing) return
    this.isClosing = true
    this.family.notIdle(this.home)
    const { fiber } = this
    fiber?.interruptUnsafe()
    const onClosed = () => {
      this.home.instance = undefined
      this.family.members.delete(this.home)
      this.home.endStreams()
      Deferred.doneUnsafe(this.ended, Effect.void)
      this.server.debug("namespace", "namespace closed", { namespace: this.home.name }, ANYONE)
      const exit = fiber?.pollUnsafe()
      const { contract } = this.family
      // One that could not be opened was never told of.
      if (contract !== undefined && exit?._tag === "Success") this.server.livesOf(contract).closings.publish(this.home)
      this.server.forgetIfUnused(this.home)
    }
    const opening = fiber === undefined || fiber.pollUnsafe() !== undefined ? [] : [fiber]
    this.server.closeScope(this.scope, { namespace: this.home.name }, onClosed, opening, this.family)
  }
}
