import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

import type { Registration } from "./ports.ts"

/** The dynamic namespaces of one layer, in the form that one of them uses. */
export interface NamespaceGroup<N> {
  /** Their pattern: metrics use it, as clients choose the names. */
  readonly label: string
  /** The parameters of a name; `undefined` if they do not decode. */
  params(name: string): Readonly<Record<string, unknown>> | undefined
  /** The server has forgotten one of them. */
  release(namespace: N): void
}

/** A layer of its own serves the namespace. */
interface Served {
  readonly _tag: "Served"
  readonly registration: Registration
}

/** It is one of a layer's dynamic namespaces. */
interface Dynamic<N> {
  readonly _tag: "Dynamic"
  readonly registration: Registration
  readonly group: NamespaceGroup<N>
}

/** No layer serves it now. `last` served it before. */
interface Absent<N> {
  readonly _tag: "Absent"
  readonly last: Served | Dynamic<N> | undefined
}

/** No layer serves it, and clients wait for one. */
interface Awaited<N> {
  readonly _tag: "Awaited"
  readonly last: Served | Dynamic<N> | undefined
  readonly change: Latch.Latch
}

const neverServed = { _tag: "Absent", last: undefined } as const

/** The layer that serves a namespace, if there is one, and the wait of clients for one. */
export class LayerState<N> {
  private state: Absent<N> | Awaited<N> | Served | Dynamic<N> = neverServed
  /**
   * A layer of its own serves the namespace, or has served it. It stays from then on, because
   * handles refer to it.
   */
  hadOwn = false

  /** The layer that serves it now, in the form in which it is registered. */
  get registration(): Registration | undefined {
    return this.current?.registration
  }

  /** Whether a layer serves it, or has served it: clients are then to come back, not to give up. */
  get wasServed(): boolean {
    return this.latest !== undefined
  }

  /** The dynamic namespaces of which it is one, or was. */
  get group(): NamespaceGroup<N> | undefined {
    const { latest } = this
    return latest?._tag === "Dynamic" ? latest.group : undefined
  }

  private get current(): Served | Dynamic<N> | undefined {
    const { state } = this
    return state._tag === "Served" || state._tag === "Dynamic" ? state : undefined
  }

  /** The layer that serves it, or served it last. */
  private get latest(): Served | Dynamic<N> | undefined {
    const { state } = this
    return state._tag === "Absent" || state._tag === "Awaited" ? state.last : state
  }

  /** A layer serves it from now on: one of its own, or that of a group. */
  begin(registration: Registration, group?: NamespaceGroup<N>): void {
    const { state } = this
    if (group === undefined) this.hadOwn = true
    this.state = group === undefined ? { _tag: "Served", registration } : { _tag: "Dynamic", group, registration }
    if (state._tag === "Awaited") state.change.openUnsafe()
  }

  /** The layer has closed. Returns whether there was one. */
  end(): boolean {
    const { current } = this
    if (current === undefined) return false
    this.state = { _tag: "Absent", last: current }
    return true
  }

  /**
   * Waits until a layer may serve it, up to `millis` milliseconds. Returns whether the wait was in
   * vain.
   */
  awaitChange(millis: number): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      let { state } = this
      if (state._tag === "Served" || state._tag === "Dynamic") return Effect.succeed(false)
      if (state._tag === "Absent") {
        this.state = state = { _tag: "Awaited", last: state.last, change: Latch.makeUnsafe(false) }
      }
      return Effect.map(
        Effect.timeoutOption(state.change.await, Duration.millis(millis)),
        (result) => result._tag === "None"
      )
    })
  }

  /** A layer may serve it: waiting clients check again. */
  announceChange(): void {
    const { state } = this
    if (state._tag !== "Awaited") return
    this.state = { _tag: "Absent", last: state.last }
    state.change.openUnsafe()
  }
}
