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
}
