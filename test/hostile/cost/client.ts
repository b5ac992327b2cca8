/**
 * A client of this library under measurement, of a server that is hostile. The same process is a
 * client of an honest server, too, of which it asks a question every 25 ms.
 */
import { openSync, writeSync } from "node:fs"

import { Context, Effect, Layer, Schema, Scope, Stream } from "effect"

import * as SocketIoClient from "../../../src/client/SocketIoClient.ts"
import * as Event from "../../../src/Event.ts"
import * as Namespace from "../../../src/Namespace.ts"
import * as NodeClientPlatform from "../../../src/node/NodeClientPlatform.ts"
import { answer, now, sleep } from "../../bench/roles.ts"
import { type Answers, PATIENCE, PAUSE } from "./questions.ts"
import type { Usage } from "./server.ts"

class Chat extends Namespace.make("/chat", {
  serverToClient: [Event.make("say", { payload: { room: Schema.String, text: Schema.String } })]
}) {}

/** What is logged is formatted and written, as by default, but to nowhere. */
const nowhere = openSync("/dev/null", "w")
process.stdout.write = (chunk: string | Uint8Array) => {
  writeSync(nowhere, chunk as string)
  return true
}

/** A connection with all defaults, for as long as the process. */
const open = async (port: number, transports: ReadonlyArray<"polling" | "websocket">) => {
  const layer = SocketIoClient.layer({ url: `http://127.0.0.1:${port}`, transports }).pipe(
    Layer.provide(NodeClientPlatform.layer)
  )
  const scope = Scope.makeUnsafe()
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  return Context.add(context, Scope.Scope, scope)
}

/** Takes events one by one, as many as it can. */
const hostile = Effect.gen(function* () {
  const socket = yield* SocketIoClient.socket("/")
  const chat = yield* SocketIoClient.socket(Chat)
  yield* socket.respond("ask", (value) => Effect.succeed(value))
  yield* Effect.forkScoped(Stream.runDrain(socket.stream("x", { overflow: "dropOldest" })))
  yield* Effect.forkScoped(Stream.runDrain(chat.stream("say", { overflow: "dropOldest" })))
  return socket
})

let honest: Effect.Success<typeof honestSocket> | undefined
const honestSocket = SocketIoClient.connect("/")

answer({
  connect: async ({ attacked, asked, isPolling }: { attacked: number; asked: number; isPolling: boolean }) => {
    const context = await open(asked, ["websocket"])
    honest = await Effect.runPromise(Effect.provideContext(honestSocket, context))
    await Effect.runPromise(
      Effect.provideContext(hostile, await open(attacked, isPolling ? ["polling"] : ["websocket"]))
    )
  },
  ask: async (millis: number): Promise<Answers> => {
    const latencies: Array<number> = []
    let [asked, lost] = [0, 0]
    const began = now()
    while (now() - began < millis) {
      const at = now()
      asked++
      void Effect.runPromise(
        Effect.exit(Effect.timeout(honest!.emitWithAck("ack", asked), PATIENCE)).pipe(
          Effect.map(({ _tag }) => {
            latencies.push(now() - at)
            if (_tag === "Failure") lost++
          })
        )
      )
      await sleep(Math.max(0, began + asked * PAUSE - now()))
    }
    while (latencies.length < asked) await sleep(5)
    return { latencies, lost, disconnected: undefined }
  },
  usage: (collects: boolean): Usage => {
    if (collects) for (let i = 0; i < 2; i++) globalThis.gc!()
    const { system, user } = process.cpuUsage()
    const { external, heapUsed } = process.memoryUsage()
    return { cpu: system + user, bytes: undefined, memory: heapUsed + external, sessions: 1, connections: 1 }
  }
})
