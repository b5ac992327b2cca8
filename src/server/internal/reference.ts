import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { CompiledContract } from "../../internal/compileContract.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import type { ServerRuntime } from "./server.ts"

/** What leads to a namespace: the namespace itself, or the name of one that comes and goes. */
export interface NamespaceReference {
  /** The namespace, if it is there. */
  readonly current: NamespaceRuntime | undefined
  /** Does something with the namespace, which is there meanwhile. */
  use<A, E, R>(act: (home: NamespaceRuntime) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
  /** The same for a stream. */
  stream<A, E, R>(read: (home: NamespaceRuntime) => Stream.Stream<A, E, R>): Stream.Stream<A, E, R>
  /** The same for a stream of what the namespace tells, from now on. */
  watch<A>(read: (home: NamespaceRuntime) => Stream.Stream<A>): Stream.Stream<A>
  /** The namespace, which is there until the scope closes. */
  readonly scoped: Effect.Effect<NamespaceRuntime, never, Scope.Scope>
}

/**
 * A dynamic namespace by its name. It may be open on another server alone: then it is there on this one while something is said to it or
 * heard from it.
 */
export class NamespaceByName implements NamespaceReference {
  readonly scoped: Effect.Effect<NamespaceRuntime, never, Scope.Scope>
  private readonly server: ServerRuntime
  private readonly name: string
  private readonly borrow: Effect.Effect<NamespaceRuntime>

  constructor(server: ServerRuntime, name: string, contract: CompiledContract) {
    this.server = server
    this.name = name
    this.borrow = Effect.sync(() => server.lend(name, contract))
    this.scoped = Effect.acquireRelease(this.borrow, this.giveBack)
  }

  private readonly giveBack = (home: NamespaceRuntime) => Effect.sync(() => this.server.takeBack(home))

  get current(): NamespaceRuntime | undefined {
    return this.server.get(this.name)
  }

  use<A, E, R>(act: (home: NamespaceRuntime) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(this.borrow, act, this.giveBack)
  }

  stream<A, E, R>(read: (home: NamespaceRuntime) => Stream.Stream<A, E, R>): Stream.Stream<A, E, R> {
    return Stream.unwrap(Effect.map(this.scoped, read)) as Stream.Stream<A, E, R>
  }

  /** One that is not open tells nothing. */
  watch<A>(read: (home: NamespaceRuntime) => Stream.Stream<A>): Stream.Stream<A> {
    const { current } = this
    return current === undefined ? Stream.empty : read(current)
  }
}

/**
 * A namespace that the application knows, by its name. It may be served later, or never: it is there while something is said to
 * it or heard from it, as names may come from users. From the first layer that serves it on it stays.
 */
export class MentionedNamespace implements NamespaceReference {
  readonly scoped: Effect.Effect<NamespaceRuntime, never, Scope.Scope>
  private readonly server: ServerRuntime
  private readonly name: string
  private readonly contract: CompiledContract | undefined
  private readonly borrow: Effect.Effect<NamespaceRuntime>

  constructor(server: ServerRuntime, name: string, contract: CompiledContract | undefined) {
    this.server = server
    this.name = name
    this.contract = contract
    this.borrow = Effect.sync(() => server.mention(name, contract))
    this.scoped = Effect.acquireRelease(this.borrow, this.giveBack)
  }

  private readonly giveBack = (home: NamespaceRuntime) => Effect.sync(() => this.server.unmention(home))

  get current(): NamespaceRuntime | undefined {
    return this.server.get(this.name)
  }

  use<A, E, R>(act: (home: NamespaceRuntime) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const { contract, current } = this
    if (current?.stays !== true) return Effect.acquireUseRelease(this.borrow, act, this.giveBack)
    if (contract !== undefined) current.learn(contract)
    return act(current)
  }

  stream<A, E, R>(read: (home: NamespaceRuntime) => Stream.Stream<A, E, R>): Stream.Stream<A, E, R> {
    return Stream.unwrap(Effect.map(this.scoped, read)) as Stream.Stream<A, E, R>
  }

  /** One that is not served may be: until then it tells nothing. */
  watch<A>(read: (home: NamespaceRuntime) => Stream.Stream<A>): Stream.Stream<A> {
    return this.stream(read)
  }
}
