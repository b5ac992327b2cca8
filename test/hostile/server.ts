/**
 * The server that is attacked over real connections, in a process of its own: its options are the defaults. It tells its parent what
 * it holds when asked. On Node there are three more, which have everything that a server has on request.
 */
import { Effect, Layer, Logger, Scope } from "effect"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { SocketIoServer } from "../../src/server/SocketIoServer.ts"
import * as BunSocketIoServer from "../../src/web/BunSocketIoServer.ts"
import * as DenoSocketIoServer from "../../src/web/DenoSocketIoServer.ts"
import { memoryInUse } from "../support/memory.ts"
import { namespaces } from "./memory.ts"

/** Log lines that tell of a bug of the server. */
const bugs: Array<string> = []
let listening = ""

const logger = Logger.make(({ cause, logLevel, message }) => {
  if (logLevel === "Error" || logLevel === "Fatal") bugs.push(`${String(message)} ${String(cause)}`)
  else if (String(message).includes("listening")) listening = String(message)
})

const OPTIONS = { port: 0, host: "127.0.0.1", allowEIO3: true, cors: { origin: "https://good.example" } } as const

const isNode = !("Bun" in globalThis || "Deno" in globalThis)

/** The server of the platform that this runs on. */
const edge = () => {
  if (isNode) return NodeSocketIoServer.layer(OPTIONS)
  return "Bun" in globalThis ? BunSocketIoServer.layer(OPTIONS) : DenoSocketIoServer.layer(OPTIONS)
}

process.once("disconnect", () => process.exit(1))

const main = Effect.gen(function* () {
  const context = yield* Layer.build(Layer.provideMerge(namespaces, edge()))
  const { connectionCount } = yield* Effect.provideContext(SocketIoServer, context)
  // What these need runs on Node alone.
  const more = isNode ? yield* (yield* Effect.promise(() => import("./featureServers.ts"))).featureServers : undefined
  const count = Effect.map(
    Effect.all([connectionCount, ...Object.values(more ?? {}).map(({ sessions }) => sessions)]),
    (counts) => counts.reduce((sum, count) => sum + count, 0)
  )
  process.on("message", () => {
    process.send!({ bugs, memory: memoryInUse(), sessions: Effect.runSync(count) })
  })
  process.send!({ listening, features: more?.features.url, owner: more?.owner.url, limited: more?.limited.url })
})

await Effect.runPromise(
  main.pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(Scope.Scope, Scope.makeUnsafe()))
)
