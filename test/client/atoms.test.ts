/**
 * A namespace as atoms, in a registry, as a view has them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Option, Schema, Stream } from "effect"
import { AsyncResult, Atom, AtomRegistry } from "effect/reactivity"
import { TestClock } from "effect/testing"

import * as SocketIoAtom from "../../src/atom/SocketIoAtom.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { clientOf, serveOfficial } from "../support/official.ts"

class Full extends Schema.TaggedError<Full>()("Full", { capacity: Schema.Int }) {}

class Chat extends Namespace.make("/chat", {
  clientToServer: [
    Event.make("say", { payload: { text: Schema.String }, ack: Schema.Int, error: Full }),
    Event.make("later", { payload: Schema.String, ack: Schema.String }),
    Event.make("typing", { payload: Schema.Boolean }),
    Event.make("leave")
  ],
  serverToClient: [
    Event.make("said", { payload: { text: Schema.String } }),
    Event.make("count", { payload: Schema.Int }),
    Event.make("moved", { args: [Schema.Int, Schema.Int] }),
    Event.make("cleared")
  ]
}) {}

/** The chat, and a registry beside its atoms. */
const chatting = Effect.gen(function* () {
  const heard: Array<unknown> = []
  const answer = yield* Deferred.make<void>()
  const ChatLive = SocketIoServer.layerNamespace(
    Chat,
    Effect.fnUntraced(function* (socket) {
      yield* Effect.addFinalizer(() => Effect.sync(() => heard.push("left")))
      return Chat.of({
        say: ({ text }) =>
          text === "too much"
            ? Effect.fail(new Full({ capacity: 2 }))
            : Effect.as(socket.emit("said", { text }), text.length),
        later: (text) => Effect.as(text === "first" ? Deferred.await(answer) : Effect.void, text),
        typing: (typing) => Effect.sync(() => heard.push(typing)),
        leave: () => Effect.sync(() => heard.push("leave"))
      })
    })
  )
  const services = yield* Layer.build(Layer.provideMerge(ChatLive, TestSocketIo.layer()))
  const here = Effect.provideContext(services)
  const runtime = Atom.runtime(Layer.succeedContext(Context.pick(SocketIoClient.SocketIoClient)(services)))
  return {
    answer,
    heard,
    runtime,
    network: yield* here(TestSocketIo.network),
    everybody: yield* here(SocketIoServer.namespace(Chat)),
    atoms: SocketIoAtom.make(runtime, Chat),
    ...(yield* registry)
  }
})

/** A registry, and what its atoms come to be. */
const registry = Effect.gen(function* () {
  const registry = yield* Effect.acquireRelease(
    Effect.sync(() => AtomRegistry.make()),
    (registry) => Effect.sync(() => registry.dispose())
  )
  /** Waits until the atom has a value like this. */
  const until = <A, E>(atom: Atom.Atom<AsyncResult.AsyncResult<A, E>>, is: (value: A) => boolean) =>
    AtomRegistry.toStream(registry, atom).pipe(
      Stream.filter((result) => AsyncResult.isSuccess(result) && is(result.value)),
      Stream.runHead
    )
  const valueOf = <A, E>(atom: Atom.Atom<AsyncResult.AsyncResult<A, E>>) =>
    Option.getOrUndefined(AsyncResult.value(registry.get(atom)))
  return { registry, until, valueOf }
})

describe("a namespace as atoms", () => {
  it.effect("tells of the status, through an outage", () =>
    Effect.gen(function* () {
      const { atoms, network, registry, until, valueOf } = yield* chatting
      const seen: Array<string | undefined> = []
      registry.subscribe(atoms.status, () => seen.push(valueOf(atoms.status)?._tag), { immediate: true })
      yield* until(atoms.status, ({ _tag }) => _tag === "Connected")
      yield* network.drop
      yield* until(atoms.status, ({ _tag }) => _tag === "Disconnected")
      yield* TestClock.adjust("10 seconds")
      yield* until(atoms.status, ({ _tag }) => _tag === "Connected")
      assert.deepStrictEqual(seen.slice(0, 2), ["Connecting", "Connected"])
      // A view does not see a status that another one follows at once.
      assert.includeMembers(seen.slice(2), ["Disconnected", "Connected"])
    })
  )

  it.effect("keeps the last event, and folds all of them in order, across reconnections", () =>
    Effect.gen(function* () {
      const { atoms, everybody, network, registry, until, valueOf } = yield* chatting
      const last = atoms.last("said")
      assert.strictEqual(last, atoms.last("said"))
      const folded = atoms.fold([] as ReadonlyArray<string>, {
        said: (all, { text }) => [...all, text],
        count: (all, count) => [...all, `count ${count}`],
        moved: (all, [x, y]) => [...all, `moved ${x} ${y}`],
        cleared: () => []
      })
      registry.mount(last)
      registry.mount(folded)
      yield* until(atoms.status, ({ _tag }) => _tag === "Connected")
      assert.strictEqual(registry.get(last)._tag, "Initial")
      assert.deepStrictEqual(valueOf(folded), [])
      let changes = 0
      registry.subscribe(folded, () => changes++)
      for (const text of ["a", "b"]) yield* everybody.emit("said", { text })
      yield* everybody.emit("count", 2)
      yield* everybody.emit("moved", [3, 4])
      yield* until(folded, (all) => all.length === 4)
      assert.deepStrictEqual(valueOf(folded), ["a", "b", "count 2", "moved 3 4"])
      assert.deepStrictEqual(valueOf(last), { text: "b" })
      yield* network.drop
      yield* TestClock.adjust("10 seconds")
      yield* until(atoms.status, ({ _tag }) => _tag === "Connected")
      yield* everybody.emit("said", { text: "c" })
      yield* until(folded, (all) => all.length === 5)
      yield* until(last, ({ text }) => text === "c")
      yield* everybody.emit("cleared")
      yield* until(folded, (all) => all.length === 0)
      // An atom that is refreshed begins anew.
      yield* everybody.emit("said", { text: "d" })
      yield* until(folded, (all) => all.length === 1)
      registry.refresh(folded)
      yield* until(folded, (all) => all.length === 0)
      assert.isAtMost(changes, 12)
    })
  )

  it.effect("changes a folded state once for the events that come at once", () =>
    Effect.gen(function* () {
      const { atoms, everybody, registry, until } = yield* chatting
      const sum = atoms.fold(0, { count: (sum, count) => sum + count })
      let changes = 0
      registry.subscribe(sum, () => changes++)
      yield* until(atoms.status, ({ _tag }) => _tag === "Connected")
      yield* Effect.forEach(Array.from({ length: 1_000 }), () => everybody.emit("count", 1), { discard: true })
      yield* until(sum, (sum) => sum === 1_000)
      assert.isAtMost(changes, 50)
    })
  )

  it.effect("sends events, and has their answers", () =>
    Effect.gen(function* () {
      const { atoms, heard, registry, until } = yield* chatting
      const { emit, ask, status } = atoms
      registry.mount(status)
      const [typing, leave, say] = [emit("typing"), emit("leave"), ask("say")]
      assert.strictEqual(say, ask("say"))
      registry.mount(typing)
      registry.mount(leave)
      registry.mount(say)
      // These wait for the connection.
      registry.set(typing, true)
      registry.set(typing, false)
      registry.set(leave, undefined)
      registry.set(say, { text: "hello" })
      yield* until(say, (length) => length === 5)
      assert.deepStrictEqual(heard, [true, false, "leave"])
      registry.set(say, { text: "too much" })
      const failed = yield* AtomRegistry.toStream(registry, say).pipe(
        Stream.filter(AsyncResult.isFailure),
        Stream.runHead
      )
      assert.deepStrictEqual(Option.flatMap(failed, AsyncResult.error), Option.some(new Full({ capacity: 2 })))
      // The last answer is still there beside the failure.
      assert.deepStrictEqual(Option.flatMap(failed, AsyncResult.value), Option.some(5))
    })
  )

  it.effect("shows the newest question's answer, and sends all", () =>
    Effect.gen(function* () {
      const { answer, atoms, registry, until, valueOf } = yield* chatting
      const later = atoms.ask("later")
      registry.mount(later)
      registry.set(later, "first")
      registry.set(later, "second")
      yield* until(later, (text) => text === "second")
      yield* Deferred.succeed(answer, undefined)
      registry.set(later, "third")
      yield* until(later, (text) => text === "third")
      assert.strictEqual(valueOf(later), "third")
    })
  )

  it.effect("leaves the namespace with the last atom, and does not lose what was sent", () =>
    Effect.gen(function* () {
      const { atoms, heard, registry, until } = yield* chatting
      const unmount = [registry.mount(atoms.status), registry.mount(atoms.emit("typing"))]
      yield* until(atoms.status, ({ _tag }) => _tag === "Connected")
      registry.set(atoms.emit("typing"), true)
      for (const stop of unmount) stop()
      yield* Effect.promise(async () => {
        while (heard.at(-1) !== "left") await new Promise((resolve) => setImmediate(resolve))
      })
      assert.deepStrictEqual(heard, [true, "left"])
      // A view that comes later connects anew.
      registry.mount(atoms.status)
      yield* until(atoms.status, ({ _tag }) => _tag === "Connected")
    })
  )

  it.effect("fails where a function throws, and where the client cannot be made", () =>
    Effect.gen(function* () {
      const { atoms, everybody, registry, until } = yield* chatting
      const broken = atoms.fold(0, {
        count: () => {
          throw new Error("broken")
        }
      })
      registry.mount(broken)
      yield* until(atoms.status, ({ _tag }) => _tag === "Connected")
      yield* everybody.emit("count", 1)
      const failed = yield* AtomRegistry.toStream(registry, broken).pipe(
        Stream.filter(AsyncResult.isFailure),
        Stream.runHead
      )
      assert.isTrue(Option.isSome(failed))

      const nowhere = Atom.runtime(SocketIoClient.layer({ url: "nowhere" }))
      const status = SocketIoAtom.make(nowhere, Chat).status
      const refused = yield* AtomRegistry.toStream(registry, status).pipe(
        Stream.filter(AsyncResult.isFailure),
        Stream.runHead
      )
      assert.strictEqual(Option.getOrThrow(Option.flatMap(refused, AsyncResult.error))._tag, "InvalidOptionError")
    })
  )

  it.live("speaks to the official server, without a contract", () =>
    Effect.gen(function* () {
      const { url } = yield* serveOfficial((io) =>
        io.of("/plain").on("connection", (socket) => {
          socket.on("echo", (...args) => {
            const answer = args.pop()
            socket.emit("echoed", ...args)
            answer(args.length)
          })
        })
      )
      const client = yield* (yield* clientOf({ url }))(SocketIoClient.SocketIoClient)
      const atoms = SocketIoAtom.make(Atom.runtime(Layer.succeed(SocketIoClient.SocketIoClient)(client)), "/plain")
      const { registry: views, until, valueOf } = yield* registry
      const all = atoms.fold(0, { echoed: (sum, args) => sum + args.length })
      views.mount(atoms.last("echoed"))
      views.mount(all)
      views.mount(atoms.ask("echo"))
      views.set(atoms.ask("echo"), [1, "two"])
      yield* until(atoms.ask("echo"), ([count]) => count === 2)
      yield* until(all, (sum) => sum === 2)
      assert.deepStrictEqual(valueOf(atoms.last("echoed")), [1, "two"])
    })
  )
})
