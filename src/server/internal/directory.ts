import * as Effect from "effect/Effect"

import type { CompiledContract } from "../../internal/compileContract.ts"
import { isMatchable, ownCopy } from "../../internal/namespacePattern.ts"
import type { Ending } from "./closing.ts"
import type { Connection } from "./connection.ts"
import type { DynamicNamespaces, Lifecycle } from "./dynamic.ts"
import type { Environment } from "./environment.ts"
import { Hub } from "./hub.ts"
import type { Entrances } from "./joining.ts"
import { type NamespaceOwner, NamespaceRuntime } from "./namespace.ts"
import type { Registration } from "./ports.ts"
import type { SocketRuntime } from "./socket.ts"

/** The number of namespaces for which clients may wait at once. */
const MAX_AWAITED = 1_000

/** Decides whether a client is admitted to a namespace, and builds its handlers. */
export type Admit = (directory: Directory, namespace: NamespaceRuntime, socket: SocketRuntime) => Effect.Effect<unknown>

/** The namespaces of a server, by their names. */
export class Directory implements Entrances<Connection>, NamespaceOwner {
  readonly environment: Environment
  readonly admit: NamespaceOwner["admit"]
  /** The namespaces that open: a layer of their own serves them, or their first client has come. */
  readonly opened = new Hub<NamespaceRuntime>()
  private readonly namespaces = new Map<string, NamespaceRuntime>()
  private readonly dynamic = new Set<DynamicNamespaces>()
  /** The namespaces without a layer for which clients wait. */
  private readonly awaited = new Set<NamespaceRuntime>()
  /** Dynamic namespaces whose layer has closed. It may come again. */
  private readonly retired = new Map<string, DynamicNamespaces>()
  private readonly lifecycles = new Map<CompiledContract, Lifecycle>()

  constructor(environment: Environment, admit: Admit) {
    this.environment = environment
    this.admit = (namespace, socket) => admit(this, namespace, socket)
  }

  // ---------------------------------------------------------------- names

  /** The namespace of a name, if it is there. */
  get(name: string): NamespaceRuntime | undefined {
    return this.namespaces.get(name)
  }

  private getOrCreate(name: string): NamespaceRuntime {
    let namespace = this.namespaces.get(name)
    if (namespace !== undefined) return namespace
    const own = ownCopy(name)
    namespace = new NamespaceRuntime(own, this.environment, this)
    this.namespaces.set(own, namespace)
    return namespace
  }

  /** The namespace of a name, which is there until it is released. */
  retain(name: string, contract: CompiledContract | undefined): NamespaceRuntime {
    const namespace = this.getOrCreate(name)
    if (contract !== undefined) namespace.setContract(contract)
    namespace.retained++
    return namespace
  }

  release(namespace: NamespaceRuntime): void {
    namespace.retained--
    this.forgetIfUnused(namespace)
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
    this.opened.close()
    for (const { closings, openings } of this.lifecycles.values()) {
      openings.close()
      closings.close()
    }
  }

  // ---------------------------------------------------------------- clients

  find(name: string): NamespaceRuntime | undefined {
    const namespace = this.namespaces.get(name)
    if (namespace?.registration !== undefined) return namespace
    for (const group of this.dynamic) if (group.mayMatch(name)) return this.getOrCreate(name)
    if (this.environment.graceLeft === 0) return undefined
    if (namespace !== undefined || !isMatchable(name)) return namespace
    // Clients of protocol 4 do not ask for the default namespace: they are in it.
    if (this.awaited.size >= MAX_AWAITED && name !== "/") return undefined
    const created = this.getOrCreate(name)
    this.awaited.add(created)
    return created
  }

  notAwaited(namespace: NamespaceRuntime): void {
    this.awaited.delete(namespace)
  }

  /**
   * Its layer may be in replacement, or the server has just started and clients wait for any name.
   */
  mayCome(name: string): boolean {
    return this.wasServed(name) || (isMatchable(name) && this.environment.graceLeft > 0)
  }

  /** Whether a layer has served the namespace before, but not now. */
  wasServed(name: string): boolean {
    if (this.namespaces.get(name)?.layer.wasServed === true) return true
    for (const group of this.retired.values()) if (group.matchesSurely(name)) return true
    return false
  }

  /** Returns the dynamic namespaces that a client asks for: the first that match. */
  findDynamic(name: string, socket: SocketRuntime): Effect.Effect<DynamicNamespaces | undefined> {
    return Effect.gen({ self: this }, function* () {
      for (const group of Array.from(this.dynamic)) {
        // Its layer may have closed while the predicate of another was at work.
        if ((yield* group.matches(name, socket)) && this.dynamic.has(group)) return group
      }
      return undefined
    })
  }

  // ---------------------------------------------------------------- layers

  /** Whether any layer serves a namespace. */
  get isServing(): boolean {
    if (this.dynamic.size > 0) return true
    for (const { registration } of this.namespaces.values()) if (registration !== undefined) return true
    return false
  }

  /** The open namespaces: those of layers, and dynamic ones with clients or shortly after. */
  get open(): ReadonlyArray<NamespaceRuntime> {
    return Array.from(this.namespaces.values()).filter(
      ({ instance, registration, stays }) => registration !== undefined && (stays || instance !== undefined)
    )
  }

  /** Serves the namespace of a name. Throws if it is served already. */
  register(name: string, registration: Registration): NamespaceRuntime {
    const namespace = this.getOrCreate(name)
    if (namespace.registration !== undefined) throw new Error(`namespace "${name}" is served by two layers`)
    namespace.serve(registration)
    this.opened.publish(namespace)
    return namespace
  }

  /** Serves dynamic namespaces from now on; clients that wait for one of them are let in. */
  addDynamic(group: DynamicNamespaces): void {
    this.dynamic.add(group)
    this.environment.closing.forgetShutdown()
    this.retired.delete(group.label)
    for (const namespace of this.namespaces.values()) {
      const { layer, name } = namespace
      if (layer.registration === undefined && group.mayMatch(name)) layer.announceChange()
    }
  }

  removeDynamic(group: DynamicNamespaces): Ending {
    this.dynamic.delete(group)
    this.retired.set(group.label, group)
    return group.close()
  }

  /** The dynamic namespaces of a contract, if a layer serves them. */
  dynamicOf(contract: CompiledContract): DynamicNamespaces | undefined {
    for (const group of this.dynamic) if (group.contract === contract) return group
    return undefined
  }

  /** The openings and closings of a contract's dynamic namespaces, served by a layer or not. */
  lifecycleOf(contract: CompiledContract): Lifecycle {
    let lifecycle = this.lifecycles.get(contract)
    if (lifecycle === undefined) {
      lifecycle = { openings: new Hub(), closings: new Hub() }
      this.lifecycles.set(contract, lifecycle)
    }
    return lifecycle
  }
}
