/**
 * The cost of the client for a page: bundled for browsers, minified, compressed.
 */
import { gzipSync } from "node:zlib"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { rolldown } from "rolldown"

import { read, root } from "../support/sources.ts"

/** A chat's client; `chat` and what it says are given. */
const client = (chat: string, name: string, text: string, imports = "") => `
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as SocketIoClient from "effect-socket.io/client/SocketIoClient"
${imports}
const program = Effect.gen(function* () {
  const chat = yield* SocketIoClient.connect(${chat})
  const said = yield* chat.subscribe("said")
  console.log(yield* chat.emitWithAck("join", ${name}))
  yield* chat.emit("say", ${text})
  yield* Stream.runForEach(said, (message) => Effect.sync(() => console.log(message)))
})
Effect.runFork(
  program.pipe(Effect.scoped, Effect.provide(SocketIoClient.layer({ url: location.origin })))
)`

const contract = `
import * as Schema from "effect/Schema"
import * as Event from "effect-socket.io/Event"
import * as Namespace from "effect-socket.io/Namespace"
const User = Schema.Struct({ id: Schema.String, name: Schema.String })
const Message = Schema.Struct({ from: User, text: Schema.String, at: Schema.Date })
class NameTaken extends Schema.TaggedError()("NameTaken", { name: Schema.String }) {}
class Chat extends Namespace.make("/chat", {
  clientToServer: [
    Event.make("join", {
      payload: { name: Schema.NonEmptyString.check(Schema.isMaxLength(40)) },
      ack: Schema.Array(User),
      error: NameTaken
    }),
    Event.make("say", { payload: { text: Schema.NonEmptyString.check(Schema.isMaxLength(2_000)) } })
  ],
  serverToClient: [Event.make("said", { payload: Message })]
}) {}`

/** An application that uses Effect for something else; `more` and its imports are added. */
const application = (imports = "", more = "", layer = "LinesLive") => `
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
${imports}
class Offline extends Data.TaggedError("Offline") {}
class Lines extends Context.Service()("Lines") {}
const LinesLive = Layer.effect(Lines, Effect.gen(function* () {
  const queue = yield* Queue.bounded(16)
  const load = Effect.tryPromise({ try: (signal) => fetch("/lines", { signal }), catch: () => new Offline() })
  yield* load.pipe(
    Effect.retry(Schedule.exponential(Duration.fromInputUnsafe("1 second"))),
    Effect.flatMap((response) => Queue.offer(queue, response.status)),
    Effect.catchCause((cause) => Effect.logError("no lines", Cause.pretty(cause))),
    Effect.forkScoped
  )
  yield* Effect.addFinalizer(() => Queue.shutdown(queue))
  return { lines: Stream.fromQueue(queue), random: yield* Random.next }
}))
const program = Effect.gen(function* () {
  const { lines } = yield* Lines
  ${more}
  yield* Stream.runForEach(lines, (line) => Effect.sync(() => console.log(line)))
})
Effect.runFork(program.pipe(Effect.scoped, Effect.provide(${layer})))`

const applicationWithClient = application(
  'import * as SocketIoClient from "effect-socket.io/client/SocketIoClient"',
  `const chat = yield* SocketIoClient.connect("/chat")
  const said = yield* chat.subscribe("said")
  console.log(yield* chat.emitWithAck("join", "Ada"))
  yield* chat.emit("say", "Hello")
  yield* Effect.forkScoped(Stream.runForEach(said, (message) => Effect.sync(() => console.log(message))))`,
  "Layer.merge(LinesLive, SocketIoClient.layer({ url: location.origin }))"
)

interface Bundle {
  readonly bytes: number
  readonly modules: ReadonlyArray<string>
}

const withEsbuild = async (contents: string): Promise<Bundle> => {
  const { metafile, outputFiles, warnings } = await build({
    stdin: { contents, resolveDir: root, loader: "ts" },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    metafile: true,
    write: false,
    logLevel: "silent"
  })
  assert.deepStrictEqual(warnings, [])
  const [{ inputs }] = Object.values(metafile.outputs) as [(typeof metafile.outputs)[string]]
  const modules = Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : []))
  return { bytes: gzipSync(outputFiles[0]!.contents, { level: 9 }).length, modules }
}

const withRolldown = async (contents: string): Promise<Bundle> => {
  const entry = `${root}entry.ts`
  const warnings: Array<string> = []
  await using bundle = await rolldown({
    input: entry,
    platform: "browser",
    onLog: (level, { message }) => {
      if (level === "warn") warnings.push(message)
    },
    plugins: [
      {
        name: "entry",
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? contents : undefined)
      }
    ]
  })
  const { output } = await bundle.generate({ format: "esm", minify: true })
  assert.deepStrictEqual(warnings, [])
  assert.strictEqual(output.length, 1)
  const modules = Object.entries(output[0].modules).flatMap(([path, { renderedLength }]) =>
    renderedLength > 0 ? [path] : []
  )
  return { bytes: gzipSync(output[0].code, { level: 9 }).length, modules }
}

/** A page that calls, over a client of its own: with a protocol that is given, beside the modules of Effect RPC. */
const caller = (protocol: string, imports = "") => `
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as SocketIoClient from "effect-socket.io/client/SocketIoClient"
${imports}
const Rpcs = RpcGroup.make(
  Rpc.make("Find", { payload: { id: Schema.String }, success: Schema.String }),
  Rpc.make("Words", { success: Schema.String, stream: true })
)
const program = Effect.gen(function* () {
  const chat = yield* SocketIoClient.connect("/chat")
  const said = yield* chat.subscribe("said")
  yield* chat.emit("say", "Hello")
  const rpcs = yield* RpcClient.make(Rpcs)
  console.log(yield* rpcs.Find({ id: "1" }))
  yield* Stream.runForEach(rpcs.Words(), (word) => Effect.sync(() => console.log(word)))
})
Effect.runFork(
  program.pipe(
    Effect.scoped,
    Effect.provide(${protocol}),
    Effect.provide(SocketIoClient.layer({ url: location.origin }))
  )
)`

/** A page on the official client, whose types come from a contract. */
const officialPage = `
import type { Official } from "effect-socket.io"
import { io, type Socket } from "socket.io-client"
import type { Chat } from "./examples/chat/contract.ts"
const socket: Socket<Official.ListenEvents<typeof Chat>, Official.EmitEvents<typeof Chat>> = io("/chat")
socket.on("said", (message) => console.log(message.text))
socket.emit("say", { text: "Hello" })`

describe("a page on the official client, with types from a contract", () => {
  const isOurs = (path: string) => /(^|\/)(effect|src|examples)\//.test(path)

  for (const [bundler, bundle] of [
    ["esbuild", withEsbuild],
    ["rolldown", withRolldown]
  ] as const) {
    it(`has no byte of Effect, of this library or of the contract (${bundler})`, async () => {
      const { modules } = await bundle(officialPage)
      assert.isTrue(modules.some((path) => path.includes("socket.io-client")))
      assert.deepStrictEqual(modules.filter(isOurs), [])
    })
  }

  it("is the one of the chat, too", async () => {
    const page = read("examples/chat/official-client.ts").replaceAll('from "./', 'from "./examples/chat/')
    const { modules } = await withEsbuild(page)
    assert.deepStrictEqual(modules.filter(isOurs), ["examples/chat/view.ts"])
  })
})

describe("a page whose contract has a presence", () => {
  const page = client(
    "Chat",
    "{ name: 'Ada' }",
    "{ text: 'Hello' }",
    `import * as Presence from "effect-socket.io/presence/Presence"
import * as PresenceList from "effect-socket.io/presence/PresenceList"
class Online extends Presence.Service()("app/Online", { meta: Schema.Struct({}) }) {}
console.log(PresenceList.empty(), Presence.events(Online))
${contract}`
  )

  for (const [bundler, bundle] of [
    ["esbuild", withEsbuild],
    ["rolldown", withRolldown]
  ] as const) {
    it(`has nothing of the server (${bundler})`, async () => {
      const { modules } = await bundle(page)
      assert.isTrue(modules.some((path) => path.endsWith("src/presence/Presence.ts")))
      assert.deepStrictEqual(
        modules.filter((path) => /src\/(presence\/internal|server|adapter)\//.test(path)),
        []
      )
    })
  }
})

describe("what the client costs a page, compressed", () => {
  const figures: Array<string> = []

  afterAll(() => console.log(figures.join("\n")))

  const hold = (what: string, bytes: number, limit: number) => {
    figures.push(`${what}: ${(bytes / 1000).toFixed(2)} KB (limit ${limit / 1000})`)
    assert.isAtMost(bytes, limit, `bytes of ${what}`)
  }

  /** A module of Effect, whichever bundler names it. */
  const of = (module: string) => (path: string) => path.endsWith(`/effect/dist/${module}.js`)

  for (const [bundler, bundle, limits] of [
    ["esbuild", withEsbuild, { plain: 28_000, contract: 46_000, more: 10_500, streams: 2_500, extras: 2_000 }],
    ["rolldown", withRolldown, { plain: 26_200, contract: 42_600, more: 9_900, streams: 2_500, extras: 2_000 }]
  ] as const) {
    it(`is little without a contract, and has no Schema in it (${bundler})`, async () => {
      const { bytes, modules } = await bundle(client('"/chat"', '"Ada"', '"Hello"'))
      assert.isTrue(modules.some(of("internal/effect")))
      for (const module of ["Schema", "SchemaAST", "SchemaParser"]) assert.isFalse(modules.some(of(module)), module)
      // Nor has it what nobody has asked for.
      const unused = [
        "client/internal/telemetry.ts",
        "client/internal/attempts.ts",
        "client/ClientMetrics.ts",
        "client/ClientExtras.ts",
        "client/internal/greetings.ts",
        "client/internal/moves.ts",
        "engine/ClientChoices.ts",
        "src/TraceContext.ts"
      ]
      for (const module of unused)
        assert.isFalse(
          modules.some((path) => path.endsWith(module)),
          module
        )
      hold(`a client without a contract, ${bundler}`, bytes, limits.plain)
    })

    it(`is what Schema costs more with a contract (${bundler})`, async () => {
      const { bytes, modules } = await bundle(client("Chat", '{ name: "Ada" }', '{ text: "Hello" }', contract))
      assert.isTrue(modules.some(of("SchemaAST")))
      // Unused parts of `Event` are not there.
      assert.isFalse(modules.some((path) => path.endsWith("internal/standardSchema.ts")))
      assert.isFalse(modules.some((path) => /StreamEvent|StreamWire|streamReading/.test(path)))
      hold(`a client with a contract, ${bundler}`, bytes, limits.contract)
    })

    it(`is little more for resumable streams (${bundler})`, async () => {
      const plain = await bundle(client("Chat", '{ name: "Ada" }', '{ text: "Hello" }', contract))
      const { bytes, modules } =
        await bundle(`${client("Chat.add(Answer)", '{ name: "Ada" }', '{ text: "Hello" }', contract)}
import * as StreamEvent from "effect-socket.io/StreamEvent"
import * as SocketStream from "effect-socket.io/client/SocketStream"
const Answer = StreamEvent.make("answer", { payload: { prompt: Schema.String }, item: Schema.String })
Effect.runFork(Effect.gen(function* () {
  const chat = yield* SocketIoClient.connect(Chat.add(Answer))
  yield* Stream.runForEach(SocketStream.open(chat, "answer", { prompt: "Hello" }), (word) => Effect.sync(() => console.log(word)))
}).pipe(Effect.scoped, Effect.provide(SocketIoClient.layer({ url: location.origin }))))`)
      assert.isTrue(modules.some((path) => path.endsWith("internal/streamReading.ts")))
      hold(`what resumable streams add, ${bundler}`, bytes - plain.bytes, limits.streams)
    })

    it(`is little more for all extras of servers of this library (${bundler})`, async () => {
      const plain = await bundle(applicationWithClient)
      const { bytes } = await bundle(
        `import * as ClientExtras from "effect-socket.io/client/ClientExtras"
${applicationWithClient.replace("{ url: location.origin }", "{ url: location.origin, extras: ClientExtras.server }")}`
      )
      hold(`what all extras of servers add, ${bundler}`, bytes - plain.bytes, limits.extras)
    })

    it(`is little for an application that uses Effect already (${bundler})`, async () => {
      const without = await bundle(application())
      const { bytes } = await bundle(applicationWithClient)
      hold(`what the client adds to an application, ${bundler}`, bytes - without.bytes, limits.more)
    })

    it(`is little for the protocol of RPC beside the modules of RPC, and brings no server (${bundler})`, async () => {
      // Effect's own protocols would count, too, if a page had them.
      const without = await bundle(caller("Layer.succeed(RpcClient.Protocol, globalThis.protocol)"))
      const { bytes, modules } = await bundle(
        caller(
          'SocketIoRpcClient.layerProtocol("/rpc")',
          'import * as SocketIoRpcClient from "effect-socket.io/rpc/SocketIoRpcClient"'
        )
      )
      assert.isTrue(modules.some((path) => path.endsWith("rpc/internal/calls.ts")))
      assert.deepStrictEqual(
        modules.filter((path) => /src\/(server|adapter|recovery)\/|rpc\/(SocketIoRpcServer|internal\/peer)/.test(path)),
        []
      )
      hold(`what the protocol of RPC adds to a page with RPC, ${bundler}`, bytes - without.bytes, 4_200)
    })
  }
})
