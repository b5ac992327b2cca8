/**
 * An adapter that joins several servers into a cluster, through the `Adapter` port alone.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Queue, Schema, Scope, Stream } from "effect"

import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { RemoteSocketBase } from "../../src/server/BroadcastOperator.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { ServersMissingError } from "../../src/SocketIoError.ts"
import { Cluster } from "../support/linkedAdapter.ts"
import { eventually } from "../support/official.ts"
import { within } from "../support/RawClient.ts"
import { call, connect, next, serve } from "../support/serve.ts"

class Taken extends Schema.TaggedError<Taken>()("Taken", { until: Schema.Date }) {}

class Fleet extends Namespace.make("/fleet", {
  auth: Schema.Struct({ name: Schema.optionalKey(Schema.String) }),
  clientToServer: [Event.make("sync", { ack: Schema.Void })],
  serverToClient: [
    Event.make("note", { payload: Schema.String }),
    Event.make("ask", { payload: Schema.String, ack: Schema.Int })
  ],
  serverToServer: [
    Event.make("refresh", { payload: { at: Schema.Date } }),
    Event.make("load", { payload: Schema.String, ack: Schema.Int }),
    Event.make("berth", { args: [Schema.Int, Schema.String], ack: Schema.Date, error: Taken }),
    Event.make("ping", { ack: Schema.Void })
  ],
  data: { since: Schema.Date }
}) {}

type FleetSocket = ServerSocket<typeof Fleet>

/** One server of a cluster. */
const joinServer = Effect.fnUntraced(function* (cluster: Cluster) {
  const member = cluster.member()
  const sockets = yield* Queue.unbounded<FleetSocket>()
  const served = SocketIoServer.layerNamespace(Fleet, (socket) =>
    Effect.as(Queue.offer(sockets, socket), Fleet.of({ sync: () => Effect.void }))
  )
  const main = SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.void))
  const { logs, server, url } = yield* Effect.provide(
    serve(Layer.merge(served, main)),
    Layer.succeed(AdapterFactory, member.factory)
  )
  const fleet = yield* Effect.provideContext(SocketIoServer.namespace(Fleet), server)
  const plain = yield* Effect.provideContext(SocketIoServer.namespace("/fleet"), server)
  /** A client of this server, and its socket. */
  const enter = Effect.fnUntraced(function* (name: string) {
    const client = yield* connect(`${url}/fleet`, { auth: { name } })
    const heard: Array<unknown> = []
    client.onAny((event, ...args) => heard.push([event, ...args]))
    client.on("ask", (question, answer) => answer(question.length))
    /** Waits for a note, from now on. */
    const hears = (note: string) => {
      const arrived = new Promise<void>((resolve) => client.on("note", (text) => text === note && resolve()))
      return Effect.promise(() => within(`note "${note}"`, arrived))
    }
    return { client, socket: yield* Queue.take(sockets), heard, hears, sync: call(client, "sync") }
  })
  return { enter, fleet, plain, logs, member }
})

/** Two servers. */
const pair = Effect.gen(function* () {
  const cluster = new Cluster()
  return { cluster, here: yield* joinServer(cluster), there: yield* joinServer(cluster) }
})

/** Two servers with a client each. */
const twoShips = Effect.gen(function* () {
  const { cluster, here, there } = yield* pair
  return { cluster, here, there, argo: yield* here.enter("Argo"), beagle: yield* there.enter("Beagle") }
})

/** Three servers with a client each; the third one hangs. `end` waits until it was asked, and lets it die. */
const dyingShip = Effect.gen(function* () {
  const ships = yield* twoShips
  const far = yield* joinServer(ships.cluster)
  const challenger = yield* far.enter("Challenger")
  const [lost] = yield* ships.here.fleet.to(challenger.socket.id).fetchSockets
  const unread = yield* far.member.hang
  return { ...ships, lost: lost!, end: Effect.andThen(Queue.take(unread), far.member.die) }
})

/** Starts a question, and lets the third server die after it was asked. */
const askDying = <A, E>(question: Effect.Effect<A, E>, end: Effect.Effect<void>): Effect.Effect<A, E> =>
  Effect.gen(function* () {
    const asking = yield* Effect.forkChild(question, { startImmediately: true })
    yield* end
    return yield* Fiber.join(asking)
  })

/** The values of a stream, and the failure with which it ends. */
const collect = <A, E>(stream: Stream.Stream<A, E>): Effect.Effect<{ answers: ReadonlyArray<A>; failure: E }> =>
  Effect.suspend(() => {
    const answers: Array<A> = []
    const all = Stream.runForEach(stream, (answer) => Effect.sync(() => void answers.push(answer)))
    return Effect.map(Effect.orDie(Effect.flip(all)), (failure) => ({ answers, failure }))
  })

const names = (sockets: ReadonlyArray<RemoteSocketBase>): ReadonlyArray<unknown> =>
  sockets.map(({ handshake }) => handshake.auth.name as string).toSorted()

describe("a broadcast in a cluster", () => {
  it.live("reaches the clients of all servers, or with `local` those of its own", () =>
    Effect.gen(function* () {
      const { argo, beagle, here } = yield* twoShips
      const [onArgo, onBeagle] = [next(argo.client, "note"), next(beagle.client, "note")]
      yield* here.fleet.all.local.emit("note", "local")
      yield* here.fleet.emit("note", "all")
      assert.deepStrictEqual(yield* onArgo, ["local"])
      assert.deepStrictEqual(yield* onBeagle, ["all"])
    })
  )

  it.live("takes bytes and flags along", () =>
    Effect.gen(function* () {
      const { beagle, cluster, here } = yield* twoShips
      const arrived = next(beagle.client, "chart")
      yield* here.plain.all.compress(false).emit("chart", { depth: new Uint8Array([1, 2, 3]) })
      yield* here.plain.all.volatile.emit("tide")
      assert.deepInclude(cluster.sent[0], { flags: { volatile: false, local: false, compress: false } })
      assert.deepInclude(cluster.sent[1], { flags: { volatile: true, local: false, compress: true } })
      assert.deepStrictEqual(yield* arrived, [{ depth: Buffer.from([1, 2, 3]) }])
    })
  )

  it.live("knows the rooms of all servers, and whom to leave out", () =>
    Effect.gen(function* () {
      const { argo, beagle, here, there } = yield* twoShips
      const challenger = yield* there.enter("Challenger")
      for (const { socket } of [argo, beagle, challenger]) yield* socket.join("sea")
      yield* challenger.socket.join("fog")
      const last = [argo.hears("three"), beagle.hears("four"), challenger.hears("five")]
      yield* here.fleet.to("sea").except("fog").emit("note", "one")
      yield* argo.socket.to("sea").emit("note", "two")
      yield* beagle.socket.broadcast.emit("note", "three")
      yield* here.fleet.to(beagle.socket.id).emit("note", "four")
      yield* here.fleet.except([argo.socket.id, beagle.socket.id]).emit("note", "five")
      for (const heard of last) yield* heard
      for (const { sync } of [argo, beagle, challenger]) yield* sync
      assert.deepStrictEqual(argo.heard, [
        ["note", "one"],
        ["note", "three"]
      ])
      assert.deepStrictEqual(beagle.heard, [
        ["note", "one"],
        ["note", "two"],
        ["note", "four"]
      ])
      // Events from different servers have no order.
      assert.sameDeepMembers(challenger.heard, [
        ["note", "two"],
        ["note", "three"],
        ["note", "five"]
      ])
    })
  )

  it.live("collects the acknowledgements of all servers, or with `local` those of its own", () =>
    Effect.gen(function* () {
      const { argo, beagle, here } = yield* twoShips
      const answers = yield* Stream.runCollect(here.fleet.emitWithAck("ask", "who?"))
      assert.sameMembers(
        answers.map(({ sid }) => sid),
        [argo.socket.id, beagle.socket.id]
      )
      for (const { response } of answers) assert.deepInclude(response, { _tag: "Success", success: 4 })
      const local = yield* Stream.runCollect(here.fleet.all.local.emitWithAck("ask", "who?"))
      assert.deepStrictEqual(
        local.map(({ sid }) => sid),
        [argo.socket.id]
      )
    })
  )

  it.live("has answers without ids from servers that do not tell them", () =>
    Effect.gen(function* () {
      const cluster = new Cluster({ tellsIds: false })
      const here = yield* joinServer(cluster)
      const argo = yield* here.enter("Argo")
      yield* (yield* joinServer(cluster)).enter("Beagle")
      const answers = yield* Stream.runCollect(here.fleet.emitWithAck("ask", "who?"))
      assert.sameDeepMembers(
        answers.map(({ sid }) => sid),
        [argo.socket.id, undefined]
      )
      for (const { response } of answers) assert.deepInclude(response, { _tag: "Success", success: 4 })
    })
  )

  it.live("does not wait for the acknowledgements of who goes, or of a server that goes", () =>
    Effect.gen(function* () {
      const { beagle, cluster, here } = yield* twoShips
      const scope = yield* Scope.make()
      const far = yield* Scope.provide(joinServer(cluster), scope)
      const challenger = yield* far.enter("Challenger")
      challenger.client.off("ask")
      beagle.client.off("ask").on("ask", () => beagle.client.disconnect())
      const asked = next(challenger.client, "ask")
      const answers = yield* Effect.forkChild(Stream.runCollect(here.fleet.emitWithAck("ask", "who?")), {
        startImmediately: true
      })
      yield* asked
      yield* Scope.close(scope, Exit.void)
      assert.lengthOf(yield* Fiber.join(answers), 1)
    })
  )

  it.live("forgets the acknowledgements of other servers, too, when its stream is left early", () =>
    Effect.gen(function* () {
      const { beagle, cluster, here } = yield* twoShips
      let answer!: (value: number) => void
      beagle.client.off("ask").on("ask", (_question, reply) => (answer = reply))
      const asked = next(beagle.client, "ask")
      yield* Stream.runDrain(Stream.take(here.fleet.emitWithAck("ask", "who?"), 1))
      yield* asked
      answer(1)
      yield* beagle.sync
      assert.deepStrictEqual(
        cluster.sent.filter(({ _tag }) => _tag === "Answer"),
        []
      )
    })
  )
})

describe("a question to a server that dies", () => {
  it.live("fails the fetching of sockets with those of the other servers", () =>
    Effect.gen(function* () {
      const { end, here } = yield* dyingShip
      const failure = yield* Effect.flip(askDying(here.fleet.fetchSockets, end))
      assert.instanceOf(failure, ServersMissingError)
      assert.strictEqual(failure.missing, 1)
      assert.deepStrictEqual(names(failure.partial), ["Argo", "Beagle"])
      // The others know that it is gone, and ask it no more.
      assert.deepStrictEqual(names(yield* here.fleet.fetchSockets), ["Argo", "Beagle"])
    })
  )

  it.live("gives sockets with the failure that can be sent to", () =>
    Effect.gen(function* () {
      const { beagle, end, here } = yield* dyingShip
      const { partial } = yield* Effect.flip(askDying(here.fleet.fetchSockets, end))
      assert.strictEqual(yield* partial.find(({ id }) => id === beagle.socket.id)!.emitWithAck("ask", "how?"), 4)
    })
  )

  it.live("fails the counting with the number on the other servers", () =>
    Effect.gen(function* () {
      const { end, here } = yield* dyingShip
      const failure = yield* Effect.flip(askDying(here.fleet.all.size, end))
      assert.deepInclude(failure, { _tag: "ServersMissingError", missing: 1, partial: 2 } as const)
      assert.strictEqual(yield* here.fleet.all.size, 2)
    })
  )

  it.live("does not concern `local`, which asks no other server", () =>
    Effect.gen(function* () {
      const { argo, cluster, here } = yield* dyingShip
      const sent = cluster.sent.length
      assert.strictEqual(yield* here.fleet.all.local.size, 1)
      assert.deepStrictEqual(names(yield* here.fleet.to(argo.socket.id).local.fetchSockets), ["Argo"])
      assert.lengthOf(yield* Stream.runCollect(here.fleet.all.local.emitWithAck("ask", "who?")), 1)
      assert.lengthOf(cluster.sent, sent)
    })
  )

  it.live("fails the acknowledgements of a broadcast after all others, its own server's included", () =>
    Effect.gen(function* () {
      const { argo, beagle, cluster, end, here } = yield* dyingShip
      let answer!: (value: number) => void
      argo.client.off("ask").on("ask", (_question, reply) => (answer = reply))
      const asked = next(argo.client, "ask")
      const collecting = yield* Effect.forkChild(collect(here.fleet.emitWithAck("ask", "who?")), {
        startImmediately: true
      })
      const ends = () => cluster.sent.filter(({ _tag }) => _tag === "End").length
      const before = ends()
      yield* Effect.andThen(asked, end)
      // Another server's answers have ended, too, and the next question comes after that.
      yield* eventually(() => ends() > before)
      yield* here.fleet.all.size
      answer(7)
      const { answers, failure } = yield* Fiber.join(collecting)
      assert.sameDeepMembers(
        answers.map(({ response, sid }) => [sid, response._tag === "Success" && response.success]),
        [
          [argo.socket.id, 7],
          [beagle.socket.id, 4]
        ]
      )
      assert.deepInclude(failure, { _tag: "ServersMissingError", missing: 1 } as const)
    })
  )

  it.live("fails the answers to an event between servers after those of the others", () =>
    Effect.gen(function* () {
      const { end, here, there } = yield* dyingShip
      yield* there.fleet.onServerSide("load", (unit) => Effect.succeed(unit.length))
      const { answers, failure } = yield* askDying(collect(here.fleet.serverSideEmitWithAck("load", "tons")), end)
      assert.deepStrictEqual(answers, [4])
      assert.deepInclude(failure, { _tag: "ServersMissingError", missing: 1 } as const)
    })
  )

  it.live("is a disconnection for who asks a fetched socket of that server", () =>
    Effect.gen(function* () {
      const { end, lost } = yield* dyingShip
      const failure = yield* Effect.flip(askDying(lost.emitWithAck("ask", "how?"), end))
      assert.deepInclude(failure, { _tag: "AckError", reason: { _tag: "Disconnected" } } as const)
      // The same if the server was dead before.
      const later = yield* Effect.flip(lost.emitWithAck("ask", "how?"))
      assert.deepInclude(later, { _tag: "AckError", reason: { _tag: "Disconnected" } } as const)
    })
  )
})

describe("sockets of a cluster", () => {
  it.live("are fetched from all servers, their data decoded here and encoded on the way", () =>
    Effect.gen(function* () {
      const { argo, beagle, cluster, here, there } = yield* twoShips
      yield* argo.socket.setData({ since: new Date(1) })
      yield* beagle.socket.setData({ since: new Date(2) })
      yield* beagle.socket.join("sea")
      const sockets = yield* here.fleet.fetchSockets
      assert.deepStrictEqual(names(sockets), ["Argo", "Beagle"])
      const remote = sockets.find(({ id }) => id === beagle.socket.id)!
      assert.deepStrictEqual(remote.handshake, beagle.socket.handshake)
      assert.deepStrictEqual(remote.rooms, new Set([beagle.socket.id, "sea"]))
      assert.deepStrictEqual(
        sockets.map(({ data }) => data.since!.getTime()).toSorted((a, b) => a - b),
        [1, 2]
      )
      const answers = cluster.sent.flatMap((message) => (message._tag === "Answer" ? [message.value] : []))
      assert.deepInclude(answers[0], { id: beagle.socket.id, data: { since: "1970-01-01T00:00:00.002Z" } })
      assert.deepStrictEqual(names(yield* here.fleet.all.local.fetchSockets), ["Argo"])
      assert.deepStrictEqual(names(yield* there.fleet.to("sea").fetchSockets), ["Beagle"])
      assert.deepStrictEqual(names(yield* here.plain.to("sea").fetchSockets), ["Beagle"])
      assert.deepStrictEqual(names(yield* here.fleet.except("sea").fetchSockets), ["Argo"])
    })
  )

  it.live("are sent to, asked and moved from another server", () =>
    Effect.gen(function* () {
      const { argo, beagle, here, there } = yield* twoShips
      const changes = yield* Effect.forkChild(Stream.runCollect(Stream.take(there.fleet.roomChanges(), 4)), {
        startImmediately: true
      })
      const [remote] = yield* here.fleet.to(beagle.socket.id).fetchSockets
      const noted = next(beagle.client, "note")
      yield* remote!.emit("note", "hello")
      assert.deepStrictEqual(yield* noted, ["hello"])
      assert.strictEqual(yield* remote!.emitWithAck("ask", "how?"), 4)
      yield* remote!.join(["sea", "fog"])
      assert.deepStrictEqual(names(yield* here.fleet.to("fog").fetchSockets), ["Beagle"])
      yield* remote!.leave("fog")
      assert.deepStrictEqual(names(yield* here.fleet.to("fog").fetchSockets), [])
      assert.deepStrictEqual(
        (yield* Fiber.join(changes)).map(({ _tag, room }) => `${_tag} ${room}`),
        ["Created sea", "Joined sea", "Created fog", "Joined fog"]
      )
      assert.deepStrictEqual(new Set(beagle.socket.rooms), new Set([beagle.socket.id, "sea"]))
      yield* argo.sync
      assert.deepStrictEqual(argo.heard, [])
    })
  )

  it.live("are disconnected from another server, with or without their connections", () =>
    Effect.gen(function* () {
      const { here, there } = yield* pair
      for (const close of [false, true]) {
        const { client, socket } = yield* there.enter("Beagle")
        const main = client.io.socket("/").connect()
        yield* call(main, "sync")
        const [gone, mainGone] = [next(client, "disconnect"), close ? next(main, "disconnect") : undefined]
        const [remote] = yield* here.fleet.fetchSockets
        yield* remote!.disconnect({ close })
        assert.strictEqual((yield* gone)[0], "io server disconnect")
        assert.strictEqual(yield* socket.disconnected, "server namespace disconnect")
        if (mainGone === undefined) yield* call(main, "sync")
        else assert.strictEqual((yield* mainGone)[0], "io server disconnect")
        const asking = remote!.emitWithAck("ask", "?")
        assert.deepInclude(yield* Effect.flip(asking), { _tag: "AckError", reason: { _tag: "Disconnected" } } as const)
      }
    })
  )

  it.live("join, leave and go as a selection, on all servers or with `local` on one", () =>
    Effect.gen(function* () {
      const { argo, beagle, there } = yield* twoShips
      yield* there.fleet.socketsJoin("sea")
      const [onArgo, onBeagle] = [next(argo.client, "note"), next(beagle.client, "note")]
      yield* there.fleet.to("sea").emit("note", "all")
      assert.deepStrictEqual([yield* onArgo, yield* onBeagle], [["all"], ["all"]])
      // A question to the other server comes after everything that it was told before.
      yield* there.fleet.all.local.socketsLeave("sea")
      assert.deepStrictEqual(names(yield* there.fleet.to("sea").fetchSockets), ["Argo"])
      yield* there.fleet.all.local.socketsJoin(["fog"])
      assert.deepStrictEqual(names(yield* there.fleet.to("fog").fetchSockets), ["Beagle"])
      yield* there.fleet.to(["sea", "fog"]).local.disconnectSockets()
      assert.strictEqual(yield* beagle.socket.disconnected, "server namespace disconnect")
      assert.deepStrictEqual(names(yield* there.fleet.fetchSockets), ["Argo"])
      yield* there.fleet.to("sea").except("fog").socketsLeave("sea")
      assert.deepStrictEqual(names(yield* there.fleet.to("sea").fetchSockets), [])
      yield* there.fleet.disconnectSockets()
      assert.strictEqual(yield* argo.socket.disconnected, "server namespace disconnect")
    })
  )
})

describe("events between servers", () => {
  it.live("reach the other servers with their declared types, and not their own", () =>
    Effect.gen(function* () {
      const { cluster, here, there } = yield* pair
      const far = yield* joinServer(cluster)
      const heard = yield* Queue.unbounded<readonly [string, unknown]>()
      for (const [name, { fleet }] of Object.entries({ here, there, far })) {
        yield* fleet.onServerSide("refresh", ({ at }) => Queue.offer(heard, [name, at.getTime()]))
      }
      yield* here.fleet.serverSideEmit("refresh", { at: new Date(1) })
      assert.sameDeepMembers(
        [yield* Queue.take(heard), yield* Queue.take(heard)],
        [
          ["there", 1],
          ["far", 1]
        ]
      )
      yield* far.fleet.serverSideEmit("refresh", { at: new Date(2) })
      assert.sameDeepMembers(
        [yield* Queue.take(heard), yield* Queue.take(heard)],
        [
          ["here", 2],
          ["there", 2]
        ]
      )
      assert.deepInclude(cluster.sent[0], { data: ["refresh", { at: "1970-01-01T00:00:00.001Z" }] })
    })
  )

  it.live("need no contract", () =>
    Effect.gen(function* () {
      const { here, there } = yield* pair
      const heard = yield* Queue.unbounded<unknown>()
      yield* there.plain.onServerSide("whatever", (...args) => Effect.asVoid(Queue.offer(heard, args)))
      yield* here.plain.serverSideEmit("nobody listens")
      yield* here.plain.serverSideEmit("whatever", 1, { a: null })
      assert.deepStrictEqual(yield* Queue.take(heard), [1, { a: null }])
      assert.deepStrictEqual(yield* Stream.runCollect(here.plain.serverSideEmitWithAck("whatever")), [[]])
      assert.deepStrictEqual(yield* Queue.take(heard), [])
    })
  )

  it.live(
    "that the contract does not declare, or with a payload of another type, are a defect, or fail who waits for answers",
    () =>
      Effect.gen(function* () {
        const { here } = yield* pair
        const undeclared = yield* Effect.exit(here.fleet.serverSideEmit("note" as "ping"))
        assert.include(String(undeclared), '"note" is not among the events between servers')
        const wrong = yield* Effect.exit(here.fleet.serverSideEmit("load", 1 as unknown as string))
        assert.isTrue(Exit.hasDies(wrong))
        const asked = yield* Effect.flip(Stream.runDrain(here.fleet.serverSideEmitWithAck("load", 1 as never)))
        assert.nestedInclude(asked, { _tag: "AckError", event: "load", "reason._tag": "PayloadRefused" })
        assert.isTrue(Exit.hasDies(yield* Effect.exit(here.fleet.onServerSide("note" as "ping", () => Effect.void))))
      })
  )

  it.live("collect the typed answers of the others", () =>
    Effect.gen(function* () {
      const { cluster, here, there } = yield* pair
      const far = yield* joinServer(cluster)
      yield* here.fleet.onServerSide("load", () => Effect.die("not asked"))
      yield* there.fleet.onServerSide("load", (unit) => Effect.succeed(unit.length))
      yield* far.fleet.onServerSide("load", () => Effect.succeed(7))
      const answers: ReadonlyArray<number> = yield* Stream.runCollect(here.fleet.serverSideEmitWithAck("load", "tons"))
      assert.sameMembers([...answers], [4, 7])
      yield* there.fleet.onServerSide("ping", () => Effect.void)
      yield* far.fleet.onServerSide("ping", () => Effect.void)
      assert.deepStrictEqual(yield* Stream.runCollect(here.fleet.serverSideEmitWithAck("ping")), [undefined, undefined])
    })
  )

  it.live("answer with what they declare: a value, or a failure", () =>
    Effect.gen(function* () {
      const { here, there } = yield* pair
      yield* there.fleet.onServerSide("berth", ([berth, name]) =>
        name === "Argo" ? Effect.succeed(new Date(berth)) : Effect.fail(new Taken({ until: new Date(9) }))
      )
      assert.deepStrictEqual(yield* Stream.runCollect(here.fleet.serverSideEmitWithAck("berth", [5, "Argo"])), [
        new Date(5)
      ])
      const failure = yield* Effect.flip(Stream.runDrain(here.fleet.serverSideEmitWithAck("berth", [5, "Beagle"])))
      assert.instanceOf(failure, Taken)
      assert.deepStrictEqual((failure as Taken).until, new Date(9))
      assert.deepStrictEqual(there.logs, [])
    })
  )

  it.live("ask nobody where there is no other server", () =>
    Effect.gen(function* () {
      const alone = yield* joinServer(new Cluster())
      yield* alone.fleet.onServerSide("load", () => Effect.die("not asked"))
      yield* alone.fleet.serverSideEmit("load", "tons")
      assert.deepStrictEqual(yield* Stream.runCollect(alone.fleet.serverSideEmitWithAck("load", "tons")), [])
      // In memory there never is one.
      const { server } = yield* serve(Layer.empty)
      const fleet = yield* Effect.provideContext(SocketIoServer.namespace(Fleet), server)
      yield* fleet.serverSideEmit("load", "tons")
      assert.deepStrictEqual(yield* Stream.runCollect(fleet.serverSideEmitWithAck("load", "tons")), [])
    })
  )

  it.live("fail with an AckError on an answer that is not as declared", () =>
    Effect.gen(function* () {
      const { here, there } = yield* pair
      yield* there.plain.onServerSide("load", () => Effect.succeed("many"))
      const failure = yield* Effect.flip(Stream.runDrain(here.fleet.serverSideEmitWithAck("load", "tons")))
      assert.nestedInclude(failure, {
        _tag: "AckError",
        event: "load",
        "reason._tag": "InvalidAcknowledgement"
      } as const)
    })
  )

  it.live("are handled until the handler's scope closes, which interrupts it", () =>
    Effect.gen(function* () {
      const { here, there } = yield* pair
      const heard = yield* Queue.unbounded<string>()
      const scope = yield* Scope.make()
      yield* Scope.provide(
        there.fleet.onServerSide("load", (unit) =>
          Effect.andThen(
            Queue.offer(heard, `first ${unit}`),
            Effect.onInterrupt(Effect.never, () => Queue.offer(heard, "interrupted"))
          )
        ),
        scope
      )
      const asking = yield* Effect.forkChild(Stream.runCollect(here.fleet.serverSideEmitWithAck("load", "one")), {
        startImmediately: true
      })
      assert.strictEqual(yield* Queue.take(heard), "first one")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Queue.take(heard), "interrupted")
      // Nobody is left who could answer.
      assert.deepStrictEqual(yield* Fiber.join(asking), [])
      yield* there.fleet.onServerSide("load", (unit) => Effect.as(Queue.offer(heard, `second ${unit}`), 2))
      assert.deepStrictEqual(yield* Stream.runCollect(here.fleet.serverSideEmitWithAck("load", "two")), [2])
      assert.deepStrictEqual(yield* Queue.clear(heard), ["second two"])
    })
  )

  it.live("are not answered by a handler that dies, or returns what is not declared: that is logged", () =>
    Effect.gen(function* () {
      const { cluster, here, there } = yield* pair
      const far = yield* joinServer(cluster)
      yield* far.fleet.onServerSide("load", () => Effect.succeed(7))
      for (const handler of [
        () => Effect.die(new Error("leaking")),
        () => Effect.fail("leaking"),
        () => Effect.succeed("leaking" as unknown as number),
        () => {
          throw new Error("leaking")
        }
      ]) {
        const scope = yield* Scope.make()
        yield* Scope.provide(there.fleet.onServerSide("load", handler), scope)
        assert.deepStrictEqual(yield* Stream.runCollect(here.fleet.serverSideEmitWithAck("load", "tons")), [7])
        yield* Scope.close(scope, Exit.void)
      }
      assert.lengthOf(there.logs, 4)
      for (const line of there.logs) assert.include(line, "handler of a server's event failed")
    })
  )

  it.live("with a payload that is not as declared are logged, and not handled", () =>
    Effect.gen(function* () {
      const { here, there } = yield* pair
      yield* there.fleet.onServerSide("load", () => Effect.die("not called"))
      assert.deepStrictEqual(yield* Stream.runCollect(here.plain.serverSideEmitWithAck("load", 1)), [])
      assert.lengthOf(there.logs, 1)
      assert.include(there.logs[0], "Expected string")
    })
  )

  it.live("are answered by the first of several handlers that has a value, once", () =>
    Effect.gen(function* () {
      const { cluster, here, there } = yield* pair
      yield* there.fleet.onServerSide("load", () => Effect.never)
      yield* there.fleet.onServerSide("load", () => Effect.die("broken"))
      yield* there.fleet.onServerSide("load", () => Effect.succeed(2))
      yield* there.fleet.onServerSide("load", () => Effect.succeed(3))
      assert.deepStrictEqual(yield* Stream.runCollect(here.fleet.serverSideEmitWithAck("load", "tons")), [2])
      assert.deepStrictEqual(cluster.surplus, [])
    })
  )

  it.live("are not waited for where nobody handles them", () =>
    Effect.gen(function* () {
      const { here } = yield* pair
      assert.deepStrictEqual(yield* Stream.runCollect(here.fleet.serverSideEmitWithAck("load", "tons")), [])
    })
  )
})

describe("a server of a cluster", () => {
  it.live("is in it as soon as it serves a namespace, or listens to the others", () =>
    Effect.gen(function* () {
      const cluster = new Cluster()
      const here = yield* joinServer(cluster)
      // This one has no client, no handler, and has sent nothing.
      const there = yield* Effect.provide(
        serve(SocketIoServer.layerNamespace("/fleet", () => Effect.void)),
        Layer.succeed(AdapterFactory, cluster.factory)
      )
      const client = yield* connect(`${there.url}/fleet`)
      const noted = next(client, "note")
      yield* here.fleet.emit("note", "hello")
      assert.deepStrictEqual(yield* noted, ["hello"])
      // This one serves nothing.
      const { server } = yield* Effect.provide(serve(Layer.empty), Layer.succeed(AdapterFactory, cluster.factory))
      const fleet = yield* Effect.provideContext(SocketIoServer.namespace(Fleet), server)
      yield* fleet.onServerSide("load", () => Effect.succeed(3))
      assert.deepStrictEqual(yield* Stream.runCollect(here.fleet.serverSideEmitWithAck("load", "tons")), [3])
    })
  )

  it.live("hears what another one's finalizers have to say when that one shuts down", () =>
    Effect.gen(function* () {
      const cluster = new Cluster()
      const here = yield* joinServer(cluster)
      const argo = yield* here.enter("Argo")
      const heard = argo.hears("bye")
      const served = SocketIoServer.layerNamespace(Fleet, (socket) =>
        Effect.gen(function* () {
          const fleet = yield* SocketIoServer.namespace(Fleet)
          yield* Effect.addFinalizer(() => Effect.andThen(Effect.yieldNow, fleet.emit("note", "bye")))
          return Fleet.of({ sync: () => socket.join("sea") })
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { url } = yield* Effect.provide(serve(served), Layer.succeed(AdapterFactory, cluster.factory))
          yield* call(yield* connect(`${url}/fleet`), "sync")
        })
      )
      yield* heard
    })
  )

  it.live("makes its adapters in its own context, and closes them with the namespace", () =>
    Effect.gen(function* () {
      class Broker extends Context.Service<Broker, string>()("test/Broker") {}
      const told: Array<string> = []
      const cluster = new Cluster()
      yield* Effect.scoped(
        Effect.provide(
          serve(SocketIoServer.layerNamespace("/fleet", () => Effect.void)),
          Layer.effect(
            AdapterFactory,
            Effect.gen(function* () {
              const name = yield* Broker
              return (host) =>
                Effect.gen(function* () {
                  yield* Effect.acquireRelease(
                    Effect.sync(() => told.push(`open ${name}${host.namespace}`)),
                    () => Effect.sync(() => told.push(`close ${name}${host.namespace}`))
                  )
                  return yield* cluster.factory(host)
                })
            })
          ).pipe(Layer.provide(Layer.succeed(Broker, "broker")))
        )
      )
      assert.deepStrictEqual(told, ["open broker/fleet", "close broker/fleet"])
    })
  )
})

describe("a dynamic namespace of a cluster", () => {
  class Ship extends Namespace.dynamic("/ship/:name", {
    serverToClient: [
      Event.make("note", { payload: Schema.String }),
      Event.make("ask", { payload: Schema.String, ack: Schema.Int })
    ],
    serverToServer: [Event.make("load", { payload: Schema.String, ack: Schema.Int })],
    data: { since: Schema.Date }
  }) {}

  const joinServer = Effect.fnUntraced(function* (cluster: Cluster) {
    const layer = SocketIoServer.layerDynamicNamespace(
      Ship,
      () =>
        Effect.succeed((socket: ServerSocket<typeof Ship>) =>
          Effect.as(socket.setData({ since: new Date(1) }), Ship.of({}))
        ),
      { idleTimeToLive: 0 }
    )
    const { server, url } = yield* Effect.provide(serve(layer), Layer.succeed(AdapterFactory, cluster.factory))
    const ships = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Ship), server)
    return { argo: ships.get({ name: "Argo" }), ships, url }
  })

  /** Two servers, of which the other one has a client. */
  const apart = Effect.gen(function* () {
    const cluster = new Cluster()
    const here = yield* joinServer(cluster)
    const there = yield* joinServer(cluster)
    const client = yield* connect(`${there.url}/ship/Argo`)
    client.on("ask", (question, answer) => answer(question.length))
    return { cluster, here, there, client }
  })

  it.live("is reached from servers that have not opened it, and is not there for long", () =>
    Effect.gen(function* () {
      const { client, here } = yield* apart
      const noted = next(client, "note")
      yield* here.argo.emit("note", "hello")
      assert.deepStrictEqual(yield* noted, ["hello"])
      const [answer] = yield* Stream.runCollect(here.argo.emitWithAck("ask", "who?"))
      assert.deepInclude(answer!.response, { _tag: "Success", success: 4 })
      yield* here.argo.socketsJoin("sea")
      const [remote] = yield* here.argo.to("sea").fetchSockets
      assert.deepStrictEqual(remote!.data, { since: new Date(1) })
      const gone = next(client, "disconnect")
      yield* remote!.disconnect()
      assert.strictEqual((yield* gone)[0], "io server disconnect")
      assert.deepStrictEqual(yield* here.ships.active, [])
    })
  )

  it.live("hears what other servers say before and after it is open here", () =>
    Effect.gen(function* () {
      const { here, there } = yield* apart
      yield* here.argo.onServerSide("load", (cargo) => Effect.succeed(cargo.length))
      const load = Stream.runCollect(there.argo.serverSideEmitWithAck("load", "oars"))
      assert.deepStrictEqual(yield* load, [4])
      const closed = yield* Effect.forkChild(Stream.runHead(here.ships.closings()), { startImmediately: true })
      const visitor = yield* connect(`${here.url}/ship/Argo`)
      visitor.disconnect()
      yield* Fiber.join(closed)
      assert.deepStrictEqual(yield* load, [4])
    })
  )
})
