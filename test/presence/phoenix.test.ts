/**
 * The reducers of Phoenix as judges: what an official client makes of the events with them is the server's list.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Presence as Phoenix } from "phoenix"
import type { Socket } from "socket.io-client"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as Presence from "../../src/presence/Presence.ts"
import * as PresenceList from "../../src/presence/PresenceList.ts"
import type { Membership } from "../../src/presence/PresenceModel.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"
import { count } from "../support/extent.ts"
import { eventually } from "../support/official.ts"
import { call, connect, serve } from "../support/serve.ts"

class Online extends Presence.Service<Online>()("test/Online", { meta: Schema.Struct({ n: Schema.Int }) }) {}

const Place = { room: Schema.String, key: Schema.String }

class Chat extends Namespace.make("/chat", {
  clientToServer: [
    Event.make("track", { payload: { ...Place, n: Schema.Int }, ack: Schema.Void }),
    Event.make("update", { payload: { ...Place, n: Schema.Int }, ack: Schema.Void }),
    Event.make("untrack", { payload: Schema.String, ack: Schema.Void }),
    Event.make("watch", { payload: Schema.String, ack: Schema.Void }),
    Event.make("list", { payload: Schema.String, ack: Schema.Unknown })
  ],
  serverToClient: [...Presence.events(Online)]
}) {}

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    const online = yield* Online
    const memberships = new Map<string, Membership<{ readonly n: number }>>()
    return Chat.of({
      track: Effect.fnUntraced(function* ({ key, n, room }) {
        memberships.set(`${room} ${key}`, yield* Effect.orDie(online.track(socket, { room, key, meta: { n } })))
      }),
      update: ({ key, n, room }) => Effect.orDie(memberships.get(`${room} ${key}`)?.update({ n }) ?? Effect.void),
      untrack: (room) => online.untrack(socket, room),
      watch: (room) => online.watch(socket, room),
      list: (room) => Effect.map(online.list(room), (members) => Array.from(members))
    })
  })
)

const Main = (period: string) =>
  ChatLive.pipe(Layer.provideMerge(Presence.layer(Online, { namespace: Chat, period: period as "1 second" })))

type Metas = ReadonlyArray<{ readonly n: number; readonly phx_ref: string }>
type State = Record<string, { metas: Metas }>

/** An official client that keeps its lists with the reducers of Phoenix, and with our own. */
const keepLists = (socket: Socket) => {
  const theirs = new Map<string, State>()
  const ours = new Map<string, PresenceList.PresenceList<Metas[number]>>()
  const seen = { states: 0, diffs: 0, refs: new Set<string>() }
  socket.on("connect", () => {
    theirs.clear()
    ours.clear()
  })
  socket.on("presence_state", (state: State, room: string) => {
    seen.states++
    ours.set(room, PresenceList.fromState(state))
    theirs.set(room, Phoenix.syncState(theirs.get(room) ?? {}, state) as State)
  })
  socket.on("presence_diff", (diff: { joins: State; leaves: State }, room: string) => {
    seen.diffs++
    ours.set(room, PresenceList.withDiff(ours.get(room) ?? new Map(), diff))
    theirs.set(room, Phoenix.syncDiff(theirs.get(room) ?? {}, diff) as State)
  })
  return { theirs, ours, seen }
}

/** Lists in one form: the numbers of each key in order. */
const normal = (entries: Iterable<readonly [string, ReadonlyArray<{ readonly n: number }>]>): string =>
  JSON.stringify(
    Array.from(entries, ([key, metas]) => [key, metas.map(({ n }) => n).toSorted((a, b) => a - b)] as const).toSorted(
      ([a], [b]) => (a < b ? -1 : 1)
    )
  )

const ofState = (state: State = {}) => normal(Object.entries(state).map(([key, { metas }]) => [key, metas]))

describe("an official client with the reducers of Phoenix", () => {
  it.live(
    "has the server's list after random operations",
    () =>
      Effect.gen(function* () {
        const operations = count(10_000, 2_000)
        const random = new Seeded(1, 26)
        const { url } = yield* serve(Main("20 millis"))
        const judge = yield* connect(`${url}/chat`)
        const clients = yield* Effect.forEach(Array.from({ length: 6 }), () =>
          Effect.gen(function* () {
            let lists!: ReturnType<typeof keepLists>
            const socket = yield* connect(`${url}/chat`, {}, (socket) => void (lists = keepLists(socket)))
            return { socket, ...lists, rooms: new Set<string>() }
          })
        )
        const pick = <A>(all: ReadonlyArray<A>): A => all[random.below(all.length)]!
        for (let n = 0; n < operations; n++) {
          const client = pick(clients)
          const room = pick(["a", "b", "c"])
          const place = { room, key: pick(["ada", "bob", "__proto", "constructor", "7"]), n }
          const isCheck = n % 500 === 499
          switch (random.below(10)) {
            case 0:
            case 1:
            case 2:
            case 3:
              client.rooms.add(room)
              yield* call(client.socket, "track", place)
              break
            case 4:
            case 5:
            case 6:
              yield* call(client.socket, "update", place)
              break
            case 7:
              yield* call(client.socket, "untrack", room)
              break
            case 8:
              client.rooms.add(room)
              yield* call(client.socket, "watch", room)
              break
            case 9:
              if (random.below(20) > 0) break
              client.rooms.clear()
              client.socket.disconnect().connect()
              yield* eventually(() => client.socket.connected)
          }
          if (!isCheck) continue
          for (const room of ["a", "b", "c"]) {
            const list = normal((yield* call(judge, "list", room)) as ReadonlyArray<[string, Metas]>)
            for (const { ours, rooms, theirs } of clients) {
              if (!rooms.has(room)) continue
              yield* eventually(() => ofState(theirs.get(room)) === list).pipe(
                Effect.timeoutOrElse({
                  duration: "5 seconds",
                  orElse: () => Effect.sync(() => assert.strictEqual(ofState(theirs.get(room)), list))
                })
              )
              assert.strictEqual(normal(ours.get(room) ?? []), list)
            }
          }
        }
        assert.isAbove(Math.min(...clients.map(({ seen }) => seen.diffs)), 20)
        assert.isAbove(Math.min(...clients.map(({ seen }) => seen.states)), 20)
      }),
    60_000
  )
})
