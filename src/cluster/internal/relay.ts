import type { ClusterMonitor } from "../../adapter/ClusterStatus.ts"
import { Outbox, type Send, sizeOf } from "./outbox.ts"
import {
  type Body,
  CLOSING,
  DEAD,
  decodeBody,
  EMITTER,
  isBody,
  isOurs,
  isRecord,
  MAX_FRAMES,
  SOURCE,
  STARTED,
  type Welcome
} from "./messages.ts"

/** Longer texts are no ids. Official ones have 16 characters. */
const MAX_UID = 64

/** Longer texts are no namespaces. */
const MAX_NAMESPACE = 4_096

/** The servers of one worker that are remembered: it has one for each of its namespaces. */
const MAX_SERVERS = 10_000

export interface RelayOptions {
  /** The bytes that may wait for one worker. */
  readonly maxBuffer: number
  /** Whether the channel carries bytes: frames need that. */
  readonly carriesBytes: boolean
}

/** A worker that has sent a message of a Socket.IO server. */
interface Peer {
  readonly outbox: Outbox
  /** The servers of the worker by their ids, with their namespaces. */
  readonly servers: Map<string, string>
  /** Whether it takes frames. */
  framed: boolean
}

/**
 * Passes the messages of workers on: answers to the worker that has asked, all else to all other
 * workers. It trusts nothing that a worker sends.
 */
export class Relay {
  private readonly monitor: ClusterMonitor
  private readonly options: RelayOptions
  private readonly peers = new Map<number, Peer>()
  /** The workers by the ids of their servers. */
  private readonly owners = new Map<string, Peer>()
  /**
   * The ids of servers by their namespaces: clients may have dynamic ones opened all the time, and
   * each new server is told of the others.
   */
  private readonly members = new Map<string, Set<string>>()

  constructor(monitor: ClusterMonitor, options: RelayOptions) {
    this.monitor = monitor
    this.options = options
  }

  /** Takes a message of a worker. Those of applications are left alone. */
  onMessage(worker: number, send: Send, message: unknown): void {
    if (!isOurs(message)) return
    try {
      if ("frames" in message) this.onFrames(worker, message["frames"])
      else this.onEnvelope(worker, send, message)
    } catch (defect) {
      // Only a hostile message gets here, such as one that is nested too deep to be measured.
      this.monitor.refused("", String(defect))
    }
  }

  /** A worker has ended: the others learn at once that its servers are dead. */
  onWorkerEnd(worker: number): void {
    const peer = this.peers.get(worker)
    if (peer === undefined) return
    this.peers.delete(worker)
    for (const [uid, nsp] of peer.servers) {
      this.drop(uid, nsp)
      const message = { type: CLOSING, uid, nsp, source: SOURCE, [DEAD]: true }
      for (const other of this.peers.values()) other.outbox.sendAnyway(message)
    }
  }

  // ---------------------------------------------------------------- envelopes

  private onEnvelope(worker: number, send: Send, message: Record<string, unknown>): void {
    const { nsp, requesterUid, type, uid } = message
    if (typeof type !== "number" || !isText(uid, MAX_UID) || !isText(nsp, MAX_NAMESPACE)) {
      return this.monitor.refused(isText(nsp, MAX_NAMESPACE) ? nsp : "", "no envelope")
    }
    const size = sizeOf(message)
    const peer = this.peers.get(worker) ?? this.enter(worker, send)
    if (uid !== EMITTER && !this.claim(peer, uid, nsp)) {
      return this.monitor.refused(nsp, "the id of another worker's server")
    }
    if (type === CLOSING) this.forget(peer, uid)
    if (typeof requesterUid === "string") {
      this.owners.get(requesterUid)?.outbox.send(message, size)
      return
    }
    for (const other of this.peers.values()) if (other !== peer) other.outbox.send(message, size)
    // A server of this library has fields of its own in every envelope.
    if (type === STARTED && isRecord(message["x"])) this.welcome(peer, uid, nsp)
  }

  private enter(worker: number, send: Send): Peer {
    const { maxBuffer } = this.options
    const outbox = new Outbox(send, { maxBuffer, onDropped: this.monitor.dropped })
    const peer: Peer = { outbox, servers: new Map(), framed: false }
    this.peers.set(worker, peer)
    return peer
  }

  /** Remembers the worker of a server. Gives `false` if it is another one's. */
  private claim(peer: Peer, uid: string, nsp: string): boolean {
    const owner = this.owners.get(uid)
    if (owner !== undefined) return owner === peer
    if (peer.servers.size < MAX_SERVERS) {
      peer.servers.set(uid, nsp)
      this.owners.set(uid, peer)
      const members = this.members.get(nsp)
      if (members === undefined) this.members.set(nsp, new Set([uid]))
      else members.add(uid)
    } else this.monitor.refused(nsp, "more servers than a worker may have")
    return true
  }

  private forget(peer: Peer, uid: string): void {
    const nsp = peer.servers.get(uid)
    if (nsp === undefined) return
    peer.servers.delete(uid)
    this.drop(uid, nsp)
  }

  private drop(uid: string, nsp: string): void {
    this.owners.delete(uid)
    const members = this.members.get(nsp)
    members?.delete(uid)
    if (members?.size === 0) this.members.delete(nsp)
  }

  private welcome(peer: Peer, uid: string, nsp: string): void {
    peer.framed = this.options.carriesBytes
    const members: Array<string> = []
    for (const member of this.members.get(nsp) ?? []) if (this.owners.get(member) !== peer) members.push(member)
    const welcome: Welcome = { source: SOURCE, welcome: uid, nsp, members, takesFrames: peer.framed }
    peer.outbox.sendAnyway(welcome)
  }

  // ---------------------------------------------------------------- frames

  private onFrames(worker: number, frames: unknown): void {
    const peer = this.peers.get(worker)
    // A worker has introduced itself before.
    if (peer === undefined || !Array.isArray(frames) || frames.length > MAX_FRAMES)
      return this.monitor.refused("", "no frames")
    for (let i = 0; i < frames.length; i += 2) {
      const to: unknown = frames[i]
      const body: unknown = frames[i + 1]
      if (typeof to !== "string" || !isBody(body)) {
        this.monitor.refused("", "no frame")
        continue
      }
      if (to === "") {
        for (const other of this.peers.values()) if (other !== peer) this.pass(other, "", body)
        continue
      }
      const owner = this.owners.get(to)
      if (owner !== undefined) this.pass(owner, to, body)
    }
  }

  private pass(peer: Peer, to: string, body: Body): void {
    if (peer.framed) return peer.outbox.push(to, body)
    const envelope = decodeBody(body)
    if (envelope === undefined) return this.monitor.refused("", "a frame that cannot be read")
    envelope["source"] = SOURCE
    peer.outbox.send(envelope, body.length)
  }
}

const isText = (value: unknown, maxLength: number): value is string =>
  typeof value === "string" && value.length > 0 && value.length <= maxLength
