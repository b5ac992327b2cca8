/**
 * Subscriptions that outlive connections: made again on each new one, and at the right server of a
 * Redis Cluster.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

import type { SubscriptionKind } from "../RedisCommand.ts"
import type { RedisError } from "../RedisError.ts"
import type { Address, Connection, Driver } from "./driver.ts"
import * as Line from "./line.ts"
import type { Routes } from "./routes.ts"

export interface Handlers {
  readonly onMessage: (channel: string, message: Uint8Array) => void
  readonly onConfirmed?: () => void
  readonly onInterrupted?: () => void
}

interface Entry {
  readonly kind: SubscriptionKind
  readonly name: string
  readonly handlers: Set<Handlers>
  isConfirmed: boolean
  server: Subscriber | undefined
}

/** So many names are in one command at most. */
const NAMES_PER_COMMAND = 500
/** A subscription that was refused is tried again after this, in milliseconds. */
const RETRY = 500

type ByKind<A> = Readonly<Record<SubscriptionKind, A>>
const byKind = <A>(make: () => A): ByKind<A> => ({ channel: make(), pattern: make(), sharded: make() })
// In the order in which they are subscribed to: servers are counted by channels of the last two.
const kinds: ReadonlyArray<SubscriptionKind> = ["pattern", "channel", "sharded"]

interface Shared {
  readonly isCluster: boolean
  /** A subscription is confirmed or interrupted, or a server's line has changed. */
  readonly changed: () => void
  readonly refresh: () => void
  readonly retry: (flush: () => void) => void
  readonly onProblem: (cause: unknown) => void
}

/** The subscriptions at one server. Requests of one turn of the event loop go out together. */
class Subscriber {
  line: Line.Line | undefined
  readonly desired = byKind(() => new Map<string, Entry>())
  /** Names that the server was asked for on this connection. */
  private readonly sent = byKind(() => new Set<string>())
  private readonly confirmed = byKind(() => new Set<string>())
  private readonly dirty = byKind(() => new Set<string>())
  private isScheduled = false
  /** Whether everything that was wanted when the connection came up has been confirmed. */
  isSettled = false
  private readonly shared: Shared

  constructor(shared: Shared) {
    this.shared = shared
  }

  get isEmpty(): boolean {
    return kinds.every((kind) => this.desired[kind].size === 0)
  }

  readonly events: Line.LineEvents = {
    onUp: (connection) => this.onUp(connection),
    onDown: () => this.onDown(),
    onMessage: (kind, name, channel, message) => this.onMessage(kind, name, channel, message),
    onMoved: () => {
      // The library does not always say which channel it was, so the connection is made again with
      // all that are still here.
      this.shared.refresh()
      this.line?.reset(new Error("a sharded channel has moved to another server"))
    },
    onProblem: (cause) => this.shared.onProblem(cause)
  }

  add(entry: Entry): void {
    entry.server = this
    this.desired[entry.kind].set(entry.name, entry)
    if (this.confirmed[entry.kind].has(entry.name)) confirm(entry)
    else this.schedule(entry)
  }

  remove(entry: Entry): void {
    entry.server = undefined
    this.desired[entry.kind].delete(entry.name)
    this.schedule(entry)
  }

  private schedule({ kind, name }: Entry): void {
    this.dirty[kind].add(name)
    if (this.isScheduled) return
    this.isScheduled = true
    setImmediate(() => {
      this.isScheduled = false
      this.flush()
    })
  }

  private flush(onDone?: () => void): void {
    const connection = this.line?.connection
    if (connection === undefined) {
      // The next connection asks for all that are wanted then. Clients may choose ever other names.
      for (const kind of kinds) this.dirty[kind].clear()
      return
    }
    let pending = 1
    const finish = () => {
      if (--pending === 0) onDone?.()
    }
    for (const kind of kinds) {
      const { confirmed, desired, dirty, sent } = this.of(kind)
      const added: Array<string> = []
      const removed: Array<string> = []
      for (const name of dirty) {
        if (desired.has(name)) {
          if (!sent.has(name)) added.push(name)
        } else if (sent.delete(name)) {
          confirmed.delete(name)
          removed.push(name)
        }
      }
      dirty.clear()
      for (const group of this.groups(kind, removed)) connection.unsubscribe(kind, group)
      for (const group of this.groups(kind, added)) {
        pending++
        for (const name of group) sent.add(name)
        connection.subscribe(kind, group, (error) => {
          if (this.line?.connection === connection) this.onReply(kind, group, error)
          finish()
        })
      }
    }
    finish()
  }

  private of(kind: SubscriptionKind) {
    return {
      confirmed: this.confirmed[kind],
      desired: this.desired[kind],
      dirty: this.dirty[kind],
      sent: this.sent[kind]
    }
  }

  /** A Redis Cluster takes sharded channels of several slots in several commands only. */
  private groups(kind: SubscriptionKind, names: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> {
    const size = kind === "sharded" && this.shared.isCluster ? 1 : NAMES_PER_COMMAND
    const groups: Array<ReadonlyArray<string>> = []
    for (let at = 0; at < names.length; at += size) groups.push(names.slice(at, at + size))
    return groups
  }

  private onReply(kind: SubscriptionKind, names: ReadonlyArray<string>, error: RedisError | undefined): void {
    const { confirmed, desired, dirty, sent } = this.of(kind)
    for (const name of names) {
      if (!sent.has(name)) continue
      if (error === undefined) {
        confirmed.add(name)
        const entry = desired.get(name)
        if (entry !== undefined) confirm(entry)
      } else {
        sent.delete(name)
        dirty.add(name)
      }
    }
    if (error === undefined) return
    if (error.reason._tag === "Refused") this.shared.onProblem(error)
    this.shared.refresh()
    this.shared.retry(() => this.flush())
  }

  private onUp(connection: Connection): void {
    this.isSettled = false
    for (const kind of kinds) {
      this.sent[kind].clear()
      // The oldest last: by it, servers are counted, and one that is counted must hear all the
      // others.
      for (const name of [...this.desired[kind].keys()].toReversed()) this.dirty[kind].add(name)
    }
    this.flush(() => {
      if (this.line?.connection !== connection) return
      this.isSettled = true
      this.shared.changed()
    })
  }

  private onDown(): void {
    this.isSettled = false
    for (const kind of kinds) {
      this.sent[kind].clear()
      this.confirmed[kind].clear()
      for (const entry of this.desired[kind].values()) interrupt(entry)
    }
    this.shared.changed()
  }

  /** A hot path: one look-up per message. */
  private onMessage(kind: SubscriptionKind, name: string, channel: string, message: Uint8Array): void {
    const entry = this.desired[kind].get(name)
    if (entry === undefined) return
    for (const handlers of entry.handlers) {
      try {
        handlers.onMessage(channel, message)
      } catch (error) {
        this.shared.onProblem(error)
      }
    }
  }
}

const confirm = (entry: Entry): void => {
  if (entry.isConfirmed) return
  entry.isConfirmed = true
  for (const handlers of entry.handlers) handlers.onConfirmed?.()
}

const interrupt = (entry: Entry): void => {
  if (!entry.isConfirmed) return
  entry.isConfirmed = false
  for (const handlers of entry.handlers) handlers.onInterrupted?.()
}

export interface Subscription {
  readonly isConfirmed: () => boolean
  readonly unsubscribe: () => void
}

export interface Subscriptions {
  readonly subscribe: (kind: SubscriptionKind, name: string, handlers: Handlers) => Subscription
  /** Whether all that was subscribed before the last loss of a connection is confirmed again. */
  readonly isUp: () => boolean
  /** When that changed last, in milliseconds of the Clock. */
  readonly changedAt: () => number
  readonly onChange: (listener: () => void) => () => void
}

export const make = (
  driver: Driver,
  routes: Routes,
  options: Line.LineOptions,
  onProblem: (cause: unknown) => void
): Effect.Effect<Subscriptions, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    const runSync = Effect.runSyncWith(context)
    const run = Effect.runForkWith(context)
    const listeners = new Set<() => void>()
    let changedAt = -Infinity
    const shared: Shared = {
      isCluster: routes.isCluster,
      changed: () => {
        changedAt = clock.currentTimeMillisUnsafe()
        for (const listener of listeners) listener()
      },
      refresh: routes.refresh,
      retry: (flush) => {
        run(Effect.sleep(RETRY).pipe(Effect.andThen(Effect.sync(flush)), Effect.forkIn(scope)))
      },
      onProblem
    }
    const open = (target: () => Address | undefined): readonly [Subscriber, Scope.Closeable] => {
      const subscriber = new Subscriber(shared)
      const own = Scope.forkUnsafe(scope)
      subscriber.line = runSync(Line.make(driver, target, subscriber.events, options).pipe(Scope.provide(own)))
      return [subscriber, own]
    }

    const entries = byKind(() => new Map<string, Entry>())
    const sharded = new Map<Address, readonly [Subscriber, Scope.Closeable]>()
    let classic: Subscriber | undefined
    let classicAddress: Address | undefined
    /** The subscriber of what is not sharded: at any server, at the same one while it is there. */
    const classicSubscriber = (): Subscriber => {
      classic ??= open(() => (classicAddress = routes.commonLane()?.address))[0]
      return classic
    }
    const serverOf = ({ kind, name }: Entry): Subscriber | undefined => {
      if (!routes.isCluster || kind !== "sharded") return classicSubscriber()
      const address = routes.laneOf(name)?.address
      if (address === undefined) return undefined
      let found = sharded.get(address)
      if (found === undefined) {
        found = open(() => address)
        sharded.set(address, found)
      }
      return found[0]
    }
    const place = (entry: Entry): void => {
      const server = serverOf(entry)
      if (server === entry.server) return
      const old = entry.server
      old?.remove(entry)
      if (old !== undefined) interrupt(entry)
      server?.add(entry)
    }

    if (routes.isCluster) {
      const onRoutes = () => {
        for (const entry of entries.sharded.values()) place(entry)
        const addresses = new Set(routes.lanes().map(({ address }) => address))
        for (const [address, [subscriber, own]] of sharded) {
          if (addresses.has(address) && !subscriber.isEmpty) continue
          sharded.delete(address)
          run(Scope.close(own, Exit.void))
        }
        if (addresses.size > 0 && classic?.line?.connection !== undefined && !addresses.has(classicAddress)) {
          classic.line.reset(new Error("the server is no longer a master of the Redis Cluster"))
        }
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => routes.onChange(onRoutes)),
        (stop) => Effect.sync(stop)
      )
    }

    return {
      subscribe(kind, name, handlers) {
        let entry = entries[kind].get(name)
        if (entry === undefined) {
          entry = { kind, name, handlers: new Set(), isConfirmed: false, server: undefined }
          entries[kind].set(name, entry)
        }
        const own = entry
        const isNew = own.handlers.size === 0
        own.handlers.add(handlers)
        if (isNew) place(own)
        else if (own.isConfirmed) handlers.onConfirmed?.()
        return {
          isConfirmed: () => own.isConfirmed && own.handlers.has(handlers),
          unsubscribe() {
            if (!own.handlers.delete(handlers) || own.handlers.size > 0) return
            own.server?.remove(own)
            own.isConfirmed = false
            entries[kind].delete(name)
          }
        }
      },
      isUp() {
        if (entries.sharded.size > 0 && routes.isCluster) {
          for (const [subscriber] of sharded.values()) if (!subscriber.isEmpty && !subscriber.isSettled) return false
          for (const entry of entries.sharded.values()) if (entry.server === undefined) return false
        }
        return classic === undefined || classic.isEmpty || classic.isSettled
      },
      changedAt: () => changedAt,
      onChange(listener) {
        listeners.add(listener)
        return () => {
          listeners.delete(listener)
        }
      }
    }
  })
