/**
 * A stream event in a contract: the documents, the comparisons and the types that are made of it.
 */
import { assert, beforeAll, describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"

import * as AsyncApi from "../../src/AsyncApi.ts"
import * as ContractDiff from "../../src/ContractDiff.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"
import { diagnosticsOfAll } from "../support/typecheck.ts"

class ModelFailed extends Schema.TaggedError<ModelFailed>()("ModelFailed", { why: Schema.String }) {}

const payload = { chat: Schema.String }
const Answer = StreamEvent.make("answer", { payload, item: Schema.String, description: "Asks." })

type AnyAnswer = Parameters<ReturnType<typeof Namespace.make<"/chat">>["add"]>[0]

const contractOf = (event: AnyAnswer): Namespace.Any => Namespace.make("/chat").add(event)

const Before = contractOf(Answer)

const changes = (after: AnyAnswer) =>
  ContractDiff.compare(ContractDiff.snapshot([Before]), ContractDiff.snapshot([contractOf(after)])).map(
    ({ level, rule }) => `${level} ${rule}`
  )

describe("a stream event in a contract", () => {
  it("is a group of plain events", () => {
    assert.deepStrictEqual(Array.from(Before.clientToServer.keys()), [
      "answer",
      "answer:read",
      "answer:find",
      "answer:stop",
      "answer:ack"
    ])
    assert.deepStrictEqual(Array.from(Before.serverToClient.keys()), ["answer:items"])
    assert.isTrue(StreamEvent.isStart(Before.clientToServer.get("answer")!))
    assert.isFalse(StreamEvent.isStart(Before.clientToServer.get("answer:read")!))
    // An outage does not fill the memory of recovery with values that their readers ask for again.
    assert.isFalse(Before.serverToClient.get("answer:items")!.recover)
  })

  it("keeps its declaration when it is annotated", () => {
    const [start] = StreamEvent.make("answer", { item: Schema.String }).clientToServer
    assert.isTrue(StreamEvent.isStart(start.annotateMerge(start.annotations)))
  })

  it("refuses names as any event", () => {
    assert.throws(() => StreamEvent.make("connect", { item: Schema.String }), "reserved")
    assert.throws(
      () =>
        Namespace.make("/", { clientToServer: [Event.make("answer:stop")] }).add(
          StreamEvent.make("answer", { item: Schema.String })
        ),
      "declares the event"
    )
  })

  it("is in the document of AsyncAPI, with what its events are for", () => {
    const document = JSON.stringify(AsyncApi.fromNamespaces([Before], { title: "Chat", version: "1" }))
    for (const text of ["answer:read", "answer:items", "Asks.", "Reads a stream of `answer` from a position on."]) {
      expect(document).toContain(text)
    }
  })

  it("is compared: other values, other failures, another payload", () => {
    assert.deepStrictEqual(changes(StreamEvent.make("answer", { payload, item: Schema.String })), [])
    assert.deepStrictEqual(changes(StreamEvent.make("answer", { payload, item: Schema.NullOr(Schema.String) })), [
      "breaking union-grew"
    ])
    assert.deepStrictEqual(changes(StreamEvent.make("answer", { payload, item: Schema.String, error: ModelFailed })), [
      "breaking union-grew"
    ])
    assert.deepStrictEqual(
      changes(StreamEvent.make("answer", { payload: { ...payload, a: Schema.Int }, item: Schema.String })),
      ["breaking required-field-added"]
    )
    assert.include(changes({ clientToServer: [Event.make("answer", { payload })] }), "breaking event-removed")
  })

  it("changes the fingerprint of its contract", () => {
    const same = contractOf(StreamEvent.make("answer", { payload, item: Schema.String, key: ({ chat }) => chat }))
    const other = contractOf(StreamEvent.make("answer", { payload, item: Schema.Int }))
    assert.strictEqual(ContractDiff.fingerprint(same), ContractDiff.fingerprint(Before))
    assert.notStrictEqual(ContractDiff.fingerprint(other), ContractDiff.fingerprint(Before))
  })
})

const prelude = `
import { Context, Effect, Layer, type Option, Schema, Stream } from "effect"
import { Event, Namespace, Once, type Official, type SocketIoError, StreamEvent } from "effect-socket.io"
import { type ClientSocket, SocketStream } from "effect-socket.io/client"
import { SocketIoServer } from "effect-socket.io/server"
import { io, type Socket } from "socket.io-client"

type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const same = <A>() => <B>(_equals: Equals<A, B>) => {}

class ModelFailed extends Schema.TaggedError<ModelFailed>()("ModelFailed", { why: Schema.String }) {}
class Other extends Schema.TaggedError<Other>()("Other", {}) {}
class Model extends Context.Service<Model, { readonly ask: (prompt: string) => Stream.Stream<Date, ModelFailed> }>()("Model") {}
const Answer = StreamEvent.make("answer", {
  payload: { prompt: Schema.String },
  item: Schema.Date,
  error: ModelFailed,
  key: ({ prompt }) => prompt,
  owner: (socket: Once.OwnerSocket<{ readonly user: string }>) => socket.auth.user
})
const Ticks = StreamEvent.make("ticks", { item: Schema.Int })
const Say = Event.make("say", { payload: Schema.String })
class Chat extends Namespace.make("/chat", { auth: Schema.Struct({ user: Schema.String }), clientToServer: [Say] })
  .add(Answer)
  .add(Ticks) {}
const say = () => Effect.void
const ticks = () => Stream.make(1)
declare const chat: ClientSocket.ClientSocket<typeof Chat>
const socket: Socket<Official.ListenEvents<typeof Chat>, Official.EmitEvents<typeof Chat>> = io("/chat")
`

const compiles: Record<string, string> = {
  "handlers that return streams, and need services": `
    const layer = SocketIoServer.layerNamespace(Chat, () => Effect.succeed(Chat.of({
      say,
      ticks,
      answer: ({ prompt }) => Stream.unwrap(Effect.map(Model, (model) => model.ask(prompt)))
    })))
    same<Layer.Layer<never, never, SocketIoServer.SocketIoServer | Model>>()<typeof layer>(true)`,
  "a handler with a rule": `
    export const handlers = Chat.of({
      say,
      ticks,
      answer: {
        stream: () => Stream.fail(new ModelFailed({ why: "tired" })),
        allow: ({ action, key, owner }) => Effect.succeed(action === "read" && owner === key)
      }
    })`,
  "the streams of this library's client": `
    const answer = SocketStream.open(chat, "answer", { prompt: "hi" })
    same<Stream.Stream<Date, ModelFailed | SocketIoError.AckError | SocketStream.StreamEnded>>()<typeof answer>(true)
    const numbers = SocketStream.open(chat, "ticks")
    same<Stream.Stream<number, SocketIoError.AckError | SocketStream.StreamEnded>>()<typeof numbers>(true)
    const found = SocketStream.follow(chat, "answer", "key")
    same<Effect.Effect<Option.Option<SocketStream.RemoteStream<Date, ModelFailed>>, SocketIoError.AckError>>()<typeof found>(true)`,
  "the events of the official client": `
    const read = async () => {
      const answer = await socket.emitWithAck("answer", { prompt: "hi" })
      if ("_tag" in answer) return answer.error._tag
      const reply = await socket.emitWithAck("answer:read", { stream: answer.stream, after: 0, window: 10 })
      if ("_tag" in reply || reply.gone) return "gone"
      const id: string | null | object = await socket.emitWithAck("answer:find", "key")
      socket.emit("answer:ack", { stream: answer.stream, at: reply.from })
      socket.emit("answer:stop", { stream: answer.stream }, () => {})
      return id
    }
    socket.on("answer:items", ({ end, from, stream, values }) => {
      const dates: ReadonlyArray<string> = values
      if (end?._tag === "Failure") console.log(end.error.why, end.error._tag, dates, from, stream)
    })`
}

const refused: Record<string, readonly [code: string, expected: RegExp]> = {
  "a handler that returns an effect": [
    `export const h = Chat.of({ say, ticks, answer: () => Effect.succeed({ stream: "s1" }) })`,
    /is not assignable to type/
  ],
  "a stream of other values": [
    `export const h = Chat.of({ say, ticks, answer: () => Stream.make("not a date") })`,
    /Type 'string' is not assignable to type 'Date'/
  ],
  "a stream that fails otherwise": [
    `export const h = Chat.of({ say, ticks, answer: () => Stream.fail(new Other()) })`,
    /Property 'why' is missing in type 'Other'/
  ],
  "a missing handler": [`export const h = Chat.of({ say, ticks })`, /Property 'answer' is missing/],
  "a handler of an event that the server handles": [
    `export const h = Chat.of({ say, ticks, answer: () => Stream.empty, "answer:read": () => Effect.void })`,
    /NotAClientToServerEvent<"answer:read">/
  ],
  "a stream of an event that is none": [`export const s = SocketStream.open(chat, "say", "hi")`, /"say"/],
  "a payload of another type": [
    `export const s = SocketStream.open(chat, "answer", { prompt: 1 })`,
    /Type 'number' is not assignable to type 'string'/
  ]
}

describe("a stream event at compile time", () => {
  let diagnostics: Record<string, ReadonlyArray<string>> = {}

  beforeAll(async () => {
    const sources: Record<string, string> = {}
    for (const [name, code] of Object.entries(compiles)) sources[name] = prelude + code + "\nexport {}\n"
    for (const [name, [code]] of Object.entries(refused)) sources[name] = prelude + code + "\nexport {}\n"
    diagnostics = await diagnosticsOfAll(sources)
  }, 120_000)

  for (const name of Object.keys(compiles)) {
    it(`${name} compiles`, () => {
      expect(diagnostics[name]).toEqual([])
    })
  }

  for (const [name, [, expected]] of Object.entries(refused)) {
    it(`${name} does not compile`, () => {
      expect(diagnostics[name]!.join("\n")).toMatch(expected)
      expect(diagnostics[name]!.filter((line) => /error TS/.test(line))).toHaveLength(1)
    })
  }
})
