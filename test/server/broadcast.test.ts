import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema, Stream } from "effect"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { PollingClient, request } from "../support/RawClient.ts"
import { call, connect, next, serve } from "../support/serve.ts"

class Busy extends Schema.TaggedError<Busy>()("Busy", { until: Schema.Int }) {}

class Poll extends Namespace.make("/poll", {
  clientToServer: [Event.make("sync", { ack: Schema.Void })],
  serverToClient: [
    Event.make("vote", { payload: Schema.String, ack: Schema.Int, error: Busy }),
    Event.make("note", { payload: Schema.String })
  ]
}) {}

const PollLive = SocketIoServer.layerNamespace(Poll, () => Effect.succeed(Poll.of({ sync: () => Effect.void })))

const setup = Effect.fnUntraced(function* (answers: Record<string, (answer: (value: unknown) => void) => void>) {
  const { server, url } = yield* serve(PollLive)
  const clients: Record<string, Effect.Success<ReturnType<typeof connect>>> = {}
  const asked: Array<string> = []
  for (const [name, answer] of Object.entries(answers)) {
    clients[name] = yield* connect(`${url}/poll`, {}, (socket) =>
      socket.on("vote", (_question: string, reply: (value: unknown) => void) => {
        asked.push(name)
        answer(reply)
      })
    )
  }
  const poll = yield* Effect.provideContext(SocketIoServer.namespace(Poll), server)
  const plain = yield* Effect.provideContext(SocketIoServer.namespace("/poll"), server)
  const nameOf = (sid: string | undefined) => Object.keys(clients).find((name) => clients[name]!.id === sid)!
  return { poll, plain, clients, asked, nameOf }
})

const success = (value: unknown) => (answer: (value: unknown) => void) => answer({ _tag: "Success", value })

describe("a broadcast that asks for acknowledgements", () => {
  it.live("gives every answer in its declared type, and ends with the last", () =>
    Effect.gen(function* () {
      const { nameOf, poll } = yield* setup({
        one: success(1),
        busy: (answer) => answer({ _tag: "Failure", error: { _tag: "Busy", until: 5 } }),
        odd: success("no number")
      })
      const answers = yield* Stream.runCollect(poll.emitWithAck("vote", "?"))
      const byName = Object.fromEntries(answers.map(({ response, sid }) => [nameOf(sid), response]))
      assert.sameMembers(Object.keys(byName), ["one", "busy", "odd"])
      assert.deepInclude(byName.one, { _tag: "Success", success: 1 })
      assert.strictEqual(byName.busy!._tag, "Failure")
      assert.instanceOf(byName.busy!._tag === "Failure" ? byName.busy!.failure : undefined, Busy)
      assert.nestedInclude(byName.odd!._tag === "Failure" ? byName.odd!.failure : undefined, {
        _tag: "AckError",
        "reason._tag": "InvalidAcknowledgement"
      })
    })
  )

  it.live("does not wait for who has gone", () =>
    Effect.gen(function* () {
      const { clients, nameOf, poll } = yield* setup({ one: success(1), leaver: () => clients.leaver!.disconnect() })
      const answers = yield* Stream.runCollect(poll.emitWithAck("vote", "?"))
      assert.deepStrictEqual(
        answers.map(({ sid }) => nameOf(sid)),
        ["one"]
      )
    })
  )

  it.live("asks the selection alone, and nobody when there is nobody", () =>
    Effect.gen(function* () {
      const { asked, clients, poll } = yield* setup({ one: success(1), two: success(2) })
      const answers = yield* Stream.runCollect(poll.to(clients.two!.id!).emitWithAck("vote", "?"))
      assert.lengthOf(answers, 1)
      assert.deepStrictEqual(asked, ["two"])
      assert.deepStrictEqual(yield* Stream.runCollect(poll.to("nobody").emitWithAck("vote", "?")), [])
    })
  )

  it.live("asks when it is run, each time anew", () =>
    Effect.gen(function* () {
      const { asked, poll } = yield* setup({ one: success(1) })
      const stream = poll.emitWithAck("vote", "?")
      assert.deepStrictEqual(asked, [])
      yield* Stream.runDrain(stream)
      yield* Stream.runDrain(stream)
      assert.deepStrictEqual(asked, ["one", "one"])
    })
  )

  it.live("can be left early; late answers are ignored", () =>
    Effect.gen(function* () {
      const late: Array<(value: unknown) => void> = []
      const first = yield* Deferred.make<void>()
      const { clients, poll } = yield* setup({ quick: success(1), slow: (answer) => void late.push(answer) })
      const reading = yield* Effect.forkChild(
        Stream.runForEach(poll.emitWithAck("vote", "?"), () => Deferred.succeed(first, undefined)),
        { startImmediately: true }
      )
      yield* Deferred.await(first)
      yield* call(clients.slow!, "sync")
      yield* Fiber.interrupt(reading)
      late[0]!({ _tag: "Success", value: 2 })
      yield* call(clients.slow!, "sync")
      assert.lengthOf(yield* Stream.runCollect(poll.emitWithAck("vote", "?").pipe(Stream.take(1))), 1)
    })
  )

  it.live("works without a contract, with all arguments of the answers", () =>
    Effect.gen(function* () {
      const { plain } = yield* setup({ one: (answer) => (answer as (...args: Array<unknown>) => void)("a", 2) })
      const [answer] = yield* Stream.runCollect(plain.emitWithAck("vote", "?"))
      assert.deepInclude(answer!.response, { _tag: "Success", success: ["a", 2] })
    })
  )

  it.live("that cannot be encoded is a defect of who runs it", () =>
    Effect.gen(function* () {
      const { plain, poll } = yield* setup({ one: success(1) })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Stream.runDrain(plain.emitWithAck("vote", 1n)))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Stream.runDrain(poll.emitWithAck("vote", 1 as unknown as string)))))
    })
  )
})

describe("a volatile broadcast", () => {
  it.live("leaves out who would have to wait for it, and reaches the others", () =>
    Effect.gen(function* () {
      const { clients, plain } = yield* setup({ one: success(1) })
      const url = (clients.one!.io as unknown as { readonly uri: string }).uri.replace(/\/poll$/, "")
      const behind = new PollingClient(url, yield* Effect.promise(() => PollingClient.handshake(url)), false)
      yield* Effect.promise(() => behind.post("40/poll,"))
      const poll = Effect.promise(() => request(behind.url))
      assert.match((yield* poll).body, /^40\/poll,/)
      // It does not poll now: what is sent has to wait.
      const seen = next(clients.one!, "passing")
      yield* plain.all.volatile.local.emit("passing", 1)
      yield* plain.all.local.emit("staying", 2)
      assert.deepStrictEqual(yield* seen, [1])
      assert.strictEqual((yield* poll).body, '42/poll,["staying",2]')
      yield* Effect.promise(() => behind.close())
    })
  )
})
