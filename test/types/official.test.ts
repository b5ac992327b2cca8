/**
 * The types for the official packages, by the compiler and the packages' own types.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Schema } from "effect"

import { root } from "../support/sources.ts"
import { diagnosticsOfAll } from "../support/typecheck.ts"
import { zoo } from "./zoo.ts"

const prelude = `
import { Context, Schema } from "effect"
import { Binary, Event, Namespace, NamespaceMiddleware, type EventAnswer, type Official } from "effect-socket.io"
import { Server, type Namespace as OfficialNamespace } from "socket.io"
import { io, type Socket } from "socket.io-client"

type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const same = <A>() => <B>(_equals: Equals<A, B>) => {}

class User extends Schema.Class<User>("User")({ id: Schema.String, seen: Schema.optionalKey(Schema.Date) }) {}
class Message extends Schema.Class<Message>("Message")({ room: Schema.String, from: User, at: Schema.Date }) {}
class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { capacity: Schema.Int }) {}
class CurrentUser extends Context.Service<CurrentUser, User>()("CurrentUser") {}
class Authentication extends NamespaceMiddleware.Service<Authentication>()("Authentication", {
  provides: CurrentUser,
  auth: Schema.Union([Schema.Struct({ token: Schema.String }), Schema.Struct({ cookie: Schema.String })])
}) {}
class Versions extends NamespaceMiddleware.Service<Versions>()("Versions", { auth: Schema.Struct({ since: Schema.Date }) }) {}
class Title extends Context.Service<Title, string>()("Title") {}
class Open extends NamespaceMiddleware.Service<Open>()("Open", {}) {}

const Join = Event.make("join", { payload: { room: Schema.String }, ack: Schema.Array(User), error: RoomFull })
const Check = Event.make("check", { payload: Schema.String, error: RoomFull })
const Count = Event.make("count", { ack: Schema.Int })
const Done = Event.make("done", { ack: Schema.Void })
const Say = Event.make("say", { payload: Message })
const Cursor = Event.make("cursor", { args: [Schema.Finite, Schema.Date] })
const Pair = Event.make("pair", { payload: Schema.Tuple([Schema.Finite, Schema.Date]) })
const Upload = Event.make("upload", { payload: { name: Schema.String, content: Binary.Bytes }, ack: Binary.Bytes })
const Order = Event.make("order", { payload: { article: Schema.String }, ack: Schema.Int, error: RoomFull, once: { window: "1 hour" } })
const Move = Event.make("move", { args: [Schema.Finite, Schema.Date], once: {} }).annotate(Title, "a move")
const Ring = Event.make("ring", { ack: Schema.Int, once: { owner: (socket) => socket.id } })
const Pay = Event.make("pay", { payload: { number: Schema.String }, ack: Schema.Int, once: { key: ({ number }) => number } })
const Leave = Event.make("leave")
const Ask = Event.make("ask", { payload: Schema.String, ack: Schema.Boolean })
const Vote = Event.make("vote", { payload: Schema.Date, ack: Schema.Date, error: RoomFull })
const Busy = Event.make("busy", { payload: Schema.Date, ack: Schema.Int, error: RoomFull })
class Chat extends Namespace.make("/chat", {
  auth: Schema.Struct({ room: Schema.optionalKey(Schema.String) }),
  clientToServer: [Join, Check, Count, Done, Say, Cursor, Pair, Upload, Leave, Order, Move, Ring, Pay],
  serverToClient: [Say, Cursor, Pair, Upload, Leave, Ask, Vote],
  serverToServer: [Busy, Leave],
  data: { user: User, level: Schema.FiniteFromString }
}).middleware(Authentication).middleware(Versions).middleware(Open) {}
class Desk extends Namespace.dynamic("/desk/:id", { clientToServer: [Count] }) {}
class Echo extends Namespace.untyped("/echo") {}
class Quiet extends Namespace.make("/quiet") {}

const socket: Socket<Official.ListenEvents<typeof Chat>, Official.EmitEvents<typeof Chat>> = io("/chat")
type Types = Official.ServerTypes<typeof Chat>
const server = new Server<Types[0], Types[1], Types[2], Types[3]>()
`

const compiles: Record<string, string> = {
  "the events that a page gets, and its answers": `
    socket.on("say", (message) => {
      same<typeof message.at>()<string>(true)
      same<typeof message.from.id>()<string>(true)
    })
    socket.on("cursor", (x, at) => { same<typeof x>()<number>(true); same<typeof at>()<string>(true) })
    socket.on("pair", ([x, at]) => { same<typeof x>()<number>(true); same<typeof at>()<string>(true) })
    socket.on("upload", ({ content }, ack) => {
      same<typeof content>()<Uint8Array | ArrayBuffer>(true)
      new Uint8Array(content)
      ack(new Blob([]))
    })
    socket.on("leave", () => {})
    socket.on("ask", (question, ack) => ack(question.length > 0))
    socket.on("vote", (until, ack) => {
      if (until === "") ack({ _tag: "Failure", error: { _tag: "RoomFull", capacity: 1 } })
      else ack({ _tag: "Success", value: new Date().toISOString() })
    })
    socket.on("connect_error", (error) => console.log(error.message))`,
  "what a page emits": `
    socket.emit("say", { room: "a", from: { id: "1" }, at: new Date().toISOString() })
    socket.emit("cursor", 1, new Date().toISOString())
    socket.emit("pair", [1, new Date().toISOString()])
    socket.emit("leave")
    socket.volatile.emit("leave")
    socket.emit("upload", { name: "a", content: new File([], "a") }, (answer) => console.log(answer))
    socket.emit("join", { room: "a" }, (answer) => {
      if (answer._tag === "Success") same<typeof answer.value>()<ReadonlyArray<{ readonly id: string; readonly seen?: SEEN }>>(true)
      else switch (answer.error._tag) {
        case "RoomFull": same<typeof answer.error.capacity>()<number>(true); break
        case "PayloadRefused": same<typeof answer.error.message>()<string>(true); break
        case "EventRefused": same<typeof answer.error.data>()<unknown>(true); break
        case "EventUnhandled": case "InternalError": break
        default: answer.error satisfies never
      }
    })
    socket.timeout(1000).emit("check", "a", (error, answer) => console.log(error, answer._tag))`,
  "answers as promises": `
    export const f = async () => {
      const joined = await socket.emitWithAck("join", { room: "a" })
      if (joined._tag === "Success") joined.value.map(({ id }) => id.length)
      const checked = await socket.emitWithAck("check", "a")
      if (checked._tag === "Success") same<typeof checked>()<{ readonly _tag: "Success" }>(true)
      // A server may refuse every event.
      const count = await socket.emitWithAck("count")
      same<typeof count>()<number | EventAnswer.Failure<EventAnswer.Refusal>>(true)
      const done = await socket.emitWithAck("done")
      same<typeof done>()<undefined | EventAnswer.Failure<EventAnswer.Refusal>>(true)
      const bytes = await socket.emitWithAck("upload", { name: "a", content: new Uint8Array(1) })
      if (!("_tag" in bytes)) new Uint8Array(bytes)
    }`,
  "the ids of events that are handled once": `
    const id = crypto.randomUUID()
    socket.emit("order", { article: "book" }, { id }, (answer) => {
      if (answer._tag === "Success") same<typeof answer.value>()<number>(true)
    })
    socket.emit("move", 1, "2026-01-01", { id })
    socket.emit("ring", { id, traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }, (answer) => console.log(answer))
    socket.emit("pay", { number: "17" }, (answer) => console.log(answer))
    server.of("/chat").on("connection", (peer) => {
      peer.on("order", ({ article }, attributes, answer) => {
        same<typeof attributes>()<Official.Attributes>(true)
        answer({ _tag: "Success", value: article.length })
      })
      peer.on("ring", ({ id }, answer) => answer(id.length))
      peer.on("pay", ({ number }, answer) => answer(number.length))
    })
    const annotated: { readonly window: "1 hour" } = Order.annotate(Title, "an order").once
    export const f = async () => {
      const ordered = await socket.emitWithAck("order", { article: "book" }, { id })
      if (ordered._tag === "Success") same<typeof ordered.value>()<number>(true)
    }`,
  "the auth payload of the contract and of its middlewares": `
    const auth: Official.Auth<typeof Chat> = { token: "a", since: "2026-01-01", room: "b" }
    const other: Official.Auth<typeof Chat> = { cookie: "a", since: "2026-01-01" }
    io("/chat", { auth })
    same<Official.Auth<typeof Desk>>()<unknown>(true)
    class One extends Namespace.make("/one", { auth: Schema.Struct({ at: Schema.Date }) }) {}
    same<Official.Auth<typeof One>>()<{ readonly at: string }>(true)`,
  "an official server": `
    const chat: OfficialNamespace<Types[0], Types[1], Types[2], Types[3]> = server.of("/chat")
    chat.on("connection", (peer) => {
      peer.data.user = { id: peer.id }
      peer.data.level = "1"
      peer.on("join", ({ room }, answer) => {
        if (room === "") answer({ _tag: "Failure", error: { _tag: "RoomFull", capacity: 1 } })
        else answer({ _tag: "Success", value: [{ id: peer.id }] })
      })
      peer.on("check", (text, answer) => answer(text === "" ? { _tag: "Success" } : { _tag: "Failure", error: { _tag: "InternalError" } }))
      peer.on("count", (answer) => answer(1))
      peer.on("done", (answer) => answer())
      peer.on("say", (message) => peer.to(message.room).emit("say", message))
      peer.on("cursor", (x, at) => peer.broadcast.volatile.emit("cursor", x, at))
      peer.on("upload", ({ content }, answer) => answer(content))
      peer.emit("ask", "?", (yes) => same<typeof yes>()<boolean>(true))
    })
    export const f = async () => {
      const answers = await chat.timeout(1000).emitWithAck("vote", "2026-01-01")
      for (const answer of answers) if (answer._tag === "Success") same<typeof answer.value>()<string>(true)
      chat.serverSideEmit("busy", "2026-01-01", (error, answers) => console.log(error, answers.map(({ _tag }) => _tag)))
      chat.on("busy", (at, answer) => answer({ _tag: "Success", value: at.length }))
      for (const { data } of await chat.fetchSockets()) console.log(data.user?.id)
    }`,
  "schemas of zod and valibot": `
    import * as v from "valibot"
    import * as z from "zod"
    const Z = Event.make("z", {
      payload: Event.standard(z.object({ at: z.coerce.date<string>(), name: z.string().default("Ada"), bytes: z.instanceof(Uint8Array) })),
      ack: Event.standard(z.number()),
      error: Event.standard(z.object({ _tag: z.literal("Full") }))
    })
    const V = Event.make("v", {
      payload: { inner: Event.standard(v.object({ n: v.pipe(v.string(), v.transform(Number)) })) },
      ack: Event.standard(v.optional(v.string()))
    })
    same<Event.Payload<typeof Z>>()<{ at: Date; name: string; bytes: Uint8Array<ArrayBuffer> }>(true)
    same<Event.Error<typeof Z>>()<{ _tag: "Full" }>(true)
    same<Event.Payload<typeof V>>()<{ readonly inner: { n: number } }>(true)
    class Mixed extends Namespace.make("/mixed", { clientToServer: [Z, V] }) {}
    const mixed: Socket<Official.ListenEvents<typeof Mixed>, Official.EmitEvents<typeof Mixed>> = io("/mixed")
    mixed.emit("v", { inner: { n: "1" } }, () => {})
    mixed.emit("z", { at: "2026-01-01", bytes: new Blob([]) }, () => {})
    export const f = async () => {
      const answer = await mixed.emitWithAck("v", { inner: { n: "1" } })
      same<typeof answer>()<string | null | EventAnswer.Failure<EventAnswer.Refusal>>(true)
    }`,
  "namespaces without a contract, with parameters, and without events": `
    const echo: Socket<Official.ListenEvents<typeof Echo>, Official.EmitEvents<typeof Echo>> = io("/echo")
    echo.emit("anything", 1, 2)
    echo.on("anything", (a, b) => console.log(a, b))
    const desk: Socket<Official.ListenEvents<typeof Desk>, Official.EmitEvents<typeof Desk>> = io("/desk/1")
    desk.emit("count", (answer) => console.log(answer))
    const quiet: Socket<Official.ListenEvents<typeof Quiet>, Official.EmitEvents<typeof Quiet>> = io("/quiet")
    quiet.on("connect", () => {})
    type Echoes = Official.ServerTypes<typeof Echo>
    new Server<Echoes[0], Echoes[1], Echoes[2], Echoes[3]>().of("/echo").emit("anything", 1)`
}

/** Code that must not compile, with a part of the first error. */
const refuses: Record<string, readonly [code: string, problem: string]> = {
  "a wrong payload": [`socket.emitWithAck("join", { room: 1 })`, "'number' is not assignable to type 'string'"],
  "a Date in place of its string": [
    `socket.emit("cursor", 1, new Date())`,
    "'Date' is not assignable to parameter of type 'string'"
  ],
  "an event that is not declared": [`socket.emit("nope")`, `"nope"`],
  "an event of the other direction": [`socket.emit("ask", "?", () => {})`, `"ask"`],
  "arguments in place of a tuple": [`socket.emit("pair", 1, "2026-01-01")`, "Expected 2 arguments"],
  "a tuple in place of arguments": [`socket.emit("cursor", [1, "2026-01-01"])`, "Expected 3 arguments"],
  "an argument of the wrong type": [`socket.emit("cursor", "1", "2026-01-01")`, "'string' is not assignable"],
  "an event without its callback": [`socket.emit("join", { room: "a" })`, "Expected 3 arguments"],
  "an event that is handled once, without its id": [`socket.emit("move", 1, "2026-01-01")`, "Expected 4 arguments"],
  "an acknowledged event that is handled once, without its id": [
    `socket.emit("order", { article: "book" }, () => {})`,
    "Expected 4 arguments"
  ],
  "an id of the wrong type": [`socket.emit("move", 1, "2026-01-01", { id: 1 })`, "'number' is not assignable"],
  "an id where it is in the payload": [
    `socket.emit("pay", { number: "17" }, { id: "17" }, () => {})`,
    "Expected 3 arguments"
  ],
  "an option of once that does not exist": [
    `Event.make("a", { payload: Schema.Int, once: { window: "1 hour", windw: "1 hour" } })`,
    'NoOption<"windw">'
  ],
  "a key of the wrong type": [
    `Event.make("a", { payload: Schema.Int, once: { key: (n) => n } })`,
    "'number' is not assignable to type 'string'"
  ],
  "a failure that is not declared": [
    `socket.on("vote", (_, ack) => ack({ _tag: "Failure", error: { _tag: "Other" } }))`,
    `'"Other"' is not assignable`
  ],
  "auth without a part that a middleware reads": [
    `const auth: Official.Auth<typeof Chat> = { token: "a" }`,
    `'since' is missing`
  ],
  "an asynchronous schema of valibot": [
    `import * as v from "valibot"
     Event.standard(v.pipeAsync(v.string(), v.checkAsync(async () => true)))`,
    "the schema is asynchronous"
  ],
  "a schema of zod that is not wrapped": [
    `import * as z from "zod"
     Event.make("a", { payload: z.string() })`,
    "not assignable"
  ],
  "a listener for an event that the server does not send": [`socket.on("join", () => {})`, `"join"`],
  "an official server that answers with the wrong value": [
    `server.of("/chat").on("connection", (peer) => peer.on("count", (answer) => answer("1")))`,
    `'string' is not assignable`
  ]
}

/** The type of the values that a JSON Schema describes, as TypeScript writes it. */
const typeOf = (schema: any, definitions: Record<string, any>, within: ReadonlyArray<string> = []): string => {
  const inner = (schema: any) => typeOf(schema, definitions, within)
  if (schema.$ref !== undefined) {
    const name = schema.$ref.replace("#/$defs/", "")
    // A schema that contains itself is the one that is compared.
    return within.includes(name) ? "Expected" : typeOf(definitions[name], definitions, [...within, name])
  }
  if (schema.not !== undefined) return "never"
  if (schema.anyOf !== undefined) return schema.anyOf.map(inner).join(" | ")
  if (schema.enum !== undefined) return schema.enum.map((value: unknown) => JSON.stringify(value)).join(" | ")
  if (schema.allOf !== undefined) return inner({ ...schema, ...Object.assign({}, ...schema.allOf), allOf: undefined })
  switch (schema.type) {
    case "integer":
      return "number"
    case "string":
    case "number":
    case "boolean":
    case "null":
      return schema.type
    case "array": {
      const elements: Array<string> = (schema.prefixItems ?? []).map(
        (item: unknown, i: number) => `(${inner(item)})${i < schema.minItems ? "" : "?"}`
      )
      if (schema.items !== undefined) elements.push(`...Array<${inner(schema.items)}>`)
      return `readonly [${elements.join(", ")}]`
    }
    case "object": {
      const required = new Set(schema.required)
      const fields = Object.entries(schema.properties ?? {}).map(
        ([name, field]) => `readonly ${JSON.stringify(name)}${required.has(name) ? "" : "?"}: ${inner(field)}`
      )
      if (typeof schema.additionalProperties === "object") {
        fields.push(`readonly [key: string]: ${inner(schema.additionalProperties)}`)
      }
      return `{ ${fields.join("; ")} }`
    }
  }
  return "unknown"
}

/** The forms that JSON Schema tells less exactly than the type does. */
const moreExact: Record<string, string> = {
  template: "`a-${string}`",
  json: "import('effect').Schema.Json",
  defect: "import('effect').Schema.Json"
}

const comparisons = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(zoo).map(([name, schema]) => {
      const document = Schema.toJsonSchemaDocument(schema)
      const expected = moreExact[name] ?? typeOf(document.schema, document.definitions)
      return [
        name,
        `import type { Official } from "effect-socket.io"
         import type { zoo } from ${JSON.stringify(`${root}test/types/zoo.ts`)}
         type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
         type Actual = Official.Wire<(typeof zoo)[${JSON.stringify(name)}]["Encoded"]>
         type Expected = ${expected}
         export const same: Equals<Actual, Expected> = true
         export const one: Expected = undefined as unknown as Actual
         export const two: Actual = undefined as unknown as Expected`
      ]
    })
  )

/** The schemas with an optional key that may not be null. */
const hasOptional = new Set([
  "optionalTuple",
  "optionals",
  "class",
  "taggedError",
  "exit",
  "result",
  "cause",
  "hashMap"
])

for (const exactOptionalPropertyTypes of [true, false]) {
  describe(`types for the official packages, exactOptionalPropertyTypes ${exactOptionalPropertyTypes}`, () => {
    let found: Record<string, ReadonlyArray<string>> = {}
    const seen = exactOptionalPropertyTypes ? "string" : "string | null"

    beforeAll(async () => {
      const snippets = {
        ...compiles,
        ...Object.fromEntries(Object.entries(refuses).map(([name, [code]]) => [name, code]))
      }
      found = await diagnosticsOfAll(
        {
          ...Object.fromEntries(
            Object.entries(snippets).map(([name, code]) => [name, prelude + code.replaceAll("SEEN", seen)])
          ),
          ...comparisons()
        },
        { exactOptionalPropertyTypes }
      )
    }, 120_000)

    for (const name of Object.keys(compiles)) it(`accept ${name}`, () => assert.deepStrictEqual(found[name], []))

    for (const [name, [, problem]] of Object.entries(refuses)) {
      it(`refuse ${name}`, () => assert.include(found[name]!.join("\n"), problem))
    }

    it("have the form that the schemas' JSON Schema describes", () => {
      assert.isAbove(Object.keys(zoo).length, 60)
      for (const name of Object.keys(zoo)) {
        // The compiler does not distinguish them: every optional field may be null then.
        if (exactOptionalPropertyTypes || !hasOptional.has(name)) assert.deepStrictEqual(found[name], [], name)
        else assert.notInclude(found[name]!.join("\n"), ":8:")
      }
    })
  })
}
