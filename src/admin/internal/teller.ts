import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"

import type * as Namespace from "../../Namespace.ts"
import type { NamespaceHandle } from "../../server/NamespaceHandle.ts"

/** The messages to pages that may wait. They wait for slow pages only with the policy `suspend`. */
const CAPACITY = 10_000

/** The pages that a message is for: all of them on every server, or those with some ids. */
export type Audience =
  | { readonly _tag: "All" }
  | { readonly _tag: "Pages"; readonly ids: ReadonlyArray<string>; readonly isHere: boolean }

const all: Audience = { _tag: "All" }

/**
 * Sends messages to pages, in order, from a fiber of its own: a client whose event is shown waits
 * for no page.
 */
export class Teller {
  readonly namespace: NamespaceHandle<Namespace.Untyped>
  private readonly queue: Queue.Queue<Effect.Effect<void>>

  private constructor(namespace: NamespaceHandle<Namespace.Untyped>, queue: Queue.Queue<Effect.Effect<void>>) {
    this.namespace = namespace
    this.queue = queue
  }

  static make(namespace: NamespaceHandle<Namespace.Untyped>): Effect.Effect<Teller> {
    return Effect.map(Queue.dropping<Effect.Effect<void>>(CAPACITY), (queue) => new Teller(namespace, queue))
  }

  /** Sends a message to all pages. Returns whether it was taken: too many may wait. */
  tell(event: string, ...args: ReadonlyArray<unknown>): boolean {
    return this.tellSome(all, event, ...args)
  }

  tellSome(to: Audience, event: string, ...args: ReadonlyArray<unknown>): boolean {
    return this.afterwards(this.operatorOf(to).emit(event, ...args))
  }

  /** Does something after everything that waits was sent. */
  afterwards(effect: Effect.Effect<void>): boolean {
    return Queue.offerUnsafe(this.queue, effect)
  }

  /** Sends the messages that wait, and those that come. */
  get work(): Effect.Effect<never> {
    return Effect.forever(
      Effect.flatMap(Queue.takeAll(this.queue), (messages) => Effect.forEach(messages, guarded, { discard: true }))
    )
  }

  /** The waiting messages have no recipients any more. */
  get clear(): Effect.Effect<void> {
    return Effect.asVoid(Queue.clear(this.queue))
  }

  private operatorOf(to: Audience) {
    if (to._tag === "All") return this.namespace.all
    const pages = this.namespace.in(to.ids)
    return to.isHere ? pages.local : pages
  }
}

/** A bug of ours must not end everything else that is told. */
export const guarded = <A, R>(effect: Effect.Effect<A, never, R>): Effect.Effect<void, never, R> =>
  Effect.catchCause(Effect.asVoid(effect), (cause) =>
    Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError("admin: something could not be told", cause)
  )
