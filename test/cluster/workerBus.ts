/**
 * A primary and its workers in one process: what they send each other is copied as Node's channel between processes does it, and
 * arrives in a turn of its own.
 */
import { deserialize, serialize } from "node:v8"

import type { ClusterReceiver } from "../../src/adapter/ClusterLink.ts"
import type { ClusterAnswer, ClusterMessage, Sender } from "../../src/adapter/ClusterMessage.ts"
import type { ClusterMonitor } from "../../src/adapter/ClusterStatus.ts"
import { Line, type Link } from "../../src/cluster/internal/line.ts"
import type { Send } from "../../src/cluster/internal/outbox.ts"
import { Relay } from "../../src/cluster/internal/relay.ts"

/** Counts, as a monitor does. */
export class Counts {
  lost = 0
  dropped = 0
  refused = 0
  readonly problems = new Set<string>()
  readonly monitor: ClusterMonitor = {
    status: undefined as never,
    connected: () => {},
    incomplete: () => {},
    lost: (count) => void (this.lost += count),
    dropped: (count) => void (this.dropped += count),
    refused: (_, problem) => {
      this.refused++
      this.problems.add(problem)
    }
  }
}

/** The messages of a namespace of a worker. */
export class Heard implements ClusterReceiver {
  readonly messages: Array<ClusterMessage> = []
  readonly answers: Array<ClusterAnswer> = []
  readonly left: Array<readonly [uid: string, isDead: boolean]> = []
  lastFrom: Sender | undefined

  onMessage(from: Sender, message: ClusterMessage): void {
    this.lastFrom = from
    this.messages.push(message)
  }
  onAnswer(from: Sender, answer: ClusterAnswer): void {
    this.lastFrom = from
    this.answers.push(answer)
  }
  onServerLeft(uid: string, isDead: boolean): void {
    this.left.push([uid, isDead])
  }
  hasRoom(): boolean {
    return true
  }
  socketIds(): ReadonlyArray<string> {
    return []
  }
  roomNames(): ReadonlyArray<string> {
    return []
  }
}

/** A channel from one process to another. */
export class Channel {
  /** The messages that it has passed on. */
  readonly sent: Array<any> = []
  /** A process that hangs reads nothing. */
  isStuck = false
  private readonly held: Array<() => void> = []
  private readonly deliver: (message: unknown) => void

  constructor(deliver: (message: unknown) => void) {
    this.deliver = deliver
  }

  readonly send: Send = (message, done) => {
    const copy: unknown = deserialize(serialize(message))
    const go = () => {
      this.sent.push(copy)
      done(null)
      this.deliver(copy)
    }
    if (this.isStuck) this.held.push(go)
    else setImmediate(go)
  }

  resume(): void {
    this.isStuck = false
    for (const go of this.held.splice(0)) setImmediate(go)
  }
}

export class Worker {
  readonly counts = new Counts()
  readonly up: Channel
  readonly down: Channel
  readonly line: Line
  readonly heard = new Map<string, Heard>()
  readonly links = new Map<string, Link>()

  constructor(bus: Bus, id: number, maxBuffer: number) {
    this.up = new Channel((message) => bus.relay.onMessage(id, this.down.send, message))
    this.down = new Channel((message) => this.line.onMessage(message))
    this.line = new Line(this.up.send, this.counts.monitor, {
      maxBuffer,
      heartbeatInterval: 5_000,
      heartbeatTimeout: 10_000,
      now: () => bus.now
    })
  }

  open(uid: string, namespace = "/"): Heard {
    const heard = new Heard()
    this.heard.set(namespace, heard)
    this.links.set(namespace, this.line.open(uid, namespace, heard))
    return heard
  }

  link(namespace = "/"): Link {
    return this.links.get(namespace)!
  }
}

export class Bus {
  /** The time of all processes, in milliseconds. */
  now = 0
  readonly counts = new Counts()
  readonly relay: Relay
  private ids = 0

  constructor(options: { readonly maxBuffer?: number; readonly carriesBytes?: boolean } = {}) {
    const { carriesBytes = true, maxBuffer = 16_777_216 } = options
    this.relay = new Relay(this.counts.monitor, { maxBuffer, carriesBytes })
  }

  worker(maxBuffer = 16_777_216): { readonly id: number; readonly worker: Worker } {
    const id = ++this.ids
    return { id, worker: new Worker(this, id, maxBuffer) }
  }
}

/** Waits until everything that is under way has arrived. */
export const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve))
}

export const broadcast = (...data: readonly [event: string, ...args: Array<unknown>]): ClusterMessage => ({
  _tag: "Broadcast",
  data,
  mayHaveBinary: true,
  selection: { rooms: ["a"], except: [] },
  flags: { volatile: false, compress: true }
})
