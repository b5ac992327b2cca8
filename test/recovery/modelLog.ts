/**
 * A stream of Redis, its sessions, and the servers that share them, in the world of a simulation: everything takes its time on the way to
 * the log and back, and a server may hang or die.
 */
import { Effect } from "effect"

import type { ClusterLink, ClusterReceiver, LinkFactory } from "../../src/adapter/ClusterLink.ts"
import type { ClusterMessage } from "../../src/adapter/ClusterMessage.ts"
import * as LogPosition from "../../src/adapter/LogPosition.ts"
import type { Kept, Recent, SessionStore, SharedLog, SharedMessage } from "../../src/adapter/SharedLog.ts"
import * as StoredSession from "../../src/adapter/StoredSession.ts"
import { StreamPlace } from "../../src/redis/internal/streamPlace.ts"
import type { World } from "../../src/testing/internal/world.ts"

export interface LogEntry {
  readonly id: string
  readonly index: number
  readonly namespace: string
  readonly uid: string
  readonly number: number
  readonly message: SharedMessage
}

interface Stored {
  generation: string
  value: ReturnType<typeof StoredSession.toValue>
  until: number
}

/**
 * Faults that the simulation must find.
 *
 * - `era`: nobody learns that another server has taken over.
 * - `generation`: a session can be written by a server that has it no more.
 * - `order`: clients of a server get its broadcasts at once, and those of others when they come.
 * - `rooms`: a session tells the rooms of now for those of its last confirmed place.
 */
export type Mutation = "era" | "generation" | "order" | "rooms"

export interface ModelOptions {
  readonly world: World
  /** The time of one way between a server and the log, in milliseconds. */
  readonly latency: () => number
  /** A server loses an entry: it is not appended, or it is, and the server does not learn it. */
  readonly loses: () => "no" | "before" | "after"
  /** Whether servers keep what they have read. */
  readonly remembers: boolean
  readonly mutation?: Mutation | undefined
}

/** The log, and the sessions. */
export class ModelLog {
  /** All that was ever appended. */
  readonly history: Array<LogEntry> = []
  /** The entries up to this index are not there any more. */
  trimmed = 0
  /** Each failover begins another one. */
  era = 0
  readonly sessions = new Map<string, Stored>()
  /** The secrets of sessions that are not stored yet, as their server hangs, and were asked for. */
  readonly early = new Set<string>()
  private readonly stored = new Set<string>()
  readonly nodes = new Set<ModelNode>()
  /** A session begins at a server, when its builder is done. */
  onBegin: (namespace: string, session: StoredSession.StoredSession, server: string) => void = () => {}
  readonly options: ModelOptions
  private lastMillis = 1_700_000_000_000
  private sequence = 0

  constructor(options: ModelOptions) {
    this.options = options
  }

  now(): number {
    return 1_700_000_000_000 + Math.floor(this.options.world.now / 1e6)
  }

  append(entry: Omit<LogEntry, "id" | "index">): void {
    const millis = this.now()
    this.sequence = millis === this.lastMillis ? this.sequence + 1 : 0
    this.lastMillis = millis
    const id = `${millis}-${this.sequence}`
    this.history.push({ ...entry, id, index: this.history.length + 1 })
    for (const node of this.nodes) node.look()
  }

  /** Entries after an id that are there, oldest first. */
  after(id: string, count: number): ReadonlyArray<LogEntry> {
    let at = this.history.length
    while (at > this.trimmed && LogPosition.compare(this.history[at - 1]!.id, id) > 0) at--
    return this.history.slice(at, at + count)
  }

  get state() {
    const added = this.history.length
    const era = this.options.mutation === "era" ? undefined : String(this.era)
    return { added, length: added - this.trimmed, last: this.history.at(-1)?.id ?? "0-0", era }
  }

  /** Another server takes over, which lacks the last entries. */
  failOver(lost: number): void {
    this.history.splice(Math.max(this.trimmed, this.history.length - lost))
    this.era++
    for (const node of this.nodes) node.reconnect()
  }

  /** Forgets all but the last entries. */
  trim(keep: number): void {
    this.trimmed = Math.max(this.trimmed, this.history.length - keep)
  }

  onStored(pid: string): void {
    this.stored.add(pid)
  }

  onMissing(pid: string): undefined {
    if (!this.stored.has(pid)) this.early.add(pid)
  }

  find(pid: string): Stored | undefined {
    const kept = this.sessions.get(pid)
    return kept !== undefined && kept.until > this.now() ? kept : undefined
  }
}

/** A server's side of it. */
export class ModelNode {
  readonly name: string
  readonly log: ModelLog
  readonly place = new StreamPlace()
  isDead = false
  isFrozen = false
  thawedAt = 0
  private readonly receivers = new Map<string, { readonly receive: (entry: LogEntry) => void }>()
  /** The calls of the server to the log, in its order. */
  private readonly outbox: Array<() => void> = []
  /** Ends what would end with a process. */
  private readonly onDeath: Array<() => void> = []
  private isSending = false
  private isLooking = false
  private generations = 0

  constructor(name: string, log: ModelLog) {
    this.name = name
    this.log = log
    log.nodes.add(this)
    this.later(() => {
      this.place.onState(log.state, 0)
      this.look()
    })
  }

  private later(act: () => void): void {
    this.log.options.world.after(this.log.options.latency(), () => {
      if (!this.isDead) act()
    })
  }

  private send(act: () => void): void {
    this.outbox.push(act)
    this.flush()
  }

  private flush(): void {
    if (this.isSending || this.isFrozen || this.isDead || this.outbox.length === 0) return
    this.isSending = true
    this.later(() => {
      this.isSending = false
      if (this.isFrozen) return
      for (const act of this.outbox.splice(0, 3)) act()
      this.flush()
    })
  }

  /** There may be entries to read. */
  look(): void {
    if (this.isLooking || this.isFrozen || this.isDead || this.place.last === undefined) return
    this.isLooking = true
    this.later(() => {
      this.isLooking = false
      if (this.isFrozen) return
      const entries = this.log.after(this.place.last!, 5)
      if (entries.length === 0) return
      this.place.onState(this.log.state, 0)
      for (const entry of entries) {
        this.place.advance(entry.id)
        this.receivers.get(entry.namespace)?.receive(entry)
        this.place.settle()
      }
      this.look()
    })
  }

  /** Its connection to the log has ended, and is made again. */
  reconnect(): void {
    if (this.isFrozen || this.place.last === undefined) return
    this.later(() => {
      if (this.isFrozen) return
      this.place.onState(this.log.state, 0)
      this.look()
    })
  }

  freeze(): void {
    this.isFrozen = true
  }

  thaw(): void {
    this.isFrozen = false
    this.thawedAt = this.log.now()
    this.flush()
    this.reconnect()
    this.look()
  }

  die(): void {
    this.isDead = true
    this.log.nodes.delete(this)
    for (const onDeath of this.onDeath) onDeath()
  }

  /** A question, and its answer. */
  private ask<A>(answer: () => A): Effect.Effect<A> {
    return Effect.callback<A>((resume) => {
      this.send(() => {
        const value = answer()
        this.later(() => resume(Effect.succeed(value)))
      })
    })
  }

  private store(namespace: string): SessionStore {
    const { log } = this
    const write = (session: StoredSession.StoredSession, generation: string, timeToLive: number) => {
      const value = structuredClone(StoredSession.toValue(session))
      return () => void log.sessions.set(session.pid, { generation, value, until: log.now() + timeToLive })
    }
    return {
      generation: () => `${this.name}.${++this.generations}`,
      create: (session, generation, timeToLive, onEnd) => {
        if (session.checkpoint?.rooms.length === 0) log.onBegin(namespace, session, this.name)
        const set = write(session, generation, timeToLive)
        this.send(() => {
          set()
          log.onStored(session.pid)
          this.later(() => onEnd("kept"))
        })
      },
      update: (session, generation, timeToLive, onEnd) => {
        const set = write(session, generation, timeToLive)
        this.send(() => {
          const known = log.find(session.pid)
          const isOwn = known?.generation === generation || log.options.mutation === "generation"
          const kept: Kept = known === undefined ? "missing" : isOwn ? "kept" : "taken"
          if (kept === "kept") set()
          this.later(() => onEnd(kept))
        })
      },
      remove: (pid, generation) =>
        this.send(() => {
          if (log.find(pid)?.generation === generation) log.sessions.delete(pid)
        }),
      claim: (pid, generation) =>
        this.ask(() => {
          const known = log.find(pid)
          if (known === undefined) return log.onMissing(pid)
          known.generation = generation
          if (log.options.mutation === "rooms") known.value.x.r = known.value.rooms
          return StoredSession.fromValue(structuredClone(known.value), pid)
        })
    }
  }

  readonly open: LinkFactory = (namespace: string, receiver: ClusterReceiver) =>
    Effect.sync(() => {
      const uid = this.name
      const { log, place } = this
      let recent: Recent | undefined
      const waiting = new Map<number, (isRead: boolean) => void>()
      let last = 0
      const end = (number: number, isRead: boolean) => {
        const onEnd = waiting.get(number)
        waiting.delete(number)
        onEnd?.(isRead)
      }
      const add = (message: SharedMessage, onEnd: (isRead: boolean) => void) => {
        const number = ++last
        const entry = { namespace, uid, number, message: structuredClone(message) }
        waiting.set(number, onEnd)
        this.send(() => {
          const fate = log.options.loses()
          if (fate !== "before") log.append(entry)
          if (fate !== "no") this.later(() => end(number, false))
        })
      }
      const isAtOnce = log.options.mutation === "order"
      this.receivers.set(namespace, {
        receive: (entry) => {
          if (isAtOnce && entry.uid === uid && entry.message._tag === "Broadcast" && !entry.message.direct) return
          const from = { uid: entry.uid, native: true, position: entry.id }
          receiver.onMessage(from, structuredClone(entry.message) as ClusterMessage)
          if (place.place === undefined) recent = undefined
          else if (receiver.recovery !== undefined && log.options.remembers) {
            recent ??= receiver.recovery.remember(entry.index - 1)
            recent.add(place.place, structuredClone(entry.message), 100, 0)
          }
          if (entry.uid === uid) end(entry.number, true)
        }
      })
      const endAll = () => {
        for (const number of Array.from(waiting.keys())) end(number, false)
      }
      this.onDeath.push(endAll)
      if (receiver.recovery !== undefined) {
        const { recovery } = receiver
        this.place.gapListeners.add(() => {
          recent = undefined
          recovery.onGap()
          endAll()
        })
      }
      const shared: Omit<SharedLog, "watch"> = {
        get place() {
          return place.place
        },
        append: add,
        reach: (position) => place.reach(position),
        read: (after, upTo, maxEntries, onEntry) =>
          Effect.gen({ self: this }, function* () {
            if (recent?.has(after, place.place!)) return recent.read(after, upTo, maxEntries, onEntry)
            let from = after.position
            let left = maxEntries
            while (LogPosition.compare(from, upTo) < 0) {
              const entries = yield* this.ask(() =>
                log.after(from, 7).filter(({ id }) => LogPosition.compare(id, upTo) <= 0)
              )
              if (entries.length === 0) return undefined
              for (const entry of entries) {
                if (left-- === 0) return "overflow" as const
                onEntry(entry.id, entry.namespace === namespace ? structuredClone(entry.message) : undefined, 100)
                from = entry.id
              }
            }
            return undefined
          }),
        sessions: this.store(namespace)
      }
      const link: ClusterLink = {
        uid,
        send: (message) => {
          if (message._tag === "Broadcast") add(isAtOnce ? { ...message, atOnce: false } : message, () => {})
        },
        answer: () => {},
        servers: Effect.succeed(1),
        log: shared
      }
      return link
    })
}
