import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Metric, Queue, Schema } from "effect"

import * as Binary from "../../src/Binary.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, next, refusal, serve } from "../support/serve.ts"

class User extends Schema.Class<User>("User")({ name: Schema.String, since: Schema.Date }) {}
class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { room: Schema.String, capacity: Schema.Int }) {}

const Greet = Event.make("greet", { payload: { user: User }, ack: User })
const Enter = Event.make("enter", { payload: Schema.String, ack: Schema.Int, error: RoomFull })
const Draw = Event.make("draw", { args: [Schema.Finite, Schema.Finite, Binary.Bytes] })
const Note = Event.make("note", { payload: Schema.String })
const Image = Event.make("image", { payload: { title: Schema.String, data: Binary.Bytes }, ack: Binary.Bytes })
const Wait = Event.make("wait", { ack: Schema.String })
const Confirm = Event.make("confirm", { payload: Schema.String, ack: Schema.Boolean, error: RoomFull })

class Studio extends Namespace.make("/studio", {
  auth: Schema.Struct({ room: Schema.optionalKey(Schema.String) }),
  clientToServer: [Greet, Enter, Draw, Note, Image, Wait],
  serverToClient: [Draw, Note, Image, Confirm]
}) {}

const since = new Date(1_700_000_000_000)

/** Handlers of which a test replaces those that it is about. */
const handlers = (overrides: Partial<Namespace.Handlers<Namespace.ClientToServer<typeof Studio>>> = {}) => ({
  greet: ({ user }: { readonly user: User }) => Effect.succeed(user),
  enter: () => Effect.succeed(1),
  draw: () => Effect.void,
  note: () => Effect.void,
  image: ({ data }: { readonly data: Uint8Array }) => Effect.succeed(data),
  wait: () => Effect.succeed("done"),
  ...overrides
})

type StudioSocket = ServerSocket<typeof Studio>

const studio = (build: (socket: StudioSocket) => ReturnType<typeof handlers>) =>
  SocketIoServer.layerNamespace(Studio, (socket) => Effect.sync(() => build(socket)))

/** A namespace's sockets as they come. */
const watched = Effect.fnUntraced(function* (overrides: Parameters<typeof handlers>[0] = {}) {
  const sockets = yield* Queue.unbounded<StudioSocket>()
  const serving = yield* serve(
    studio((socket) => {
      Queue.offerUnsafe(sockets, socket)
      return handlers(overrides)
    })
  )
  return { ...serving, studio: `${serving.url}/studio`, socket: Queue.take(sockets) }
})

describe("a namespace with a contract", () => {
  it.live("decodes payloads into the declared types, and encodes acknowledgements", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { studio } = yield* watched({
        greet: ({ user }) => {
          seen.push(user)
          return Effect.succeed(new User({ name: user.name.toUpperCase(), since: user.since }))
        }
      })
      const socket = yield* connect(studio)
      const answer = yield* call(socket, "greet", { user: { name: "Ada", since: since.toISOString() }, extra: 1 })
      assert.deepStrictEqual(answer, { name: "ADA", since: since.toISOString() })
      assert.instanceOf(seen[0], User)
      assert.deepStrictEqual((seen[0] as User).since, since)
    })
  )

  it.live("takes several wire arguments as a tuple, binary among them, and ignores more than are declared", () =>
    Effect.gen(function* () {
      const seen = yield* Queue.unbounded<unknown>()
      const { studio } = yield* watched({ draw: (args) => Queue.offer(seen, args) })
      const socket = yield* connect(studio)
      socket.emit("draw", 1, 2.5, Buffer.from([7]), "more")
      const [x, y, data] = (yield* Queue.take(seen)) as [number, number, Uint8Array]
      assert.deepStrictEqual([x, y, Buffer.from(data)], [1, 2.5, Buffer.from([7])])
    })
  )

  it.live("carries bytes inside payloads and in acknowledgements as attachments", () =>
    Effect.gen(function* () {
      const { studio } = yield* watched()
      const socket = yield* connect(studio)
      const answer = yield* call(socket, "image", { title: "t", data: Buffer.from([1, 2, 3]) })
      assert.deepStrictEqual(Buffer.from(answer), Buffer.from([1, 2, 3]))
    })
  )

  it.live("answers an event with declared failures by one tagged argument", () =>
    Effect.gen(function* () {
      const { studio } = yield* watched({
        enter: (room) => (room === "full" ? Effect.fail(new RoomFull({ room, capacity: 2 })) : Effect.succeed(2))
      })
      const socket = yield* connect(studio)
      assert.deepStrictEqual(yield* call(socket, "enter", "empty"), { _tag: "Success", value: 2 })
      assert.deepStrictEqual(yield* call(socket, "enter", "full"), {
        _tag: "Failure",
        error: { _tag: "RoomFull", room: "full", capacity: 2 }
      })
    })
  )

  it.live("acknowledges an event that declares nothing once its handler is done", () =>
    Effect.gen(function* () {
      const { studio } = yield* watched()
      const socket = yield* connect(studio)
      assert.isUndefined(yield* call(socket, "note", "x"))
    })
  )

  it.live("keeps payloads that the schema refuses from the handler, and says so where a failure is declared", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { studio } = yield* watched({
        note: (text) => Effect.sync(() => seen.push(text)),
        enter: (room) => Effect.sync(() => seen.push(room))
      })
      const socket = yield* connect(studio)
      for (const payload of [1, null, {}, [], undefined]) socket.emit("note", payload)
      const answer = yield* call(socket, "enter", { not: "a string" })
      assert.strictEqual(answer._tag, "Failure")
      assert.strictEqual(answer.error._tag, "PayloadRefused")
      assert.match(answer.error.message, /Expected string/)
      assert.deepStrictEqual(seen, [])
      yield* call(socket, "note", "fine")
      assert.deepStrictEqual(seen, ["fine"])
    })
  )

  it.live("counts payloads that were refused and handlers that died, by namespace and event", () =>
    Effect.gen(function* () {
      const value = (counter: typeof ServerMetrics.payloadsRefused, event: string) =>
        Effect.map(Metric.value(Metric.withAttributes(counter, { namespace: "/studio", event })), ({ count }) => count)
      const before = [
        yield* value(ServerMetrics.payloadsRefused, "note"),
        yield* value(ServerMetrics.handlerFailures, "wait"),
        yield* value(ServerMetrics.handlerFailures, "note")
      ]
      const { studio } = yield* watched({ wait: () => Effect.die("x") })
      const socket = yield* connect(studio)
      socket.emit("note", 1)
      socket.emit("note", 2)
      socket.emit("wait")
      yield* call(socket, "note", "fine")
      const after = [
        yield* value(ServerMetrics.payloadsRefused, "note"),
        yield* value(ServerMetrics.handlerFailures, "wait"),
        yield* value(ServerMetrics.handlerFailures, "note")
      ]
      assert.deepStrictEqual(
        after.map((count, i) => count - before[i]!),
        [2, 1, 0]
      )
    })
  )

  it.live("is told where a failure is declared that what its handler answers does not fit the contract", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<Effect.Effect<number, RoomFull>> = [
        Effect.succeed(1.5),
        Effect.fail({ _tag: "RoomFull", room: 1 } as never)
      ]
      const { logs, studio } = yield* watched({ enter: (n) => wrong[Number(n)]! })
      const socket = yield* connect(studio)
      for (const n of ["0", "1"]) {
        assert.deepStrictEqual(yield* call(socket, "enter", n), { _tag: "Failure", error: { _tag: "InternalError" } })
      }
      assert.match(logs[0]!, /event handler failed .*acknowledgement of "enter"/)
      assert.match(logs[1]!, /event handler failed .*failure of "enter"/)
    })
  )

  it.live("keeps a handler's defect with its event, logs it, and answers", () =>
    Effect.gen(function* () {
      const { logs, studio } = yield* watched({
        note: () => {
          throw new Error("thrown")
        },
        draw: () => Effect.die(new Error("died")),
        enter: () => Effect.die("secret"),
        wait: () => Effect.succeed(1 as unknown as string)
      })
      const socket = yield* connect(studio)
      socket.emit("note", "x")
      socket.emit("draw", 1, 2, Buffer.from([1]))
      assert.deepStrictEqual(yield* call(socket, "wait"), { _tag: "Failure", error: { _tag: "InternalError" } })
      assert.deepStrictEqual(yield* call(socket, "enter", "x"), { _tag: "Failure", error: { _tag: "InternalError" } })
      yield* call(socket, "image", { title: "", data: Buffer.from([]) })
      const errors = logs.filter((line) => line.startsWith("Error"))
      assert.lengthOf(errors, 4)
      assert.match(errors[0]!, /event handler failed .*thrown/)
      assert.match(errors[1]!, /died/)
      assert.match(errors[2]!, /acknowledgement of "wait"/)
      assert.match(errors[3]!, /secret/)
    })
  )

  it.live("starts handlers in the order of arrival, without waiting for those before", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const { studio } = yield* watched({
        note: (text) =>
          Effect.gen(function* () {
            order.push(`start ${text}`)
            if (text === "a") yield* Deferred.await(gate)
            order.push(`end ${text}`)
          }),
        wait: () => Effect.as(Deferred.succeed(gate, undefined), "opened")
      })
      const socket = yield* connect(studio)
      const done = Effect.all([call(socket, "note", "a"), call(socket, "note", "b"), call(socket, "wait")], {
        concurrency: "unbounded"
      })
      yield* done
      assert.deepStrictEqual(order, ["start a", "start b", "end b", "end a"])
    })
  )

  it.live("ends pending handlers and their finalizers when the client goes", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const { studio } = yield* watched({
        wait: () =>
          Deferred.succeed(started, undefined).pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
      })
      const socket = yield* connect(studio)
      socket.emit("wait")
      yield* Deferred.await(started)
      socket.disconnect()
      yield* Deferred.await(interrupted)
    })
  )

  it.live("emits typed events, and refuses values that are not of their type as a defect", () =>
    Effect.gen(function* () {
      const { socket: take, studio } = yield* watched()
      const peer = yield* connect(studio)
      const socket = yield* take
      const image = next(peer, "image")
      yield* socket.emit("image", { title: "t", data: Uint8Array.from([1]) })
      const [payload] = yield* image
      assert.deepStrictEqual(Buffer.from(payload.data), Buffer.from([1]))
      const drawn = next(peer, "draw")
      yield* socket.emit("draw", [1, 2, Uint8Array.from([3])])
      assert.lengthOf(yield* drawn, 3)
      const exit = yield* Effect.exit(socket.emit("note", 1 as unknown as string))
      assert.isTrue(Exit.hasDies(exit))
      assert.match(String(exit), /payload of "note"/)
    })
  )

  it.live("waits for typed acknowledgements, successes and failures", () =>
    Effect.gen(function* () {
      const { socket: take, studio } = yield* watched()
      const peer = yield* connect(studio)
      const socket = yield* take
      const answers: Record<string, unknown> = {
        yes: { _tag: "Success", value: true },
        full: { _tag: "Failure", error: { _tag: "RoomFull", room: "r", capacity: 1 } },
        nonsense: { _tag: "Success", value: "perhaps" },
        untagged: true
      }
      peer.on("confirm", (which, answer) => answer(answers[which]))
      assert.isTrue(yield* socket.emitWithAck("confirm", "yes"))
      const full = yield* Effect.flip(socket.emitWithAck("confirm", "full"))
      assert.instanceOf(full, RoomFull)
      for (const which of ["nonsense", "untagged", "unknown"]) {
        const error = yield* Effect.flip(socket.emitWithAck("confirm", which))
        assert.nestedInclude(error, { _tag: "AckError", event: "confirm", "reason._tag": "InvalidAcknowledgement" })
      }
    })
  )

  it.live("fails pending acknowledgements when the client goes, and those that come too late", () =>
    Effect.gen(function* () {
      const { socket: take, studio } = yield* watched()
      const peer = yield* connect(studio)
      const socket = yield* take
      const asked = next(peer, "confirm")
      const pending = yield* Effect.forkChild(Effect.flip(socket.emitWithAck("confirm", "never")), {
        startImmediately: true
      })
      yield* asked
      peer.disconnect()
      assert.deepInclude(yield* Fiber.join(pending), { _tag: "AckError", reason: { _tag: "Disconnected" } })
      assert.strictEqual(yield* socket.disconnected, "client namespace disconnect")
      const late = yield* Effect.flip(socket.emitWithAck("confirm", "late"))
      assert.deepInclude(late, { _tag: "AckError", reason: { _tag: "Disconnected" } })
      yield* socket.emit("note", "nobody gets this")
    })
  )

  it.live("forgets an acknowledgement that nobody waits for any more", () =>
    Effect.gen(function* () {
      const { socket: take, studio } = yield* watched()
      const peer = yield* connect(studio)
      const socket = yield* take
      const late: Array<(answer: unknown) => void> = []
      peer.on("confirm", (_which, answer) => late.push(answer))
      const result = yield* Effect.exit(socket.emitWithAck("confirm", "slow").pipe(Effect.timeout("50 millis")))
      assert.isTrue(Exit.isFailure(result))
      late[0]!({ _tag: "Success", value: true })
      // The connection goes on as if nothing had been.
      yield* call(peer, "note", "x")
    })
  )

  it.live("limits the acknowledgements that one socket may owe", () =>
    Effect.gen(function* () {
      const sockets = yield* Queue.unbounded<StudioSocket>()
      const { url } = yield* serve(
        studio((socket) => {
          Queue.offerUnsafe(sockets, socket)
          return handlers()
        }),
        { limits: { maxPendingAcks: 2 } }
      )
      yield* connect(`${url}/studio`)
      const socket = yield* Queue.take(sockets)
      for (let i = 0; i < 2; i++) {
        yield* Effect.forkChild(Effect.ignore(socket.emitWithAck("confirm", "x")), { startImmediately: true })
      }
      const error = yield* Effect.flip(socket.emitWithAck("confirm", "x"))
      assert.deepInclude(error, { _tag: "AckError", reason: { _tag: "TooManyPending" } })
    })
  )

  it.live("decodes the auth payload, and refuses one that does not fit", () =>
    Effect.gen(function* () {
      const { socket: take, studio } = yield* watched()
      yield* connect(studio, { auth: { room: "r", more: 1 } })
      const socket = yield* take
      assert.deepStrictEqual(socket.auth, { room: "r" })
      assert.deepStrictEqual(socket.handshake.auth, { room: "r" })
      const error = yield* refusal(studio, { auth: { room: 1 } })
      assert.strictEqual(error.message, "Invalid auth payload")
    })
  )

  it.live("serves undeclared events through the plain view of the same socket", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(
          Studio,
          Effect.fnUntraced(function* (socket) {
            const seen: Array<string> = []
            yield* socket.untyped.onAny((event) => Effect.sync(() => seen.push(event)))
            yield* socket.untyped.on("legacy", (a, b) => Effect.succeed(Number(a) + Number(b)))
            yield* socket.untyped.on("seen", () => Effect.succeed(seen))
            return handlers()
          })
        )
      )
      const socket = yield* connect(`${url}/studio`)
      assert.strictEqual(yield* call(socket, "legacy", 1, 2), 3)
      yield* call(socket, "note", "x")
      assert.deepStrictEqual(yield* call(socket, "seen"), ["legacy", "note", "seen"])
    })
  )
})

describe("a schema that throws", () => {
  const Picky = Schema.String.check(
    Schema.makeFilter((text) => {
      if (text === "bomb") throw new Error("the check itself is broken")
      return true
    })
  )
  class Fragile extends Namespace.make("/fragile", {
    clientToServer: [Event.make("picky", { payload: Picky, ack: Schema.String, error: RoomFull })]
  }) {}

  it.live("harms its own event, and nothing else", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* serve(
        SocketIoServer.layerNamespace(Fragile, () =>
          Effect.succeed(Fragile.of({ picky: (text) => Effect.succeed(text) }))
        )
      )
      const socket = yield* connect(`${url}/fragile`)
      assert.deepStrictEqual(yield* call(socket, "picky", "bomb"), {
        _tag: "Failure",
        error: { _tag: "InternalError" }
      })
      assert.deepStrictEqual(yield* call(socket, "picky", "fine"), { _tag: "Success", value: "fine" })
      assert.isTrue(logs.some((line) => /^Error .*the check itself is broken/.test(line)))
    })
  )
})

describe("a namespace's builder", () => {
  it.live("runs once per socket, in its scope, after the client was told and before its events are handled", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const ended = yield* Queue.unbounded<string>()
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(
          Studio,
          Effect.fnUntraced(function* (socket) {
            log.push("build")
            yield* Effect.addFinalizer(() =>
              Queue.offer(ended, `${Array.from(socket.rooms).join()} ${socket.connected}`)
            )
            yield* socket.join("joined")
            yield* Deferred.await(gate)
            log.push("built")
            return handlers({ note: (text) => Effect.sync(() => log.push(text)) })
          })
        )
      )
      const socket = yield* connect(`${url}/studio`)
      socket.emit("note", "first")
      const second = call(socket, "note", "second")
      yield* Deferred.succeed(gate, undefined)
      yield* second
      assert.deepStrictEqual(log, ["build", "built", "first", "second"])
      const { id } = socket
      socket.disconnect()
      assert.strictEqual(yield* Queue.take(ended), `${id},joined false`)
    })
  )

  it.live("lets acknowledgements pass while it runs", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(
          Studio,
          Effect.fnUntraced(function* (socket) {
            const answer = yield* Effect.orDie(socket.emitWithAck("confirm", "ready?"))
            return handlers({ wait: () => Effect.succeed(String(answer)) })
          })
        )
      )
      const socket = yield* connect(`${url}/studio`, {}, (socket) =>
        socket.on("confirm", (_text, answer) => answer({ _tag: "Success", value: true }))
      )
      assert.strictEqual(yield* call(socket, "wait"), "true")
    })
  )

  it.live("that dies disconnects the socket, and nobody else", () =>
    Effect.gen(function* () {
      let count = 0
      const { logs, url } = yield* serve(
        SocketIoServer.layerNamespace(Studio, () =>
          ++count === 2 ? Effect.die(new Error("no")) : Effect.succeed(handlers())
        )
      )
      const first = yield* connect(`${url}/studio`)
      const reasons: Array<string> = []
      const gone = yield* Deferred.make<void>()
      yield* connect(`${url}/studio`, {}, (socket) =>
        socket.on("disconnect", (reason) => {
          reasons.push(reason)
          Deferred.doneUnsafe(gone, Effect.void)
        })
      )
      yield* Deferred.await(gone)
      assert.deepStrictEqual(reasons, ["io server disconnect"])
      yield* call(first, "note", "x")
      assert.isTrue(logs.some((line) => /^Error connecting a socket failed .*no/.test(line)))
    })
  )

  it.live("that never ends is interrupted when the client goes; too many events before close the connection", () =>
    Effect.gen(function* () {
      const interrupted = yield* Queue.unbounded<void>()
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Studio, () =>
          Effect.never.pipe(
            Effect.as(handlers()),
            Effect.onInterrupt(() => Queue.offer(interrupted, undefined))
          )
        ),
        { limits: { maxPendingPackets: 10 } }
      )
      const patient = yield* connect(`${url}/studio`)
      patient.disconnect()
      yield* Queue.take(interrupted)
      const flooder = yield* connect(`${url}/studio`)
      const gone = next(flooder, "disconnect")
      for (let i = 0; i < 11; i++) flooder.emit("note", "x")
      assert.strictEqual((yield* gone)[0], "transport close")
      yield* Queue.take(interrupted)
    })
  )
})

describe("concurrency", () => {
  const Slow = Event.make("slow", { payload: Schema.Int, concurrency: 1 })
  const Pair = Event.make("pair", { payload: Schema.Int })
  const Other = Event.make("other", { payload: Schema.Int })
  class Limited extends Namespace.make("/limited", { clientToServer: [Slow, Pair, Other], concurrency: 2 }) {}

  it.live("limits the handlers of an event, or those of a namespace together, in the order of arrival", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const gates = new Map<string, Deferred.Deferred<void>>()
      const changed = yield* Queue.unbounded<void>()
      const handle = (event: string) => (n: number) =>
        Effect.gen(function* () {
          const gate = yield* Deferred.make<void>()
          gates.set(`${event}${n}`, gate)
          log.push(`${event}${n}`)
          yield* Queue.offer(changed, undefined)
          yield* Deferred.await(gate)
        })
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Limited, () =>
          Effect.succeed(Limited.of({ slow: handle("slow"), pair: handle("pair"), other: handle("other") }))
        )
      )
      const socket = yield* connect(`${url}/limited`, { transports: ["websocket"] })
      socket.emit("slow", 1)
      socket.emit("slow", 2)
      socket.emit("pair", 1)
      socket.emit("other", 1)
      socket.emit("pair", 2)
      for (let i = 0; i < 3; i++) yield* Queue.take(changed)
      assert.deepStrictEqual(log.splice(0), ["slow1", "pair1", "other1"])
      yield* Deferred.succeed(gates.get("other1")!, undefined)
      yield* Queue.take(changed)
      assert.deepStrictEqual(log.splice(0), ["pair2"])
      yield* Deferred.succeed(gates.get("slow1")!, undefined)
      yield* Queue.take(changed)
      assert.deepStrictEqual(log, ["slow2"])
    })
  )

  it.live("does not grow the stack with handlers that finish at once", () =>
    Effect.gen(function* () {
      let count = 0
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Limited, () =>
          Effect.succeed(
            Limited.of({
              slow: () => Effect.sync(() => count++),
              pair: () => Effect.void,
              other: () => Effect.void
            })
          )
        )
      )
      const socket = yield* connect(`${url}/limited`, { transports: ["websocket"] })
      for (let i = 0; i < 20_000; i++) socket.emit("slow", i)
      yield* call(socket, "slow", 1)
      assert.strictEqual(count, 20_001)
    })
  )
})

describe("namespace middleware", () => {
  class CurrentUser extends Context.Service<CurrentUser, { readonly name: string }>()("test/CurrentUser") {}
  class Directory extends Context.Service<Directory, ReadonlyMap<string, string>>()("test/Directory") {}
  class Banned extends Schema.TaggedError<Banned>()("Banned", { until: Schema.Date }) {
    override get message() {
      return "you are banned"
    }
  }
  class Authentication extends NamespaceMiddleware.Service<Authentication>()("test/Authentication", {
    provides: CurrentUser,
    auth: Schema.Struct({ token: Schema.String }),
    error: Banned
  }) {}
  class Audit extends NamespaceMiddleware.Service<Audit>()("test/Audit") {}

  class Club extends Namespace.make("/club", {
    clientToServer: [Event.make("who", { ack: Schema.String }), Event.make("late", { ack: Schema.String })]
  })
    .middleware(Audit)
    .middleware(Authentication) {}

  const make = Effect.fnUntraced(function* () {
    const audit: Array<string> = []
    const ended = yield* Queue.unbounded<string>()
    const AuthenticationLive = Layer.effect(
      Authentication,
      Effect.map(
        Directory,
        (directory) =>
          ({ auth }) =>
            Effect.gen(function* () {
              yield* Effect.addFinalizer(() => Queue.offer(ended, auth.token))
              if (auth.token === "banned") return yield* new Banned({ until: since })
              if (auth.token === "bug") return yield* Effect.die("bug")
              const name = directory.get(auth.token)
              if (name === undefined) {
                return yield* new NamespaceMiddleware.ConnectRefused({ message: "who are you?", data: { code: 401 } })
              }
              return { name }
            })
      )
    )
    const AuditLive = Layer.succeed(Audit, ({ handshake, id, namespace }) =>
      Effect.sync(() => audit.push(`${namespace} ${handshake.query.get("client")} ${id.length}`)).pipe(Effect.asVoid)
    )
    const serving = yield* serve(
      SocketIoServer.layerNamespace(
        Club,
        Effect.fnUntraced(function* () {
          const user = yield* CurrentUser
          return Club.of({
            who: () => Effect.succeed(user.name),
            late: () => Effect.map(CurrentUser, ({ name }) => name)
          })
        })
      ).pipe(
        Layer.provide([AuthenticationLive, AuditLive]),
        Layer.provide(Layer.succeed(Directory, new Map([["t1", "Ada"]])))
      )
    )
    return { ...serving, club: `${serving.url}/club`, audit, ended: Queue.take(ended) }
  })

  it.live("provides its service to the builder and to handlers", () =>
    Effect.gen(function* () {
      const { audit, club } = yield* make()
      const socket = yield* connect(club, { auth: { token: "t1" }, query: { client: "one" } })
      assert.strictEqual(yield* call(socket, "who"), "Ada")
      assert.strictEqual(yield* call(socket, "late"), "Ada")
      assert.deepStrictEqual(audit, ["/club one 20"])
    })
  )

  it.live("refuses with message and data, its own failures or any", () =>
    Effect.gen(function* () {
      const { club } = yield* make()
      const unknown = yield* refusal(club, { auth: { token: "?" } })
      assert.deepStrictEqual([unknown.message, unknown.data], ["who are you?", { code: 401 }])
      const banned = yield* refusal(club, { auth: { token: "banned" } })
      assert.deepStrictEqual(
        [banned.message, banned.data],
        ["you are banned", { _tag: "Banned", until: since.toISOString() }]
      )
      const invalid = yield* refusal(club, { auth: { token: 1 } })
      assert.strictEqual(invalid.message, "Invalid auth payload")
    })
  )

  it.live("that dies refuses without saying why, and logs it", () =>
    Effect.gen(function* () {
      const { club, logs } = yield* make()
      const error = yield* refusal(club, { auth: { token: "bug" } })
      assert.strictEqual(error.message, "Internal error")
      assert.isUndefined(error.data)
      assert.isTrue(logs.some((line) => /^Error .*bug/.test(line)))
    })
  )

  it.live("closes what it has opened when the client is refused, and when it goes", () =>
    Effect.gen(function* () {
      const { club, ended } = yield* make()
      yield* refusal(club, { auth: { token: "?" } })
      assert.strictEqual(yield* ended, "?")
      const socket = yield* connect(club, { auth: { token: "t1" } })
      socket.disconnect()
      assert.strictEqual(yield* ended, "t1")
    })
  )
})
