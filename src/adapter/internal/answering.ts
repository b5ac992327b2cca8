import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

import type { BroadcastFlags, BroadcastPacket, Host } from "../Adapter.ts"
import type { ClusterAnswer, Question, Sender } from "../ClusterMessage.ts"
import type { InMemoryAdapter } from "../InMemoryAdapter.ts"

/** The questions of others that are at work at once. The oldest one is given up beyond that. */
const MAX_AT_WORK = 10_000

/** An asker that has not pinged for so long no longer waits, in milliseconds. */
const LEASE = 60_000

/** Between two searches for askers that no longer wait, in milliseconds. */
const SWEEP_INTERVAL = 5_000

/** A question that waits for this server's clients or handlers. */
interface Work {
  readonly asker: string
  readonly lease: number
  readonly cancel: () => void
  until: number
}

/** Answers the questions of other servers in one namespace. */
export class Answering {
  private readonly say: (to: Sender, answer: ClusterAnswer) => void
  private readonly host: Host
  private readonly own: InMemoryAdapter
  private readonly clock: Clock.Clock
  private readonly work = new Map<string, Work>()
  /** The keys of the work for each asker. */
  private readonly askers = new Map<string, Set<string>>()
  private readonly wanted = Latch.makeUnsafe(false)
  private isClosed = false

  /** `say` sends an answer; it never throws. */
  constructor(say: (to: Sender, answer: ClusterAnswer) => void, host: Host, own: InMemoryAdapter, clock: Clock.Clock) {
    this.say = say
    this.host = host
    this.own = own
    this.clock = clock
  }

  /** Answers at once, or when the clients or the handlers have. Throws on an unsound question. */
  answer(from: Sender, requestId: string, question: Question): void {
    if (this.isClosed) return
    switch (question._tag) {
      case "Fetch":
        return this.say(from, { _tag: "Sockets", requestId, sockets: this.own.fetchUnsafe(question.selection) })
      case "Count":
        return this.say(from, { _tag: "Counted", requestId, count: this.own.countUnsafe(question.selection) })
      case "ServerEvent":
        return this.askHandlers(from, requestId, question)
      case "Ask":
        return this.askClients(from, requestId, question)
    }
  }

  /** The asker wants to know whether this server is at work on its question. */
  ping(from: Sender, requestId: string): void {
    const work = this.work.get(keyOf(from, requestId))
    if (work === undefined) return
    work.until = this.now + work.lease
    this.say(from, { _tag: "Alive", requestId })
  }

  /** The asker no longer needs the answers. */
  cancel(from: Sender, requestId: string): void {
    this.giveUp(keyOf(from, requestId))
  }

  /** A server has left: nobody waits for its answers. */
  onServerLeft(uid: string): void {
    for (const key of this.askers.get(uid) ?? []) this.giveUp(key)
  }

  /** Takes no more questions: the namespace closes. */
  close(): void {
    this.isClosed = true
    for (const key of this.work.keys()) this.giveUp(key)
  }

  /**
   * Gives up the work for askers that no longer wait, for ever. Nothing runs while there is no
   * work.
   */
  get watch(): Effect.Effect<never> {
    const sweep = Effect.sync(() => {
      const { now } = this
      for (const [key, { until }] of this.work) if (until <= now) this.giveUp(key)
      if (this.work.size === 0) this.wanted.closeUnsafe()
    })
    return this.wanted.await.pipe(Effect.andThen(Effect.sleep(SWEEP_INTERVAL)), Effect.andThen(sweep), Effect.forever)
  }

  private get now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  private askHandlers(from: Sender, requestId: string, question: Question & { readonly _tag: "ServerEvent" }): void {
    const { data, trace } = question
    const key = keyOf(from, requestId)
    if (this.work.has(key)) return
    let isOver = false
    this.begin(key, from, undefined, () => {
      isOver = true
    })
    try {
      this.host.onServerEvent(
        data,
        (args) => {
          if (isOver) return
          isOver = true
          this.finish(key)
          // Official servers wait for an answer until their time is over; they know no other one.
          if (args !== undefined || from.native) this.say(from, { _tag: "Answered", requestId, args })
        },
        trace
      )
    } catch (defect) {
      this.finish(key)
      throw defect
    }
  }

  private askClients(from: Sender, requestId: string, question: Question & { readonly _tag: "Ask" }): void {
    const { data, mayHaveBinary, selection, timeout, trace } = question
    const packet: BroadcastPacket = { data, mayHaveBinary, trace }
    const flags: BroadcastFlags = { ...question.flags, local: false }
    const key = keyOf(from, requestId)
    if (this.work.has(key)) return
    let isOver = false
    // A client that is dropped at once has left before the number of recipients is known.
    let leftBefore: number | undefined = 0
    const { cancel, recipients } = this.own.askUnsafe(packet, selection, flags, {
      onAck: (acknowledgement) => this.say(from, { _tag: "Acknowledged", requestId, acknowledgement }),
      onLeft: () => {
        if (leftBefore !== undefined) leftBefore++
        else if (from.native) this.say(from, { _tag: "RecipientLeft", requestId })
      },
      onEnd: () => {
        isOver = true
        this.finish(key)
      }
    })
    this.say(from, { _tag: "Recipients", requestId, count: recipients - leftBefore })
    leftBefore = undefined
    if (!isOver) this.begin(key, from, timeout, cancel)
  }

  private begin(key: string, from: Sender, timeout: number | undefined, cancel: () => void): void {
    if (this.work.size >= MAX_AT_WORK) this.giveUp(this.work.keys().next().value!)
    const lease = from.native || timeout === undefined ? LEASE : timeout
    const asker = from.uid ?? ""
    this.work.set(key, { asker, lease, cancel, until: this.now + lease })
    const keys = this.askers.get(asker)
    if (keys === undefined) this.askers.set(asker, new Set([key]))
    else keys.add(key)
    this.wanted.openUnsafe()
  }

  private giveUp(key: string): void {
    const work = this.work.get(key)
    if (work === undefined) return
    this.finish(key)
    work.cancel()
  }

  private finish(key: string): void {
    const work = this.work.get(key)
    if (work === undefined) return
    this.work.delete(key)
    const keys = this.askers.get(work.asker)!
    keys.delete(key)
    if (keys.size === 0) this.askers.delete(work.asker)
  }
}

const keyOf = ({ uid = "" }: Sender, requestId: string): string => `${uid} ${requestId}`
