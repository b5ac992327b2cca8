import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { CompiledContract } from "../../internal/compileContract.ts"
import type { Directory } from "./directory.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import type { Reference } from "./ports.ts"

/**
 * A namespace by its name. It exists while it is used: names may come from users, and many of them
 * may never be served.
 */
abstract class NamedReference implements Reference<NamespaceRuntime> {
  protected readonly directory: Directory
  protected readonly contract: CompiledContract | undefined
  protected readonly retain: Effect.Effect<NamespaceRuntime>
  readonly scoped: Effect.Effect<NamespaceRuntime, never, Scope.Scope>
  readonly name: string

  constructor(directory: Directory, name: string, contract: CompiledContract | undefined) {
    this.directory = directory
    this.name = name
    this.contract = contract
    this.retain = Effect.sync(() => directory.retain(name, contract))
    this.scoped = Effect.acquireRelease(this.retain, this.release)
  }

  protected readonly release = (namespace: NamespaceRuntime) => Effect.sync(() => this.directory.release(namespace))

  get current(): NamespaceRuntime | undefined {
    return this.directory.get(this.name)
  }

  use<A, E, R>(act: (namespace: NamespaceRuntime) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(this.retain, act, this.release)
  }

  stream<A, E, R>(read: (namespace: NamespaceRuntime) => Stream.Stream<A, E, R>): Stream.Stream<A, E, R> {
    return Stream.unwrap(Effect.map(this.scoped, read)) as Stream.Stream<A, E, R>
  }

  abstract watch<A, E>(read: (namespace: NamespaceRuntime) => Stream.Stream<A, E>): Stream.Stream<A, E>
}

/** A dynamic namespace. It may be open on another server only. Its streams end when it closes. */
export class DynamicReference extends NamedReference {
  /** A namespace that is not open has no events. */
  watch<A, E>(read: (namespace: NamespaceRuntime) => Stream.Stream<A, E>): Stream.Stream<A, E> {
    const { current } = this
    return current === undefined ? Stream.empty : read(current)
  }
}

/**
 * A namespace that a layer may serve later, or never. It stays once a layer of its own has served
 * it. Its streams go on when a layer closes, until the server ends.
 */
export class StaticReference extends NamedReference {
  override use<A, E, R>(act: (namespace: NamespaceRuntime) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const { contract, current } = this
    if (current?.stays !== true) return super.use(act)
    if (contract !== undefined) current.setContract(contract)
    return act(current)
  }

  /** One that is not served may be: until then it has no news. */
  watch<A, E>(read: (namespace: NamespaceRuntime) => Stream.Stream<A, E>): Stream.Stream<A, E> {
    return this.stream((namespace) => {
      namespace.watchers++
      return Stream.ensuring(
        read(namespace),
        Effect.sync(() => namespace.watchers--)
      )
    })
  }
}
