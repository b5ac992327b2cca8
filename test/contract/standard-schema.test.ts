/**
 * Schemas of other libraries in contracts, by the interface of Standard Schema: zod and valibot, with the official client.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema } from "effect"
import type { StandardSchemaV1 } from "effect/StandardSchema"
import * as v from "valibot"
import * as z from "zod"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { connect, next, refusal, serve } from "../support/serve.ts"

/** The same contract in two libraries. */
const libraries = {
  zod: {
    Message: z.object({ text: z.string().min(1), at: z.coerce.date(), tags: z.array(z.string()).optional() }),
    Full: z.object({ _tag: z.literal("Full"), capacity: z.number() }),
    Bytes: z.object({ name: z.string(), content: z.instanceof(Uint8Array) }),
    Name: z.string().trim().min(1),
    Maybe: z.string().optional(),
    Token: z.object({ token: z.literal("secret") }),
    described: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
    Named: z.object({ name: z.string() })
  },
  valibot: {
    Message: v.object({
      text: v.pipe(v.string(), v.nonEmpty()),
      at: v.pipe(
        v.union([v.string(), v.date()]),
        v.transform((at) => new Date(at))
      ),
      tags: v.optional(v.array(v.string()))
    }),
    Full: v.object({ _tag: v.literal("Full"), capacity: v.number() }),
    Bytes: v.object({ name: v.string(), content: v.instance(Uint8Array) }),
    Name: v.pipe(v.string(), v.trim(), v.nonEmpty()),
    Maybe: v.optional(v.string()),
    Token: v.object({ token: v.literal("secret") }),
    // This library does not say it itself.
    described: {},
    Named: v.object({ name: v.string() })
  }
} as const

/** The description of a refused value. */
const problem = (schema: Event.AnySchema, value: unknown): string => {
  const exit = Schema.decodeUnknownExit(schema)(value)
  return Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "accepted"
}

for (const [name, { Bytes, described, Full, Maybe, Message, Name, Named, Token }] of Object.entries(libraries)) {
  describe(`schemas of ${name}`, () => {
    class Chat extends Namespace.make("/chat", {
      auth: Event.standard(Token as StandardSchemaV1<unknown, { readonly token: string }>),
      clientToServer: [
        Event.make("say", {
          payload: Event.standard(
            Message as StandardSchemaV1<{ text: string; at: string | Date }, { text: string; at: Date }>
          ),
          ack: Event.standard(Name as StandardSchemaV1<string>),
          error: Event.standard(Full as StandardSchemaV1<{ _tag: "Full"; capacity: number }>)
        }),
        Event.make("upload", {
          payload: Event.standard(Bytes as StandardSchemaV1<{ name: string; content: Uint8Array }>),
          ack: Event.standard(Bytes as StandardSchemaV1<{ name: string; content: Uint8Array }>)
        }),
        Event.make("several", {
          args: [Event.standard(Name as StandardSchemaV1<string>), Schema.Date],
          ack: Schema.String
        }),
        Event.make("maybe", {
          payload: { inner: Event.standard(Name as StandardSchemaV1<string>) },
          ack: Event.standard(Maybe as StandardSchemaV1<string | undefined>)
        })
      ],
      serverToClient: [
        Event.make("named", { payload: Event.standard(Named as StandardSchemaV1<{ name: string }>) }),
        Event.make("said", {
          payload: Event.standard(
            Message as StandardSchemaV1<{ text: string; at: string | Date }, { text: string; at: Date }>
          )
        })
      ]
    }) {}

    const ChatLive = SocketIoServer.layerNamespace(Chat, (socket) => {
      assert.deepStrictEqual(socket.auth, { token: "secret" })
      const handlers = Chat.of({
        say: (message) => {
          if (message.text === "full") return Effect.fail({ _tag: "Full" as const, capacity: 3 })
          if (message.text === "wrong") return Effect.succeed("")
          return Effect.as(socket.emit("said", message), ` year ${message.at.getUTCFullYear()} `)
        },
        upload: ({ content, name }) => Effect.succeed({ name, content: content.toReversed() }),
        several: ([name, at]) => {
          // More than the schema has does not leave.
          const more = { name, secret: "of the server" }
          return Effect.as(socket.emit("named", more), `${name} ${at.getTime()}`)
        },
        maybe: ({ inner }) => Effect.succeed(inner === "nothing" ? undefined : inner)
      })
      return Effect.succeed(handlers)
    })

    it.live("check payloads, answers, failures and auth of the official client", () =>
      Effect.gen(function* () {
        const { logs, url } = yield* serve(ChatLive)
        const refused = yield* refusal(`${url}/chat`, { auth: { token: "guess" } })
        assert.strictEqual(refused.message, "Invalid auth payload")
        const socket = yield* connect(`${url}/chat`, { auth: { token: "secret" } })
        const ask = (event: string, ...args: ReadonlyArray<unknown>) =>
          Effect.promise(() => socket.timeout(10_000).emitWithAck(event, ...args))

        const said = next(socket, "said")
        assert.deepStrictEqual(yield* ask("say", { text: "hello", at: "2026-05-05", extra: 1 }), {
          _tag: "Success",
          value: "year 2026"
        })
        assert.deepStrictEqual(yield* said, [{ text: "hello", at: "2026-05-05T00:00:00.000Z" }])
        assert.deepStrictEqual(yield* ask("say", { text: "full", at: "2026-05-05" }), {
          _tag: "Failure",
          error: { _tag: "Full", capacity: 3 }
        })
        const { error } = yield* ask("say", { text: 7, at: "2026-05-05" })
        assert.strictEqual(error._tag, "PayloadRefused")
        assert.match(error.message, /^Invalid.*expected string.*7?.*at \["text"\]$/i)
        // An answer that its own schema refuses is a bug of the handler.
        assert.deepStrictEqual(yield* ask("say", { text: "wrong", at: "2026-05-05" }), {
          _tag: "Failure",
          error: { _tag: "InternalError" }
        })
        assert.include(logs.join("\n"), "event handler failed")

        const upload = yield* ask("upload", { name: "a", content: Buffer.from([1, 2]) })
        assert.deepStrictEqual([upload.name, ...upload.content], ["a", 2, 1])
        const named = next(socket, "named")
        assert.strictEqual(yield* ask("several", " Ada ", "1970-01-01T00:00:00.001Z"), "Ada 1")
        assert.deepStrictEqual(yield* named, [{ name: "Ada" }])
        assert.strictEqual(yield* ask("maybe", { inner: " a " }), "a")
        assert.isNull(yield* ask("maybe", { inner: "nothing" }))
        assert.match((yield* ask("maybe", { inner: "" })).error.message, /at \["inner"\]$/)
      })
    )

    it.live("serve the client of this library, too", () =>
      Effect.gen(function* () {
        const { url } = yield* serve(ChatLive)
        yield* Effect.gen(function* () {
          const chat = yield* SocketIoClient.connect(Chat, { auth: { token: "secret" } })
          const at = new Date("2026-05-05")
          assert.strictEqual(yield* chat.emitWithAck("say", { text: "hello", at }), "year 2026")
          assert.deepStrictEqual(yield* Effect.flip(chat.emitWithAck("say", { text: "full", at })), {
            _tag: "Full",
            capacity: 3
          })
          const refused = yield* Effect.flip(chat.emitWithAck("say", { text: "", at }))
          assert.deepInclude(refused, { _tag: "AckError" })
          assert.strictEqual(yield* chat.emitWithAck("maybe", { inner: "nothing" }), undefined)
          assert.strictEqual(yield* chat.emitWithAck("maybe", { inner: "a" }), "a")
        }).pipe(Effect.provide(SocketIoClient.layer({ url })), Effect.scoped)
      })
    )

    it("describe values for documentation, as far as the library can", () => {
      const { schema } = Schema.toJsonSchemaDocument(Event.standard(Named as StandardSchemaV1))
      assert.deepInclude(schema, described)
      const named = { type: "string", "x-name": true } as const
      const given = Schema.Struct({ name: Event.standard(Name as StandardSchemaV1, { jsonSchema: named }) })
      assert.deepStrictEqual(Schema.toJsonSchemaDocument(given).schema.properties, { name: named })
      // No words for a Date.
      assert.deepStrictEqual(Schema.toJsonSchemaDocument(Event.standard(Bytes as StandardSchemaV1)).schema, {})
    })
  })
}

describe("a standard schema", () => {
  it("is refused at once if it says that it is asynchronous", () => {
    assert.throws(
      () =>
        Event.standard(
          v.pipeAsync(
            v.string(),
            v.checkAsync(async () => true)
          ) as StandardSchemaV1
        ),
      /a schema of "valibot" is asynchronous/
    )
  })

  it.live("is a defect at its first value if it turns out to be asynchronous, and says so", () =>
    Effect.gen(function* () {
      let calls = 0
      const Slow = Event.standard(z.string().refine(async () => ++calls > 0))
      class Names extends Namespace.make("/", { clientToServer: [Event.make("name", { payload: Slow, ack: Slow })] }) {}
      const { logs, url } = yield* serve(
        SocketIoServer.layerNamespace(Names, () => Effect.succeed(Names.of({ name: (name) => Effect.succeed(name) })))
      )
      const socket = yield* connect(url)
      const answer = yield* Effect.promise(() => socket.timeout(10_000).emitWithAck("name", "Ada"))
      assert.deepStrictEqual(answer, { _tag: "Failure", error: { _tag: "InternalError" } })
      const before = calls
      assert.deepStrictEqual(yield* Effect.promise(() => socket.timeout(10_000).emitWithAck("name", "Ada")), answer)
      assert.strictEqual(calls, before)
      assert.match(logs.join("\n"), /a schema of "zod" is asynchronous; a message is validated at once/)
    })
  )

  it("has few issues and short ones, however many a client causes", () => {
    const schema = Event.standard(z.record(z.string(), z.array(z.string())))
    const key = "k".repeat(100_000)
    const text = problem(schema, { [key]: Array.from({ length: 10_000 }, () => 1) })
    assert.include(text, "and 9995 more")
    assert.isBelow(text.length, 2_000)
    const long = v.picklist(["a"], "b".repeat(1_000))
    assert.isBelow(problem(Event.standard(long), "c").length, 300)
  })

  const validatedBy = (validate: StandardSchemaV1["~standard"]["validate"]): Event.AnySchema =>
    Event.standard({ "~standard": { version: 1, vendor: "mine", validate } })

  it("may throw, or reject: that is a defect of the one value", () => {
    for (const [schema, problem] of [
      [
        validatedBy(() => {
          throw new Error("broken")
        }),
        "broken"
      ],
      [validatedBy(() => Promise.reject(new Error("nobody waits"))), "is asynchronous"]
    ] as const) {
      const exit = Schema.decodeUnknownExit(schema)(1)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.include(String(exit), problem)
    }
  })
})
