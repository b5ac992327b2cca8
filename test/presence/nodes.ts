/**
 * Servers with presence over a bus in memory, with sockets that are only as much of one as presence needs.
 */
import { Clock, Context, Effect, Exit, Layer, Schema, Scope, Stream } from "effect"

import type { Factory } from "../../src/adapter/Adapter.ts"
import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as DistributedAdapter from "../../src/adapter/DistributedAdapter.ts"
import * as Presence from "../../src/presence/Presence.ts"
import type { Change, Membership, PresenceShape, PresentSocket } from "../../src/presence/PresenceModel.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import type { BusServer, MemoryBus } from "../support/memoryBus.ts"

export class Online extends Presence.Service<Online>()("test/Online", { meta: Schema.Struct({ n: Schema.Int }) }) {}

export type Meta = typeof Online.meta.Type

export const period = 1_500
export const down = 5_000
export const forget = 60_000

export const options: Presence.Options = { namespace: "/", period, down, forget }

/** As much of a socket as presence needs. It does not disconnect. */
export const fakeSocket = (id: string, namespace = "/"): PresentSocket & { readonly rooms: Set<string> } => {
  const rooms = new Set([id])
  return {
    id,
    namespace,
    connected: true,
    rooms,
    join: (room) => Effect.sync(() => void rooms.add(room as string)),
    onDisconnecting: () => Effect.void
  }
}

export interface Tracked extends Membership<Meta> {
  readonly end: Effect.Effect<void>
}

export interface Node {
  readonly server: BusServer
  readonly online: PresenceShape<Meta>
  /** Tracks a member, until it is ended. */
  readonly track: (room: string, key: string, n: number) => Effect.Effect<Tracked>
  /** Ends in good order. */
  readonly stop: Effect.Effect<void>
}

let sockets = 0

/** Starts one more server of a cluster. */
export const start = Effect.fnUntraced(function* (
  bus: MemoryBus,
  name: string,
  changes: Partial<Presence.Options> = {}
) {
  const server = bus.server(name)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const factory: Factory = (host) => DistributedAdapter.make(host, server.open, server.monitor)
  const context = yield* Presence.layer(Online, { ...options, ...changes }).pipe(
    Layer.provide(SocketIoServer.layer()),
    Layer.provide(Layer.succeed(AdapterFactory, factory)),
    Layer.buildWithScope(scope),
    Effect.provideService(Clock.Clock, server.clock)
  )
  const online = Context.get(context, Online)
  const track = Effect.fnUntraced(function* (room: string, key: string, n: number) {
    const own = yield* Scope.fork(scope)
    const membership = yield* online
      .track(fakeSocket(`${name}-${sockets++}`), { room, key, meta: { n } })
      .pipe(Scope.provide(own), Effect.orDie)
    return { ...membership, end: Scope.close(own, Exit.void) }
  })
  return { server, online, track, stop: Scope.close(scope, Exit.void) } as Node
})

/** A list in one form: the numbers of each key in order. */
export const normal = (entries: Iterable<readonly [string, Iterable<number>]>): string =>
  JSON.stringify(
    Array.from(entries, ([key, numbers]) => [key, Array.from(numbers).toSorted((a, b) => a - b)] as const).toSorted(
      ([a], [b]) => (a < b ? -1 : 1)
    )
  )

export const listOf = ({ online }: Node, room: string): Effect.Effect<string> =>
  Effect.map(online.list(room), (members) =>
    normal(Array.from(members, ([key, metas]) => [key, metas.map(({ n }) => n)]))
  )

/** The knowledge of a reader of changes. It complains about marks that are not right. */
export class Follower {
  readonly members = new Map<string, Map<string, number>>()
  readonly problems: Array<string> = []
  readonly joins = new Map<string, number>()
  readonly leaves = new Map<string, number>()
  snapshots = 0
  revision = -1

  take(change: Change<Meta>): void {
    if (change.revision < this.revision) this.problems.push("an earlier revision")
    this.revision = change.revision
    if (change._tag === "Snapshot") {
      this.snapshots++
      this.members.clear()
      for (const [key, present] of change.members) {
        this.members.set(key, new Map(present.map(({ meta, ref }) => [ref, meta.n])))
      }
      return
    }
    const before = new Set(this.members.keys())
    for (const { key, meta, previousRef, ref } of change.updated) {
      if (!this.members.get(key)?.delete(previousRef)) this.problems.push(`an update of nobody: ${key}`)
      this.members.get(key)?.set(ref, meta.n)
    }
    for (const { key, meta, ref } of change.joined) {
      this.joins.set(key, (this.joins.get(key) ?? 0) + 1)
      let present = this.members.get(key)
      if (present === undefined) this.members.set(key, (present = new Map()))
      if (present.has(ref)) this.problems.push(`joined twice: ${key}`)
      present.set(ref, meta.n)
    }
    for (const { key, ref } of change.left) {
      this.leaves.set(key, (this.leaves.get(key) ?? 0) + 1)
      const present = this.members.get(key)
      if (!present?.delete(ref)) this.problems.push(`nobody has left: ${key}`)
      if (present?.size === 0) this.members.delete(key)
    }
    const firsts = change.joined.filter(({ first }) => first).map(({ key }) => key)
    const lasts = change.left.filter(({ last }) => last).map(({ key }) => key)
    const came = Array.from(this.members.keys()).filter((key) => !before.has(key))
    const went = Array.from(before).filter((key) => !this.members.has(key))
    if (firsts.toSorted().join() !== came.toSorted().join()) this.problems.push(`first: ${firsts}, but ${came}`)
    if (lasts.toSorted().join() !== went.toSorted().join()) this.problems.push(`last: ${lasts}, but ${went}`)
  }

  get list(): string {
    return normal(Array.from(this.members, ([key, present]) => [key, present.values()]))
  }
}

/** Follows the changes of a room. */
export const follow = Effect.fnUntraced(function* ({ online }: Node, room: string) {
  const follower = new Follower()
  yield* online.changes(room).pipe(
    Stream.runForEach((change) => Effect.sync(() => follower.take(change))),
    Effect.forkScoped({ startImmediately: true })
  )
  return follower
})
