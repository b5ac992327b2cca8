import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

import type { ClusterLink } from "../ClusterLink.ts"
import type { ClusterAnswer, Question, Sender } from "../ClusterMessage.ts"
import { type Listener, OpenQuestion } from "./openQuestion.ts"

/** Between two looks at the open questions, in milliseconds. */
const INTERVAL = 100

/** A look that is later than this, in milliseconds, finds news that this server has not read yet. */
const LATE = 1_000

/** Between two pings while a question is open, in milliseconds. */
const PING_INTERVAL = 500

/** A server that has not answered pings for so long hangs, in milliseconds. */
const HUNG_AFTER = 1_500

/** The same if a server is known to have died: is it this one? */
const DEAD_AFTER = 150

/** The servers of this library that are remembered. The one that was met first is forgotten. */
const MAX_KNOWN = 1_000

/**
 * The questions that this server has asked in one namespace, and the watch over them: it ends those
 * that wait for servers that have died or hang. Nothing runs while no question is open.
 */
export class OpenQuestions {
  private readonly link: () => ClusterLink
  private readonly clock: Clock.Clock
  private readonly timeout: number
  private readonly open = new Map<string, OpenQuestion>()
  /** When each server of this library was last heard. */
  private readonly known = new Map<string, number>()
  private readonly wanted = Latch.makeUnsafe(false)
  private lastLook = 0
  private ids = 0

  /** `timeout` is the time that questions wait for servers that cannot be pinged, in milliseconds. */
  constructor(link: () => ClusterLink, clock: Clock.Clock, timeout: number) {
    this.link = link
    this.clock = clock
    this.timeout = timeout
  }

  /** Asks all other servers. Gives the function that ends the question early. */
  ask(question: Question, listener: Listener): () => void {
    const link = this.link()
    // Any text will do. The id of this server makes it unique in the cluster.
    const requestId = `${link.uid}${(this.ids++).toString(36)}`
    this.open.set(requestId, new OpenQuestion(requestId, question, listener, this.now))
    link.send({ _tag: "Question", requestId, question })
    if (this.open.size === 1) this.lastLook = this.now
    this.wanted.openUnsafe()
    return () => {
      if (this.open.delete(requestId)) link.send({ _tag: "Cancel", requestId })
    }
  }

  /** A server of this library was heard. */
  onHeard(uid: string): void {
    if (!this.known.has(uid) && this.known.size >= MAX_KNOWN) this.known.delete(this.known.keys().next().value!)
    this.known.set(uid, this.now)
  }

  onAnswer(from: Sender, answer: ClusterAnswer): void {
    const question = this.open.get(answer.requestId)
    if (question === undefined) return
    question.onAnswer(from, answer)
    this.endIfComplete(question, 0)
  }

  onServerLeft(uid: string, isDead: boolean): void {
    this.known.delete(uid)
    for (const question of this.open.values()) {
      question.onServerLeft(uid, isDead)
      this.endIfComplete(question, 0)
    }
  }

  /** Ends all questions with what has been answered: the namespace closes. */
  close(): void {
    for (const question of this.open.values()) this.end(question)
  }

  /** Watches the open questions, for ever. */
  get watch(): Effect.Effect<never> {
    const look = Effect.suspend(() => {
      if (this.open.size === 0) {
        this.wanted.closeUnsafe()
        return this.wanted.await
      }
      return Effect.flatMap(this.link().servers, (servers) => {
        this.look(servers)
        return this.open.size === 0 ? Effect.void : Effect.sleep(INTERVAL)
      })
    })
    return Effect.forever(look)
  }

  private get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  private look(servers: number | undefined): void {
    const now = this.now
    const wasAway = now - this.lastLook > LATE
    this.lastLook = now
    for (const question of this.open.values()) {
      if (servers !== undefined) question.onServers(servers - 1)
      if (question.hasShrunk && question.owesAcknowledgements) this.ping(question, now)
      // The pings of before were answered perhaps, but this process has slept.
      else if (wasAway && question.pingedSince !== undefined) {
        question.pingedSince = undefined
        this.ping(question, now)
      } else if (now - (question.lastPing ?? question.openedAt) >= PING_INTERVAL) this.ping(question, now)
      if (this.endIfComplete(question, this.giveUp(question, now))) continue
      if (this.isOverdue(question, now)) this.end(question)
    }
  }

  private ping(question: OpenQuestion, now: number): void {
    // The first ping after a server has died is the one that tells which it was.
    if (question.hasShrunk) {
      question.hasShrunk = false
      question.pingedSince = question.wasShrunkAt = now
    }
    question.pingedSince ??= now
    question.lastPing = now
    this.link().send({ _tag: "Ping", requestId: question.requestId })
  }

  /**
   * Gives up the servers of this library that do not answer pings. Returns the number of those that
   * have not answered the question.
   */
  private giveUp(question: OpenQuestion, now: number): number {
    const since = question.pingedSince
    if (since === undefined) return 0
    const isSilent = (uid: string, patience: number) => {
      const heard = this.known.get(uid) ?? 0
      return now - Math.max(heard, since) >= patience && heard < since
    }
    for (const uid of question.debtors()) {
      if (isSilent(uid, question.wasShrunkAt === since ? DEAD_AFTER : HUNG_AFTER)) question.forgive(uid)
    }
    let silent = 0
    for (const uid of this.known.keys()) if (!question.hasAnswered(uid) && isSilent(uid, HUNG_AFTER)) silent++
    return silent
  }

  /** Whether it has waited for long enough. Handlers of servers that are alive may take their time. */
  private isOverdue(question: OpenQuestion, now: number): boolean {
    if (question.asksClients || now - question.openedAt < this.timeout) return false
    const { unanswered } = question
    if (!question.asksHandlers || unanswered === undefined) return true
    let alive = 0
    for (const [uid, heard] of this.known) if (!question.hasAnswered(uid) && now - heard < HUNG_AFTER) alive++
    return alive < unanswered
  }

  /** `silent` servers are not waited for. */
  private endIfComplete(question: OpenQuestion, silent: number): boolean {
    const { unanswered } = question
    if (unanswered === undefined || unanswered > silent || question.owesAcknowledgements) return false
    this.end(question)
    return true
  }

  private end(question: OpenQuestion): void {
    if (this.open.delete(question.requestId)) question.listener.onEnd(question.missing)
  }
}
