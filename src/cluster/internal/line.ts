import * as Effect from "effect/Effect"

import { answerMayHaveBinary, mayHaveBinary } from "../../adapter/ClusterMessage.ts"
import type { ClusterLink, ClusterReceiver } from "../../adapter/ClusterLink.ts"
import type { ClusterAnswer, ClusterMessage, Sender } from "../../adapter/ClusterMessage.ts"
import type { ClusterMonitor } from "../../adapter/ClusterStatus.ts"
import * as Envelope from "../../adapter/Envelope.ts"
import { Sequences } from "../../adapter/Sequences.ts"
import {
  type Body,
  DEAD,
  decodeBody,
  EMITTER,
  encodeBody,
  isBody,
  isOurs,
  MAX_FRAMES,
  MAX_MESSAGE,
  SOURCE
} from "./messages.ts"
import { Outbox, type Send, sizeOf } from "./outbox.ts"

/** The servers of a namespace that are remembered. */
const MAX_MEMBERS = 10_000

/**
 * An official primary does not welcome a server. The others have told that they are here after so
 * long, in milliseconds.
 */
const INTRODUCTION = 500

/** The estimated memory of a sign of life, in bytes. */
const PRESENCE_SIZE = 256

export interface LineOptions {
  /** The bytes that may wait for the primary. */
  readonly maxBuffer: number
  /**
   * A server that has sent nothing to all others for so long tells that it is here, in
   * milliseconds.
   */
  readonly heartbeatInterval: number
  /** A server that was not heard for so long is dead, in milliseconds. */
  readonly heartbeatTimeout: number
  readonly now: () => number
}

/** A worker's line to its primary, which all its namespaces share. */
export class Line {
  readonly monitor: ClusterMonitor
  readonly options: LineOptions
  private readonly outbox: Outbox
  private readonly links = new Map<string, Link>()
  /** Whether the primary takes frames. */
  private framed = false
  private lastSweep: number

  constructor(send: Send, monitor: ClusterMonitor, options: LineOptions) {
    this.monitor = monitor
    this.options = options
    this.lastSweep = options.now()
    this.outbox = new Outbox(send, { maxBuffer: options.maxBuffer, onDropped: monitor.dropped })
  }

  open(uid: string, namespace: string, receiver: ClusterReceiver): Link {
    const link = new Link(this, uid, namespace, receiver)
    this.links.set(namespace, link)
    link.tell("Started")
    return link
  }

  close(link: Link): void {
    if (this.links.get(link.namespace) !== link) return
    this.links.delete(link.namespace)
    link.tell("Closing")
    this.outbox.flush()
  }

  /** Takes a message of the primary. Those of applications are left alone. */
  onMessage(message: unknown): void {
    if (!isOurs(message)) return
    try {
      if ("frames" in message) this.onFrames(message["frames"])
      else if ("welcome" in message) this.onWelcome(message)
      else if (sizeOf(message) > MAX_MESSAGE) this.monitor.refused("", "a message that is too large")
      else this.onEnvelope(message, true)
    } catch (defect) {
      // Only a hostile message gets here, such as one that holds itself.
      this.monitor.refused("", String(defect))
    }
  }

  /** Sends an envelope at the end of this turn. An empty `to` means all other servers. */
  post(to: string, envelope: Envelope.Envelope, mayHaveBinary: boolean): void {
    let body: Body
    try {
      body = encodeBody(to === "" ? envelope : addressed(envelope, to), mayHaveBinary)
    } catch {
      return this.monitor.dropped(1, "failed")
    }
    if (this.framed) this.outbox.push(to, body)
    // A copy that holds what JSON and bytes can say, as everything on other ways between servers.
    else this.outbox.send({ ...decodeBody(body), source: SOURCE }, body.length)
  }

  /** Sends a sign of life. The primary reads it, so it is not in a frame. */
  announce(envelope: Envelope.Envelope, isVital: boolean): void {
    const message = { ...envelope, source: SOURCE }
    if (isVital) this.outbox.sendAnyway(message)
    else this.outbox.send(message, PRESENCE_SIZE)
  }

  /** Has to be called every second. */
  sweep(): void {
    const { heartbeatInterval, heartbeatTimeout, now } = this.options
    const time = now()
    // Was this process asleep? What the others have sent meanwhile is still to be read.
    const wasAway = time - this.lastSweep > heartbeatTimeout / 2
    this.lastSweep = time
    for (const link of this.links.values()) link.sweep(time - heartbeatInterval, wasAway ? -1 : time - heartbeatTimeout)
  }

  private onFrames(frames: unknown): void {
    if (!Array.isArray(frames) || frames.length > MAX_FRAMES) return this.monitor.refused("", "no frames")
    for (let i = 1; i < frames.length; i += 2) {
      const body: unknown = frames[i]
      const envelope = isBody(body) ? decodeBody(body) : undefined
      if (envelope === undefined) this.monitor.refused("", "a frame that cannot be read")
      else this.onEnvelope(envelope, typeof body !== "string")
    }
  }

  private onEnvelope(envelope: Record<string, unknown>, mayHaveBinary: boolean): void {
    const { nsp } = envelope
    if (typeof nsp !== "string") return this.monitor.refused("", "no namespace")
    // Not all workers have all namespaces.
    this.links.get(nsp)?.receive(envelope, mayHaveBinary)
  }

  private onWelcome({ members, nsp, takesFrames, welcome }: Record<string, unknown>): void {
    this.framed = takesFrames === true
    const link = typeof nsp === "string" ? this.links.get(nsp) : undefined
    if (link?.uid === welcome && Array.isArray(members)) link!.onWelcome(members)
  }
}

const addressed = (envelope: Envelope.Envelope, requesterUid: string): Envelope.Envelope =>
  Object.assign(envelope, { requesterUid })

/** One namespace of a worker. */
export class Link implements ClusterLink {
  readonly uid: string
  readonly namespace: string
  readonly servers: Effect.Effect<number | undefined>
  private readonly line: Line
  private readonly receiver: ClusterReceiver
  private readonly sequences = new Sequences()
  /** When each of the other servers was last heard. */
  private readonly members = new Map<string, number>()
  private isIntroduced = false
  private readonly openedAt: number
  private lastSent = 0

  constructor(line: Line, uid: string, namespace: string, receiver: ClusterReceiver) {
    this.line = line
    this.uid = uid
    this.namespace = namespace
    this.receiver = receiver
    this.openedAt = line.options.now()
    this.servers = Effect.sync(() => {
      this.isIntroduced ||= this.now - this.openedAt >= INTRODUCTION
      return this.isIntroduced ? 1 + this.members.size : undefined
    })
  }

  send(message: ClusterMessage): void {
    this.lastSent = this.now
    const envelope = Envelope.toEnvelope(this, message, this.sequences.next(""))
    this.line.post("", envelope, mayHaveBinary(message))
  }

  answer(to: Sender, answer: ClusterAnswer): void {
    if (to.uid === undefined) return
    const envelope = Envelope.answerToEnvelope(this, to, answer, undefined)
    if (envelope !== undefined) this.line.post(to.uid, envelope, answerMayHaveBinary(answer))
  }

  /** A sign of life has a number, too: it shows the others that messages before it did not come. */
  tell(presence: Envelope.Presence): void {
    this.lastSent = this.now
    const envelope = Envelope.presence(this, presence)
    const numbered = { ...envelope, x: { ...envelope.x, n: this.sequences.next("") } }
    this.line.announce(numbered, presence !== "Here")
  }

  receive(envelope: Record<string, unknown>, mayHaveBinary: boolean): void {
    const { requesterUid } = envelope
    // An official primary passes some answers on to all workers.
    if (typeof requesterUid === "string" && requesterUid !== this.uid) return
    const received = Envelope.fromEnvelope(envelope, this, mayHaveBinary)
    if (received._tag === "Refused") return this.line.monitor.refused(this.namespace, received.problem)
    const { uid } = received.from
    if (uid === this.uid) return
    if (received._tag === "Presence" && received.presence === "Closing") {
      if (uid !== undefined) this.onClosing(uid, envelope[DEAD] === true)
      return
    }
    if (uid !== undefined && uid !== EMITTER) this.onHeard(uid)
    if (received._tag !== "Beat" && received.number !== undefined && uid !== undefined) {
      this.count(uid, received.number)
    }
    switch (received._tag) {
      case "Message":
        return this.receiver.onMessage(received.from, received.message)
      case "Answer":
        return this.receiver.onAnswer(received.from, received.answer)
      case "Presence":
        if (received.presence === "Started") this.tell("Here")
        return
      case "Beat":
      case "Ignored":
        return
    }
  }

  /** The primary knows these other servers. */
  onWelcome(members: ReadonlyArray<unknown>): void {
    for (const uid of members) if (typeof uid === "string" && uid !== this.uid) this.onHeard(uid)
    this.isIntroduced = true
  }

  /**
   * Tells that this server is here if it was silent for long, and takes those that are silent for
   * dead.
   */
  sweep(silentSince: number, deadSince: number): void {
    if (this.lastSent <= silentSince) this.tell("Here")
    for (const [uid, heard] of this.members) {
      if (heard > deadSince) continue
      this.members.delete(uid)
      this.receiver.onServerLeft(uid, true)
    }
  }

  private get now(): number {
    return this.line.options.now()
  }

  private onHeard(uid: string): void {
    if (this.members.size < MAX_MEMBERS || this.members.has(uid)) this.members.set(uid, this.now)
  }

  private onClosing(uid: string, isDead: boolean): void {
    this.sequences.forgetSender(uid)
    if (this.members.delete(uid)) this.receiver.onServerLeft(uid, isDead)
  }

  /** Counts the messages before this one that did not come. */
  private count(uid: string, number: number): void {
    const missed = this.sequences.observe(uid, "", number)
    if (missed > 0) this.line.monitor.lost(missed, this.namespace, uid)
  }
}
