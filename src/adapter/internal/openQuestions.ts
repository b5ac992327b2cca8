import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"

import type { ClusterLink } from "../ClusterLink.ts"
import type { ClusterAnswer, Question, Sender } from "../ClusterMessage.ts"
import { type Listener, OpenQuestion } from "./openQuestion.ts"

/** Between two looks at the open questions, in milliseconds. */
const INTERVAL = 50

/**
 * The number of servers is not known while it is not told for so long, in milliseconds. It counts
 * when it comes later: the broker, or this process, is only slow.
 */
const READ_WITHIN = 500

/**
 * Questions do not wait for a broker that is away for so long, in milliseconds. Most connections
 * that are cut are back sooner.
 */
const AWAY = 1_000

/** The servers of this library that are remembered. The one that was met first is forgotten. */
const MAX_KNOWN = 1_000

/** A server that has been silent for so long is forgotten, in milliseconds. */
const FORGOTTEN_AFTER = 30_000

/** The servers are being counted: those get the number that were asked before. */
interface Counting {
  readonly asked: number
  readonly count: Fiber.Fiber<number | undefined>
}

/**
 * The questions that this server has asked in one namespace, and the watch over them: it ends those
 * that wait for servers that have died or hang. Nothing runs while no question is open.
 */
export class OpenQuestions {
  private readonly link: () => ClusterLink
  private readonly clock: Clock.Clock
  private readonly timeout: number
  private readonly open = new Map<string, OpenQuestion>()
  /** The servers of this library, and since when those are silent that do not answer. */
  private readonly known = new Map<string, number | undefined>()
  private readonly wanted = Latch.makeUnsafe(false)
  private counting: Counting | undefined
  private isClosed = false
  private asked = 0
  /**
   * The time that the watch has been awake, in milliseconds. While this process sleeps, answers
   * wait unread: that time must accuse nobody.
   */
  private time = 0

  /**
   * `timeout` is the time that questions wait for servers that cannot be pinged, in milliseconds.
   */
  constructor(link: () => ClusterLink, clock: Clock.Clock, timeout: number) {
    this.link = link
    this.clock = clock
    this.timeout = timeout
  }

  /** Asks all other servers. Gives the function that ends the question early. */
  ask(question: Question, listener: Listener): () => void {
    if (this.isClosed) {
      listener.onEnd(1)
      return () => {}
    }
    const link = this.link()
    const number = this.asked++
    // Any text will do. The id of this server makes it unique in the cluster.
    const requestId = `${link.uid}${number.toString(36)}`
    this.open.set(requestId, new OpenQuestion(requestId, number, question, listener, this.time))
    link.send({ _tag: "Question", requestId, question })
    this.wanted.openUnsafe()
    return () => {
      if (this.open.delete(requestId)) link.send({ _tag: "Cancel", requestId })
    }
  }

  /** A server of this library was heard. */
  onHeard(uid: string): void {
    if (!this.known.has(uid) && this.known.size >= MAX_KNOWN) this.known.delete(this.known.keys().next().value!)
    this.known.set(uid, undefined)
  }

  onAnswer(from: Sender, answer: ClusterAnswer): void {
    const question = this.open.get(answer.requestId)
    if (question === undefined) return
    question.onAnswer(from, answer, this.time)
    this.endIfOver(question)
  }

  onServerLeft(uid: string, isDead: boolean): void {
    this.known.delete(uid)
    for (const question of this.open.values()) {
      question.onServerLeft(uid, isDead, this.time)
      this.endIfOver(question)
    }
  }

  /** Ends all questions with what has been answered, and those to come: the namespace closes. */
  close(): void {
    this.isClosed = true
    for (const question of this.open.values()) this.end(question)
  }

  /** Watches the open questions, for ever. */
  get watch(): Effect.Effect<never> {
    const pause = Effect.timeoutOption(this.wanted.await, INTERVAL)
    const look = Effect.suspend(() => {
      this.wanted.closeUnsafe()
      if (this.open.size === 0) return this.wanted.await
      const { now } = this
      return Effect.flatMap(this.count, ({ asked, servers }) => {
        this.time += Math.min(this.now - now, READ_WITHIN)
        this.look(servers, asked)
        if (this.open.size === 0) return Effect.void
        const before = this.now
        return Effect.andThen(
          pause,
          Effect.sync(() => {
            this.time += Math.min(this.now - before, 2 * INTERVAL)
          })
        )
      })
    })
    return Effect.forever(look)
  }

  /** Counts the servers, for the questions that were sent before. */
  private get count(): Effect.Effect<{ readonly asked: number; readonly servers: number | undefined }> {
    return Effect.gen({ self: this }, function* () {
      const { asked } = this
      this.counting ??= { asked, count: yield* Effect.forkChild(this.link().servers, { startImmediately: true }) }
      const { counting } = this
      const exit = yield* Effect.timeoutOption(Fiber.await(counting.count), READ_WITHIN)
      if (Option.isNone(exit)) return { asked, servers: undefined }
      this.counting = undefined
      return { asked: counting.asked, servers: Exit.isSuccess(exit.value) ? exit.value.value : undefined }
    })
  }

  private get now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  /** `asked` is the number of questions that were sent before the servers were counted. */
  private look(servers: number | undefined, asked: number): void {
    const others = servers === undefined ? undefined : Math.max(0, servers - 1)
    const { isAway } = this
    for (const question of this.open.values()) {
      if (question.number >= asked) continue
      question.onServers(others, this.time)
      if ((isAway && !question.isInWork) || question.isComplete(this.time, this.known)) {
        this.end(question)
        continue
      }
      if (question.takePing(this.time)) {
        this.link().send({ _tag: "Ping", requestId: question.requestId })
      }
      if (this.isOver(question)) this.end(question)
    }
  }

  /** The number of other servers before, for questions since which nobody could count them. */
  private get others(): number | undefined {
    const servers = this.link().lastServers?.()
    if (servers !== undefined) return servers - 1
    return this.isAway ? this.known.size : undefined
  }

  private get isAway(): boolean {
    return (this.link().awayFor?.() ?? 0) >= Math.min(AWAY, this.timeout)
  }

  private endIfOver(question: OpenQuestion): void {
    // Acknowledgements are many: the rest is looked at where it may be the last one of the
    // survivors.
    const isComplete = question.isComplete(this.time, this.known)
    if (isComplete || (question.hasShrunk && this.isOver(question))) this.end(question)
  }

  private isOver(question: OpenQuestion): boolean {
    return question.isOver(this.time, this.known, this.timeout, this.onSilent)
  }

  private readonly onSilent = (uid: string): void => {
    const since = this.known.get(uid)
    if (since === undefined) this.known.set(uid, this.time)
    else if (this.time - since >= FORGOTTEN_AFTER) this.known.delete(uid)
  }

  private end(question: OpenQuestion): void {
    if (!this.open.delete(question.requestId)) return
    const missing = question.missing(this.others)
    // Those that have it still need not answer any more.
    if (missing > 0) this.link().send({ _tag: "Cancel", requestId: question.requestId })
    // Nobody else is there.
    if (question.isExact && this.known.size > question.answered.size) {
      for (const uid of this.known.keys()) if (!question.answered.has(uid)) this.known.delete(uid)
    }
    question.listener.onEnd(missing)
  }
}
