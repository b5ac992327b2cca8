import * as Effect from "effect/Effect"
import * as MutableList from "effect/MutableList"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"

import { CAPACITY } from "../../internal/streamCapacity.ts"
import type { PubSubOptions } from "../BroadcastOperator.ts"
import { type Emission, reaches } from "./emissions.ts"
import type { Broadcaster, Target } from "./ports.ts"

/** The way of an event to a selection, and the way back. */
export interface EventChannel {
  readonly event: string
  readonly target: Target
  /** The rooms whose broadcasts subscribers get; `undefined`: the broadcasts to any. */
  readonly rooms: ReadonlyArray<string> | undefined
  /** Sends a payload to the selection. */
  readonly emit: (payload: any) => Effect.Effect<void>
}

/**
 * Makes a `PubSub` whose medium is the namespace: publishing emits, and subscribers get the events
 * of the namespace's hub. It listens to the hub while it has subscribers.
 */
export const makeEventPubSub = (
  channel: EventChannel,
  options: PubSubOptions
): Effect.Effect<PubSub.PubSub<any>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const namespace = yield* channel.target.namespace.scoped
    const strategy = new EmittingStrategy(channel.emit)
    const values = new Received(channel, namespace, options)
    const pubsub = yield* Effect.acquireRelease(
      PubSub.make<any>({ atomicPubSub: () => values, strategy: () => strategy }),
      PubSub.shutdown
    )
    values.wake = () => strategy.completeSubscribersUnsafe(values, pubsub.subscribers)
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    values.end = () => void runFork(PubSub.shutdown(pubsub))
    return pubsub
  })

/** Emits published values. It always reports itself as full, so that the strategy has to act. */
class EmittingStrategy extends PubSub.DroppingStrategy<any> {
  private readonly emit: (payload: any) => Effect.Effect<void>

  constructor(emit: (payload: any) => Effect.Effect<void>) {
    super()
    this.emit = emit
  }

  override handleSurplus(_values: unknown, _subscribers: unknown, payloads: Iterable<any>): Effect.Effect<boolean> {
    return Effect.as(Effect.forEach(payloads, this.emit, { discard: true }), true)
  }
}

/** The payloads from the hub, for each subscriber. */
class Received implements PubSub.PubSub.Atomic<any> {
  readonly capacity: number
  wake = () => {}
  end = () => {}
  private readonly channel: EventChannel
  private readonly namespace: Broadcaster
  private readonly dropsOldest: boolean
  private readonly subscriptions = new Set<ReceivedSubscription>()
  private unsubscribe: (() => void) | undefined
  private isWaking = false

  constructor(channel: EventChannel, namespace: Broadcaster, { capacity = CAPACITY, overflow }: PubSubOptions) {
    this.channel = channel
    this.namespace = namespace
    this.capacity = capacity
    this.dropsOldest = overflow === "dropOldest"
  }

  subscribe(): PubSub.PubSub.BackingSubscription<any> {
    this.unsubscribe ??= this.namespace.emissions.subscribe({
      offer: (emission) => this.receive(emission),
      end: () => this.end()
    })
    const subscription: ReceivedSubscription = new ReceivedSubscription(() => {
      this.subscriptions.delete(subscription)
      if (this.subscriptions.size > 0) return
      this.unsubscribe?.()
      this.unsubscribe = undefined
    })
    this.subscriptions.add(subscription)
    return subscription
  }

  private receive(emission: Emission): void {
    const { event, rooms, target } = this.channel
    if (emission.data[0] !== event || !reaches(emission, rooms)) return
    const received = target.encoding.received(emission)
    if (received === undefined) return
    for (const subscription of this.subscriptions) subscription.add(received.payload, this.capacity, this.dropsOldest)
    if (this.isWaking) return
    this.isWaking = true
    // Deferred: a subscriber must not emit before the current broadcast is sent.
    queueMicrotask(() => {
      this.isWaking = false
      this.wake()
    })
  }

  size(): number {
    let size = 0
    for (const subscription of this.subscriptions) size = Math.max(size, subscription.size())
    return size
  }

  isEmpty(): boolean {
    return this.size() === 0
  }

  isFull(): boolean {
    return this.size() >= this.capacity
  }

  publish(): boolean {
    return false
  }

  publishAll(payloads: Iterable<any>): Array<any> {
    return Array.from(payloads)
  }

  slide(): void {}

  replayWindow(): PubSub.PubSub.ReplayWindow<any> {
    return noReplay
  }
}

/** The payloads that wait for one subscriber. */
class ReceivedSubscription implements PubSub.PubSub.BackingSubscription<any> {
  private readonly waiting = MutableList.make<any>()
  readonly unsubscribe: () => void

  constructor(unsubscribe: () => void) {
    this.unsubscribe = unsubscribe
  }

  add(payload: unknown, capacity: number, dropsOldest: boolean): void {
    // This also treats a capacity of NaN as 0.
    if (!(this.waiting.length < capacity)) {
      if (!dropsOldest || this.waiting.length === 0) return
      MutableList.take(this.waiting)
    }
    MutableList.append(this.waiting, payload)
  }

  isEmpty(): boolean {
    return this.waiting.length === 0
  }

  size(): number {
    return this.waiting.length
  }

  poll(): any {
    return MutableList.take(this.waiting)
  }

  pollUpTo(n: number): Array<any> {
    return MutableList.takeN(this.waiting, n)
  }
}

const noReplay: PubSub.PubSub.ReplayWindow<never> = {
  remaining: 0,
  take: () => undefined,
  takeN: () => [],
  takeAll: () => [],
  close: () => {}
}
