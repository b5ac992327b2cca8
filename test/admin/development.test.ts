/**
 * Development: single sockets, rooms and events, and the commands of administrators.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Layer, Logger, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as Admin from "../../src/admin/Admin.ts"
import type { AdminOptions } from "../../src/admin/AdminOptions.ts"
import { cut, cutAll } from "../../src/admin/internal/cut.ts"
import { Teller } from "../../src/admin/internal/teller.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { NamespaceHandle } from "../../src/server/NamespaceHandle.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { openPage, settle } from "../support/adminPage.ts"
import { Cluster } from "../support/linkedAdapter.ts"

class Chat extends Namespace.make("/chat", {
  clientToServer: [Event.make("say", { payload: Schema.Date })],
  serverToClient: [Event.make("said", { payload: Schema.Date })],
  data: { since: Schema.Date }
}) {}

const Application = Layer.mergeAll(
  SocketIoServer.layerNamespace(
    "/plain",
    Effect.fnUntraced(function* (socket) {
      yield* socket.on("enter", (room) => socket.join(String(room)))
      yield* socket.on("leave", (room) => socket.leave(String(room)))
      yield* socket.on("name", (name) => socket.setData({ name }))
      yield* socket.on("echo", (...args) => socket.emit("echo", ...args))
      yield* socket.on("flood", (times) => Effect.repeat(socket.emit("drop", 1), { times: Number(times) - 1 }))
    })
  ),
  SocketIoServer.layerNamespace(Chat, (socket) =>
    Effect.succeed(Chat.of({ say: (date) => socket.emit("said", date) }))
  ),
  SocketIoServer.layerDynamicNamespace(/^\/room-\d+$/, () => Effect.succeed((socket) => socket.join("inside")), {
    idleTimeToLive: "1 second"
  })
)

const server = (options: Partial<AdminOptions> = {}, testOptions: TestSocketIo.TestOptions = {}) =>
  Layer.merge(Application, Layer.orDie(Admin.layer({ auth: false, mode: "development", ...options }))).pipe(
    Layer.provideMerge(TestSocketIo.layer(testOptions))
  )

const withAdmin = (options?: Partial<AdminOptions>, testOptions?: TestSocketIo.TestOptions) =>
  Effect.provide(server(options, testOptions))

type Page = Effect.Success<ReturnType<typeof openPage>>

/** The events of a page beside the numbers, by their names, with timestamps checked and left out. */
const eventsOf = ({ events }: Page) =>
  events
    .filter(([name]) => !["server_stats", "config", "all_sockets"].includes(name))
    .map((event) => {
      const last = event.at(-1)
      if (event[0] === "socket_updated") return event
      assert.match(last, /^1970-01-01T/)
      return event.slice(0, -1)
    })

describe("the sockets that a page sees", () => {
  it.effect("are those that are there, the page's own among them, and those that come and leave", () =>
    Effect.gen(function* () {
      const early = yield* openPage(undefined, { namespace: "/plain" })
      yield* early.emit("enter", "kitchen")
      const page = yield* openPage({})
      assert.deepStrictEqual(page.all("config"), [[{ supportedFeatures: ["AGGREGATED_EVENTS", "ALL_EVENTS"] }]])
      const [[sockets]] = page.all("all_sockets") as [[ReadonlyArray<any>]]
      assert.deepStrictEqual(
        sockets.map(({ id, nsp, rooms }) => [nsp, id, rooms]).toSorted(),
        [
          ["/admin", page.id, [page.id]],
          ["/plain", early.id, [early.id, "kitchen"]]
        ].toSorted()
      )
      const shown = sockets.find(({ nsp }) => nsp === "/plain")
      assert.deepInclude(shown, { transport: "websocket", data: {} })
      assert.deepInclude(shown.handshake, { address: "127.0.0.1", secure: false, xdomain: false, issued: 0 })
      // A page groups sockets by their connections, and does not get to know the ids of these.
      const [socket] = yield* (yield* SocketIoServer.namespace("/plain")).sockets
      assert.notInclude(JSON.stringify(sockets), socket!.connection.id.slice(0, 8))

      const late = yield* openPage(undefined, { namespace: "/room-7" })
      yield* late.close
      yield* early.close
      const [connected] = page.all("socket_connected") as [[any]]
      assert.deepInclude(connected[0], { id: late.id, nsp: "/room-7", rooms: [late.id, "inside"] })
      assert.deepStrictEqual(
        page.all("socket_disconnected").map((event) => event.slice(0, -1)),
        [
          ["/room-7", late.id, "transport close"],
          ["/plain", early.id, "transport close"]
        ]
      )
      // The namespace closes, and opens anew.
      yield* TestClock.adjust("5 seconds")
      yield* settle
      const again = yield* openPage(undefined, { namespace: "/room-7" })
      assert.deepInclude((page.all("socket_connected") as any)[1][0], { id: again.id, nsp: "/room-7" })
    }).pipe(withAdmin())
  )

  it.effect("tell of their rooms, data and events, declared or not, and not of the page's own", () =>
    Effect.gen(function* () {
      const plain = yield* openPage(undefined, { namespace: "/plain" })
      const chat = yield* openPage(undefined, { namespace: "/chat" })
      const page = yield* openPage({})
      yield* plain.emit("enter", "kitchen")
      yield* plain.emit("leave", "kitchen")
      yield* plain.emit("echo", 1, { two: [2] })
      yield* chat.emit("say", "2030-01-01T00:00:00.000Z")
      assert.deepStrictEqual(eventsOf(page), [
        ["event_received", "/plain", plain.id, ["enter", "kitchen"]],
        ["room_joined", "/plain", "kitchen", plain.id],
        ["event_received", "/plain", plain.id, ["leave", "kitchen"]],
        ["room_left", "/plain", "kitchen", plain.id],
        ["event_received", "/plain", plain.id, ["echo", 1, { two: [2] }]],
        ["event_sent", "/plain", plain.id, ["echo", 1, { two: [2] }]],
        ["event_received", "/chat", chat.id, ["say", "2030-01-01T00:00:00.000Z"]],
        ["event_sent", "/chat", chat.id, ["said", "2030-01-01T00:00:00.000Z"]]
      ])
      yield* plain.emit("name", "Ada")
      yield* TestClock.adjust("500 millis")
      yield* settle
      assert.deepStrictEqual(page.all("socket_updated"), [[{ id: plain.id, nsp: "/plain", data: { name: "Ada" } }]])
    }).pipe(withAdmin())
  )

  it.effect("are left alone from the moment on in which the last page has left", () =>
    Effect.gen(function* () {
      const home = yield* SocketIoServer.namespace("/admin")
      const told: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(home.broadcasts(), ({ event }) => Effect.sync(() => told.push(event))),
        { startImmediately: true }
      )
      const plain = yield* openPage(undefined, { namespace: "/plain" })
      yield* plain.emit("echo", 1)
      assert.deepStrictEqual(told, [])
      const [first, second] = [yield* openPage({}), yield* openPage({})]
      yield* first.close
      yield* plain.emit("echo", 1)
      assert.include(told, "event_sent")
      assert.strictEqual(second.all("event_received").length, 1)
      yield* second.close
      told.length = 0
      yield* plain.emit("echo", 1)
      yield* plain.emit("enter", "kitchen")
      yield* openPage(undefined, { namespace: "/plain" })
      yield* openPage(undefined, { namespace: "/room-1" })
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.deepStrictEqual(told, [])
      // The next page sees everything again.
      const third = yield* openPage({})
      assert.lengthOf((third.all("all_sockets") as any)[0][0], 4)
      yield* plain.emit("echo", 2)
      assert.lengthOf(third.all("event_received"), 1)
    }).pipe(withAdmin())
  )
})

describe("a page of a server with recovery", () => {
  it.effect("comes back as the same socket, sees everything anew, and nothing is kept for it meanwhile", () =>
    Effect.gen(function* () {
      const plain = yield* openPage(undefined, { namespace: "/plain" })
      const first = yield* openPage({})
      yield* plain.emit("echo", 1)
      assert.deepStrictEqual(first.all("event_sent")[0]!.slice(0, 3), ["/plain", plain.id, ["echo", 1]])
      yield* first.close
      // Another page looks meanwhile.
      const other = yield* openPage({})
      yield* plain.emit("echo", 2)
      assert.lengthOf(other.all("event_sent"), 1)
      const offset = first.events.at(-1)!.at(-1)
      const back = yield* openPage({ pid: first.pid, offset })
      assert.strictEqual(back.id, first.id)
      assert.deepStrictEqual(back.all("event_sent"), [])
      assert.lengthOf(back.all("all_sockets"), 1)
      yield* plain.emit("echo", 3)
      assert.deepStrictEqual(back.all("event_sent")[0]!.slice(0, 3), ["/plain", plain.id, ["echo", 3]])
    }).pipe(withAdmin({}, { recovery: true }))
  )
})

describe("the load that clients can put on a page", () => {
  it.effect("is limited by the number of sockets, while the numbers count all", () =>
    Effect.gen(function* () {
      const page = yield* openPage({})
      const plain = yield* Effect.forEach([1, 2, 3], () => openPage(undefined, { namespace: "/plain" }))
      assert.deepStrictEqual(
        page.all("socket_connected").map(([{ id }]) => id),
        [plain[0]!.id]
      )
      yield* plain[2]!.emit("echo", 1)
      assert.deepStrictEqual(page.all("event_received"), [])
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.strictEqual((page.all("server_stats") as any).at(-1)[0].clientsCount, 4)
      yield* plain[0]!.close
      const next = yield* openPage(undefined, { namespace: "/plain" })
      assert.strictEqual((page.all("socket_connected") as any)[1][0].id, next.id)
    }).pipe(withAdmin({ maxSockets: 2 }))
  )

  it.effect("shows new namespaces, however many have come and closed while it looks", () =>
    Effect.gen(function* () {
      const page = yield* openPage(undefined)
      for (let i = 0; i < 1_001; i += 50) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const peer = yield* TestSocketIo.rawClient()
            for (let j = i; j < i + 50; j++) yield* peer.send(`40/room-${j},`)
            yield* settle
            yield* peer.close
          })
        )
        yield* settle
        yield* TestClock.adjust("2 seconds")
        yield* settle
      }
      assert.isAbove(page.all("socket_connected").length, 1_000)
      const last = yield* openPage(undefined, { namespace: "/room-5000" })
      assert.isTrue(page.all("socket_connected").some(([socket]) => socket.id === last.id))
    }).pipe(withAdmin())
  )

  it.effect("is limited by the number of events in a second, and a line tells how many were left out", () =>
    Effect.gen(function* () {
      const plain = yield* openPage(undefined, { namespace: "/plain" })
      const page = yield* openPage({})
      yield* plain.emit("flood", 100)
      assert.strictEqual(page.all("event_received").length + page.all("event_sent").length, 10)
      yield* TestClock.adjust("500 millis")
      yield* settle
      const [nsp, id, args] = page.all("event_sent").at(-1)!
      assert.deepStrictEqual([nsp, id, args], ["/plain", "", ["(91 events were left out)"]])
      yield* TestClock.adjust("1 second")
      yield* plain.emit("echo", 1)
      assert.deepStrictEqual(page.all("event_sent").at(-1)![2], ["echo", 1])
    }).pipe(withAdmin({ maxEvents: 10 }))
  )

  it.effect("is cut: names of events and rooms, headers, queries and data", () =>
    Effect.gen(function* () {
      const plain = yield* openPage(undefined, { namespace: "/plain" })
      const page = yield* openPage({})
      const long = "x".repeat(5_000)
      yield* plain.emit(long, long, Array(100).fill(long))
      yield* plain.emit("enter", long)
      yield* plain.emit("name", long)
      yield* TestClock.adjust("500 millis")
      yield* settle
      const [received] = page.all("event_received")
      assert.lengthOf(received![2][0], 256)
      assert.lengthOf(received![2][1], 300)
      assert.isBelow(JSON.stringify(received).length, 6_000)
      assert.lengthOf(page.all("room_joined")[0]![1], 256)
      assert.lengthOf((page.all("socket_updated") as any)[0][0].data.name, 300)
      const second = yield* openPage({})
      const [[sockets]] = second.all("all_sockets") as [[ReadonlyArray<any>]]
      const shown = sockets.find(({ id }) => id === plain.id)
      assert.deepStrictEqual(
        shown.rooms.map((room: string) => room.length),
        [plain.id.length, 256]
      )
      assert.isBelow(JSON.stringify(shown).length, 4_000)
    }).pipe(withAdmin())
  )

  it.effect("does not include cookies and credentials", () =>
    Effect.gen(function* () {
      const headers = { cookie: "sid=secret", authorization: "Bearer secret", "user-agent": "a browser" }
      const peer = yield* TestSocketIo.rawClient({ headers })
      yield* peer.send("40/plain,")
      yield* settle
      const page = yield* openPage({})
      const [[sockets]] = page.all("all_sockets") as [[ReadonlyArray<any>]]
      const { handshake } = sockets.find(({ nsp }) => nsp === "/plain")
      assert.deepInclude(handshake.headers, {
        cookie: "(hidden)",
        authorization: "(hidden)",
        "user-agent": "a browser"
      })
      assert.notInclude(JSON.stringify(page.events), "secret")
    }).pipe(withAdmin())
  )

  it("is a preview of values: of limited size and nesting, without bytes", () => {
    assert.deepStrictEqual(cut({ a: [1, "two", null, true], b: { c: undefined } }), {
      a: [1, "two", null, true],
      b: { c: undefined }
    })
    assert.deepStrictEqual(cutAll([new Uint8Array(3), new ArrayBuffer(4), 5n, new Date(0), new Date(Number.NaN)]), [
      "(3 bytes)",
      "(4 bytes)",
      "5",
      "1970-01-01T00:00:00.000Z",
      "(invalid date)"
    ])
    let deep: unknown = 1
    for (let i = 0; i < 1_000; i++) deep = [deep]
    assert.deepStrictEqual(cut(deep), [[[[["…"]]]]])
    const wide = cut(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]))) as object
    assert.isBelow(Object.keys(wide).length, 210)
    assert.deepStrictEqual((cutAll(Array(1_000).fill(0)) as Array<unknown>).slice(199), [0, "… 800 more"])
    const loop: Array<unknown> = []
    loop.push(loop)
    assert.deepStrictEqual(cut(loop), [[[[["…"]]]]])
    const polluting = cut(JSON.parse('{"__proto__":{"x":1},"y":{"__proto__":{"x":1}}}')) as any
    assert.deepStrictEqual(Object.keys(polluting), ["y"])
    assert.isUndefined(polluting.x)
    assert.deepStrictEqual(cut(new Map([["a", 1]])), { "(size)": 1 })
  })
})

describe("a slow page", () => {
  it.effect("makes nobody wait: messages wait for it, up to a bound, and a bug in one of them ends nothing", () =>
    Effect.gen(function* () {
      const gate = Latch.makeUnsafe(false)
      const sent: Array<string> = []
      const all = {
        emit: (event: string) =>
          event === "bug"
            ? Effect.die("a bug")
            : Effect.andThen(
                gate.await,
                Effect.sync(() => sent.push(event))
              )
      }
      const teller = yield* Teller.make({ all } as unknown as NamespaceHandle<Namespace.Untyped>)
      yield* Effect.forkScoped(Effect.provide(teller.work, Logger.layer([])), { startImmediately: true })
      assert.isTrue(teller.tell("first"))
      yield* settle
      let taken = 0
      while (teller.tell(taken === 0 ? "bug" : "more")) taken++
      assert.strictEqual(taken, 10_000)
      assert.deepStrictEqual(sent, [])
      gate.openUnsafe()
      yield* Effect.repeat(settle, { until: () => sent.length === 10_000 })
      assert.isTrue(teller.tell("last"))
      yield* settle
      assert.deepStrictEqual([sent[0], sent[1], sent.at(-1)], ["first", "more", "last"])
    })
  )
})

describe("commands", () => {
  const prepare = Effect.gen(function* () {
    const one = yield* openPage(undefined, { namespace: "/plain" })
    const other = yield* openPage(undefined, { namespace: "/plain" })
    yield* one.emit("enter", "kitchen")
    const page = yield* openPage({})
    const plain = yield* SocketIoServer.namespace("/plain")
    const rooms = Effect.map(plain.sockets, (sockets) =>
      Object.fromEntries(
        sockets.map(({ id, rooms }) => [
          id,
          Array.from(rooms)
            .filter((room) => room !== id)
            .toSorted()
        ])
      )
    )
    return { one, other, page, rooms }
  })

  it.effect("send events, and move and disconnect sockets", () =>
    Effect.gen(function* () {
      const { one, other, page, rooms } = yield* prepare
      assert.includeMembers((page.all("config") as any)[0][0].supportedFeatures, [
        "EMIT",
        "JOIN",
        "LEAVE",
        "DISCONNECT"
      ])
      yield* page.emit("emit", "/plain", null, "hello", 1, { two: 2 })
      yield* page.emit("emit", "/plain", "kitchen", "only", "one")
      yield* page.emit("emit", "/plain", other.id, "only", "other")
      assert.deepStrictEqual(one.events, [
        ["hello", 1, { two: 2 }],
        ["only", "one"]
      ])
      assert.deepStrictEqual(other.events, [
        ["hello", 1, { two: 2 }],
        ["only", "other"]
      ])
      yield* page.emit("join", "/plain", "hall")
      yield* page.emit("join", "/plain", "attic", other.id)
      assert.deepStrictEqual(yield* rooms, { [one.id]: ["hall", "kitchen"], [other.id]: ["attic", "hall"] })
      yield* page.emit("leave", "/plain", "hall", "kitchen")
      yield* page.emit("leave", "/plain", "attic")
      assert.deepStrictEqual(yield* rooms, { [one.id]: ["kitchen"], [other.id]: ["hall"] })
      yield* page.emit("_disconnect", "/plain", false, one.id)
      assert.deepStrictEqual(Object.keys(yield* rooms), [other.id])
      yield* page.emit("_disconnect", "/plain", true)
      assert.deepStrictEqual(yield* rooms, {})
      assert.strictEqual(yield* (yield* SocketIoServer.SocketIoServer).connectionCount, 2)
    }).pipe(withAdmin({ readonly: false }))
  )

  it.effect("do nothing with arguments that make no sense, and the page stays", () =>
    Effect.gen(function* () {
      const { one, page, rooms } = yield* prepare
      const before = yield* rooms
      for (const command of [
        ["emit"],
        ["emit", 5, null, "hello"],
        ["emit", "/plain", {}, "hello"],
        ["emit", "/plain", null, ["hello"]],
        ["emit", "/plain", null, "connect"],
        ["emit", "/nowhere", null, "hello"],
        ["join", "/plain"],
        ["join", "/plain", ["a"]],
        ["leave", "/plain", { length: 1 }, 5],
        ["_disconnect", null, true],
        ["_disconnect", "/plain", true, { all: true }],
        ["_disconnect", "/plain", true, "nobody"],
        ["shutdown", "/plain"]
      ] as const) {
        yield* page.emit(...(command as readonly [string]))
      }
      assert.deepStrictEqual(yield* rooms, before)
      assert.deepStrictEqual(one.events, [])
      yield* page.emit("emit", "/plain", null, "hello")
      assert.deepStrictEqual(one.events, [["hello"]])
    }).pipe(withAdmin({ readonly: false }))
  )

  it.effect("do nothing by default", () =>
    Effect.gen(function* () {
      const { one, page, rooms } = yield* prepare
      const before = yield* rooms
      yield* page.emit("emit", "/plain", null, "hello")
      yield* page.emit("join", "/plain", "hall")
      yield* page.emit("leave", "/plain", "kitchen")
      yield* page.emit("_disconnect", "/plain", true)
      assert.deepStrictEqual(yield* rooms, before)
      assert.deepStrictEqual(one.events, [])
    }).pipe(withAdmin())
  )
})

describe("a cluster", () => {
  it.effect("shows the sockets, rooms and events of all servers, and commands reach them", () =>
    Effect.gen(function* () {
      const cluster = new Cluster()
      const join = () =>
        Layer.build(
          Layer.fresh(server({ readonly: false })).pipe(Layer.provide(Layer.succeed(AdapterFactory, cluster.factory)))
        )
      const [alpha, beta] = [yield* join(), yield* join()]
      const early = yield* Effect.provideContext(openPage(undefined, { namespace: "/plain" }), beta)
      const page = yield* Effect.provideContext(openPage({}), alpha)
      yield* settle
      const second = yield* Effect.provideContext(openPage({}), alpha)
      yield* settle
      for (const { all } of [page, second]) {
        assert.include(
          all("socket_connected").map(([{ id }]) => id),
          early.id
        )
      }
      const late = yield* Effect.provideContext(openPage(undefined, { namespace: "/plain" }), beta)
      yield* early.emit("enter", "kitchen")
      yield* settle
      assert.strictEqual((page.all("socket_connected") as any).at(-1)[0].id, late.id)
      assert.deepStrictEqual(
        page.all("room_joined").map((event) => event.slice(0, 3)),
        [["/plain", "kitchen", early.id]]
      )
      assert.deepStrictEqual(
        page.all("event_received").map((event) => event.slice(0, 3)),
        [["/plain", early.id, ["enter", "kitchen"]]]
      )
      yield* page.emit("emit", "/plain", "kitchen", "hello")
      yield* settle
      assert.deepStrictEqual(early.events, [["hello"]])
      yield* page.emit("_disconnect", "/plain", false, early.id)
      yield* settle
      assert.deepStrictEqual(
        page.all("socket_disconnected").map((event) => event.slice(0, 3)),
        [["/plain", early.id, "server namespace disconnect"]]
      )
    })
  )
})
