/**
 * AsyncAPI documents and JSON Schemas of contracts, with the official parser, and with a generator of models.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

import { Parser } from "@asyncapi/parser"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { compile } from "json-schema-to-typescript"
import * as z from "zod"

import * as AsyncApi from "../../src/AsyncApi.ts"
import * as Binary from "../../src/Binary.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import { filesBelow, read, root } from "../support/sources.ts"
import { diagnosticsOfAll } from "../support/typecheck.ts"

class Message extends Schema.Class<Message>("chat/Message")({
  room: Schema.String,
  text: Schema.String.annotate({ description: "what is said" }),
  at: Schema.Date
}) {}

class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { capacity: Schema.Int }) {}
class Banned extends Schema.TaggedError<Banned>()("Banned", { until: Schema.Date }) {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("test/Authentication", {
  auth: Schema.Struct({ token: Schema.String }),
  error: Banned
}) {}

const at = new Date(0)

class Chat extends Namespace.make("/chat", {
  description: "Rooms to talk in.",
  auth: Schema.Struct({ name: Schema.String }),
  examples: [{ name: "Ada" }],
  concurrency: 4,
  clientToServer: [
    Event.make("join", {
      description: "Enters a room.",
      payload: { room: Schema.String },
      ack: Schema.Int,
      error: RoomFull,
      examples: [{ room: "lobby" }],
      rateLimit: { limit: 2, interval: "1 minute" }
    }),
    Event.make("say", {
      payload: Message,
      deprecated: true,
      examples: [new Message({ room: "lobby", text: "hi", at })]
    }),
    Event.make("cursor", {
      args: [Schema.Finite, Schema.optionalKey(Schema.Finite)],
      examples: [[1, 2]],
      concurrency: 1
    }),
    Event.make("upload", {
      payload: { name: Schema.String, content: Binary.Bytes },
      ack: Schema.Void,
      examples: [{ name: "a.txt", content: new TextEncoder().encode("hi") }]
    }),
    Event.make("leave", { error: RoomFull }),
    Event.make("count", { args: [], ack: Schema.Int })
  ],
  serverToClient: [
    Event.make("say", { payload: Message, recover: false }),
    Event.make("question", { payload: Schema.String, ack: Schema.Boolean })
  ]
}).middleware(Authentication) {}

class Document extends Namespace.dynamic("/document/:id/:part", {
  params: {
    id: Schema.FiniteFromString,
    part: Schema.Literals(["head", "body"]).annotate({ description: "its part" })
  },
  deprecated: true,
  serverToClient: [Event.make("edited", { payload: Schema.String })]
}) {}

const info = { title: "Chat", version: "1.0.0" }

const failuresOf = async (document: AsyncApi.Document): Promise<ReadonlyArray<string>> => {
  const parsed = await new Parser().parse(JSON.stringify(document))
  const errors = parsed.diagnostics.filter(({ severity }) => severity === 0)
  assert.strictEqual(parsed.document === undefined, errors.length > 0)
  return errors.map(({ message, path }) => `${path.join("/")}: ${message}`)
}

describe("AsyncApi.fromNamespaces", () => {
  const document = AsyncApi.fromNamespaces([Chat, Document], {
    ...info,
    description: "A chat.",
    servers: {
      here: { url: "http://localhost:3000" },
      there: { url: "https://chat.example.com/live", description: "for everybody" }
    }
  })
  const { chat } = document.channels as { readonly chat: AsyncApi.Channel }

  it("says who it is about, and where it runs", () => {
    assert.strictEqual(document.asyncapi, "3.1.0")
    assert.deepStrictEqual(document.info, { ...info, description: "A chat." })
    assert.deepStrictEqual(document.servers, {
      here: { host: "localhost:3000", pathname: "/socket.io", protocol: "ws" },
      there: { host: "chat.example.com", pathname: "/live", protocol: "wss", description: "for everybody" }
    })
    assert.strictEqual(AsyncApi.fromNamespaces([], { ...info, specification: "3.0.0" }).asyncapi, "3.0.0")
  })

  it("has a channel for each namespace, and an operation with a message for each event of a direction", () => {
    assert.strictEqual(chat.address, "/chat")
    assert.strictEqual(chat.description, "Rooms to talk in.")
    assert.deepStrictEqual(document.operations["chat.receive.join"], {
      action: "receive",
      channel: { $ref: "#/channels/chat" },
      messages: [{ $ref: "#/channels/chat/messages/receive.join" }],
      security: [{ $ref: "#/components/securitySchemes/chat" }],
      reply: {
        channel: { $ref: "#/channels/chat" },
        messages: [{ $ref: "#/channels/chat/messages/receive.join.ack" }]
      }
    })
    assert.deepStrictEqual(document.operations["chat.send.say"], {
      action: "send",
      channel: { $ref: "#/channels/chat" },
      messages: [{ $ref: "#/channels/chat/messages/send.say" }],
      security: [{ $ref: "#/components/securitySchemes/chat" }]
    })
    assert.notProperty(chat.messages, "receive.say.ack")
  })

  it("describes the list of the arguments on the wire, for every arity", () => {
    const payload = (key: string) => chat.messages[key]!.payload
    assert.deepStrictEqual(payload("receive.say"), {
      type: "array",
      items: [{ $ref: "#/components/schemas/chat_MessageEncoded" }],
      minItems: 1,
      maxItems: 1
    })
    assert.deepStrictEqual(payload("receive.cursor"), {
      type: "array",
      items: [{ type: "number" }, { type: "number" }],
      minItems: 1,
      maxItems: 2
    })
    for (const none of ["receive.leave", "receive.count"]) {
      assert.deepStrictEqual(payload(none), { type: "array", maxItems: 0 })
    }
    assert.deepStrictEqual(document.components.schemas["chat_MessageEncoded"], {
      type: "object",
      properties: {
        room: { type: "string" },
        text: { type: "string", description: "what is said" },
        at: { type: "string" }
      },
      required: ["room", "text", "at"],
      additionalProperties: true
    })
  })

  it("says that bytes are bytes", () => {
    const [file] = chat.messages["receive.upload"]!.payload["items"] as [any]
    assert.deepStrictEqual(file.properties.content, { "x-socket.io": "binary" })
  })

  it("describes the arguments of an acknowledgement: a value, a tagged union, or a refusal", () => {
    const int = { type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }
    const [joined] = chat.messages["receive.join.ack"]!.payload["items"] as [any]
    assert.deepStrictEqual(joined.anyOf[0], {
      type: "object",
      properties: { _tag: { type: "string", enum: ["Success"] }, value: int },
      required: ["_tag", "value"]
    })
    assert.deepStrictEqual(joined.anyOf[1].properties.error, {
      anyOf: [{ $ref: "#/components/schemas/RoomFullEncoded" }, { $ref: "#/components/schemas/Refusal" }]
    })
    const [left] = chat.messages["receive.leave.ack"]!.payload["items"] as [any]
    assert.deepStrictEqual(left.anyOf[0].required, ["_tag"])
    assert.deepStrictEqual(chat.messages["receive.count.ack"]!.payload, {
      type: "array",
      items: [{ anyOf: [int, { $ref: "#/components/schemas/Refused" }] }],
      minItems: 1,
      maxItems: 1
    })
    assert.deepStrictEqual(chat.messages["receive.upload.ack"]!.payload, {
      type: "array",
      items: [{ $ref: "#/components/schemas/Refused" }],
      maxItems: 1
    })
    // Clients have no refusals.
    assert.deepStrictEqual(chat.messages["send.question.ack"]!.payload["items"], [{ type: "boolean" }])
  })

  it("has the auth payload of the contract and of its middlewares, their refusals, and a scheme for a token", () => {
    const extension = chat["x-socket.io"]
    assert.deepStrictEqual(
      (extension.auth!["allOf"] as ReadonlyArray<any>).map(({ required }) => required),
      [["name"], ["token"]]
    )
    assert.deepStrictEqual(extension.authExamples, [{ name: "Ada" }])
    assert.deepStrictEqual(extension.refusals, [{ $ref: "#/components/schemas/BannedEncoded" }])
    assert.include(document.components.securitySchemes!["chat"]!.description, '"token"')
  })

  it("has rate limits, concurrency and recovery where they count", () => {
    const extension = (key: string) => chat.messages[key]!["x-socket.io"]
    assert.deepStrictEqual(extension("receive.join"), {
      rateLimit: { limit: 2, interval: 60_000, burst: 2, onExceeded: "refuse" },
      concurrency: 4
    })
    assert.deepStrictEqual(extension("receive.cursor"), { concurrency: 1 })
    assert.deepStrictEqual(extension("send.say"), { recover: false })
    assert.isUndefined(extension("send.question"))
  })

  it("has descriptions, deprecations, and examples in their form on the wire", () => {
    assert.strictEqual(chat.messages["receive.join"]!.description, "Enters a room.")
    assert.isTrue(chat.messages["receive.say"]!.deprecated)
    assert.isUndefined(chat.messages["receive.join"]!.deprecated)
    const example = (key: string) => chat.messages[key]!.examples!.map(({ payload }) => payload)
    assert.deepStrictEqual(example("receive.say"), [[{ room: "lobby", text: "hi", at: at.toISOString() }]])
    assert.deepStrictEqual(example("receive.cursor"), [[1, 2]])
    assert.deepStrictEqual(example("receive.upload"), [[{ name: "a.txt", content: { $bytes: "aGk=" } }]])
  })

  it("knows the parameters of dynamic namespaces", () => {
    const channel = Object.values(document.channels)[1]!
    assert.strictEqual(channel.address, "/document/{id}/{part}")
    assert.deepStrictEqual(channel.parameters, {
      id: {},
      part: { description: "its part", enum: ["head", "body"] }
    })
    assert.isTrue(channel["x-socket.io"].deprecated)
  })

  it("shows namespaces without a contract, also those of a regular expression", async () => {
    const { channels } = AsyncApi.fromNamespaces(
      [
        Namespace.untyped("/echo", { description: "Says it again." }),
        Namespace.untypedDynamic(/^\/room-\d+$/),
        Namespace.make("/{odd}")
      ],
      info
    )
    assert.deepStrictEqual(
      Object.values(channels).map(({ address, description }) => [address, description]),
      [
        ["/echo", "Says it again."],
        [null, undefined],
        [null, undefined]
      ]
    )
    assert.isTrue(Object.values(channels)[0]!["x-socket.io"].untyped)
  })

  it("keeps apart what has the same name once strange characters are replaced", async () => {
    class Other extends Schema.Class<Other>("chat/Message")({ other: Schema.Int }) {}
    const strange = AsyncApi.fromNamespaces(
      [
        Namespace.make("/a/b", {
          clientToServer: [
            Event.make("ä b", { payload: Message, ack: Schema.Int }),
            Event.make("ö b", { payload: Other, ack: Schema.Int }),
            Event.make("", { ack: Schema.Int })
          ]
        }),
        Namespace.make("/a_b")
      ],
      info
    )
    assert.deepStrictEqual(Object.keys(strange.channels), ["a_b", "a_b_1"])
    assert.lengthOf(Object.keys(strange.operations), 3)
    assert.lengthOf(Object.keys(Object.values(strange.channels)[0]!.messages), 6)
    assert.includeMembers(Object.keys(strange.components.schemas), ["chat_MessageEncoded", "chat_MessageEncoded_1"])
    assert.deepStrictEqual(await failuresOf(strange), [])
  })

  it("has the schemas of other libraries, with their own definitions", async () => {
    const Leaf: z.ZodType = z.object({
      value: z.number(),
      get below() {
        return z.array(Leaf)
      }
    })
    const Person = z.object({ name: z.string() }).meta({ id: "Person" })
    const Pair = z.object({ one: Person, two: Person }).meta({ title: "Pair" })
    const standard = (schema: z.ZodType) => Event.standard(schema as z.ZodString)
    const Zoo = Namespace.make("/zoo", {
      clientToServer: [
        Event.make("tree", { payload: standard(Leaf) }),
        Event.make("pair", { payload: Schema.Struct({ pair: standard(Pair) }) }),
        Event.make("plain", { payload: standard(z.object({ age: z.int() })) })
      ]
    })
    const zoo = AsyncApi.fromNamespaces([Zoo], info)
    assert.deepStrictEqual(await failuresOf(zoo), [])
    const { schemas } = zoo.components
    assert.includeMembers(Object.keys(schemas), ["Standard", "Pair", "Person"])
    assert.deepStrictEqual((schemas["Standard"] as any).properties.below.items, {
      $ref: "#/components/schemas/Standard"
    })
    assert.deepStrictEqual((schemas["Pair"] as any).properties.two, { $ref: "#/components/schemas/Person" })
    assert.notInclude(JSON.stringify(zoo), "x-standard")
    const { "receive.pair": pair, "receive.plain": plain } = AsyncApi.jsonSchemas(Zoo)
    assert.deepStrictEqual(Object.keys(pair!["definitions"] as object).toSorted(), ["Pair", "Person"])
    assert.notProperty(plain!, "definitions")
  })

  it("says of an event that is handled once where its id is", () => {
    const Orders = Namespace.make("/orders", {
      clientToServer: [
        Event.make("order", { payload: { id: Schema.String }, once: { key: ({ id }) => id, window: "1 hour" } }),
        Event.make("pay", { once: {} })
      ]
    })
    const { messages } = Object.values(AsyncApi.fromNamespaces([Orders], info).channels)[0]!
    assert.deepStrictEqual(
      ["receive.order", "receive.pay"].map((key) => messages[key]!["x-socket.io"]),
      [{ once: { id: "payload", window: 3_600_000 } }, { once: { id: "attribute", window: 600_000 } }]
    )
  })

  it("refuses two contracts of one name, and examples that do not fit", () => {
    assert.throws(() => AsyncApi.fromNamespaces([Chat, Chat], info), "two contracts have the same name: /chat")
    const wrong = { room: 1 } as never
    const Wrong = Namespace.make("/", {
      clientToServer: [Event.make("join", { payload: { room: Schema.String }, examples: [wrong] })]
    })
    assert.throws(() => AsyncApi.fromNamespaces([Wrong], info), 'payload of "join"')
    // @ts-expect-error the second argument is a number
    const WrongArgs = Event.make("move", { args: [Schema.Finite, Schema.Finite], examples: [[1, "2"]] })
    const Moving = Namespace.make("/", { serverToClient: [WrongArgs] })
    assert.throws(() => AsyncApi.fromNamespaces([Moving], info), 'payload of "move"')
    const WrongAuth = Namespace.make("/", { auth: Schema.Struct({ token: Schema.String }), examples: [wrong] })
    assert.throws(() => AsyncApi.fromNamespaces([WrongAuth], info), 'auth example of "/"')
  })

  it("is accepted by the official parser", async () => {
    assert.deepStrictEqual(await failuresOf(document), [])
    const broken = structuredClone(document) as any
    broken.operations["chat.receive.join"].channel.$ref = "#/channels/chit"
    assert.isAbove((await failuresOf(broken)).length, 0)
  })

  it("is accepted by the official parser for every contract of tests and examples", async () => {
    const declaring = /Namespace\.(make|dynamic|untyped|untypedDynamic)\(/
    // Those of `test/types` are text.
    const files = [...filesBelow("test"), ...filesBelow("examples")].filter(
      (path) => path.endsWith(".ts") && !path.startsWith("test/types/") && declaring.test(read(path))
    )
    const folder = mkdtempSync(join(tmpdir(), "contracts-"))
    try {
      const output = join(folder, "documents.json")
      const args = ["test/support/gatherContracts.ts", output, ...files]
      await promisify(execFile)(process.execPath, args, { cwd: root })
      const gathered = JSON.parse(readFileSync(output, "utf8"))
      assert.isAtLeast(gathered.files.length, 100)
      const examples = files.filter((path) => path.startsWith("examples/"))
      assert.isAtLeast(examples.length, 10)
      assert.includeMembers(gathered.files, examples)
      for (const document of gathered.documents) assert.deepStrictEqual(await failuresOf(document), [])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }, 60_000)

  it("makes models that compile", async () => {
    const payloads = Object.entries(chat.messages).map(([key, { payload }]) => [key, payload])
    const models = await compile(
      {
        title: "Messages",
        type: "object",
        properties: Object.fromEntries(payloads),
        required: payloads.map(([key]) => key),
        additionalProperties: false,
        components: document.components
      } as any,
      "Messages",
      { format: false, bannerComment: "" }
    )
    const program = `${models}
const say: Messages["receive.say"] = [{ room: "lobby", text: "hi", at: "1970-01-01T00:00:00.000Z" }]
const answer = (message: Messages["receive.join.ack"]): number => {
  const [{ _tag }] = message
  return _tag.length
}
export const used = [say, answer]
`
    const wrong = `${models}
export const say: Messages["receive.say"] = [{ room: "lobby", text: 1, at: "1970-01-01T00:00:00.000Z" }]`
    const diagnostics = await diagnosticsOfAll({ program, wrong })
    assert.deepStrictEqual(diagnostics["program"], [])
    assert.lengthOf(
      diagnostics["wrong"]!.filter((line) => line.includes("error TS2322")),
      1
    )
  }, 60_000)
})

describe("AsyncApi.jsonSchemas", () => {
  it("has a schema for each value on the wire, with its own definitions", () => {
    const schemas = AsyncApi.jsonSchemas(Chat)
    assert.includeMembers(Object.keys(schemas), [
      "auth",
      "receive.join",
      "receive.join.ack",
      "receive.join.error",
      "send.question.ack"
    ])
    assert.notProperty(schemas, "receive.leave")
    assert.deepStrictEqual(schemas["receive.say"], {
      $schema: "http://json-schema.org/draft-07/schema#",
      allOf: [{ $ref: "#/definitions/chat~1MessageEncoded" }],
      definitions: {
        "chat/MessageEncoded": {
          type: "object",
          properties: {
            room: { type: "string" },
            text: { type: "string", description: "what is said" },
            at: { type: "string" }
          },
          required: ["room", "text", "at"],
          additionalProperties: true
        }
      }
    })
    assert.lengthOf(schemas["auth"]!["allOf"] as ReadonlyArray<unknown>, 2)
    assert.property(AsyncApi.jsonSchemas(Document), "params.id")
  })
})
