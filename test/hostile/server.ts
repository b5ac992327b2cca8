/**
 * The server that is attacked over real connections, in a process of its own: its options are the defaults. It tells its parent what
 * it holds when asked.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Logger } from "effect"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { SocketIoServer } from "../../src/server/SocketIoServer.ts"
import { memoryInUse } from "../support/memory.ts"
import { namespaces } from "./memory.ts"

/** Log lines that tell of a bug of the server. */
const bugs: Array<string> = []

const logger = Logger.make(({ cause, logLevel, message }) => {
  if (logLevel === "Error" || logLevel === "Fatal") bugs.push(`${String(message)} ${String(cause)}`)
  else if (String(message).includes("listening")) process.send!({ listening: String(message) })
})

const reporting = Layer.effectDiscard(
  Effect.map(SocketIoServer, ({ connectionCount }) => {
    process.on("message", () => {
      process.send!({ bugs, memory: memoryInUse(), sessions: Effect.runSync(connectionCount) })
    })
  })
)

process.once("disconnect", () => process.exit(1))

NodeRuntime.runMain(
  Layer.launch(
    Layer.mergeAll(namespaces, reporting).pipe(
      Layer.provide(
        NodeSocketIoServer.layer({
          port: 0,
          host: "127.0.0.1",
          allowEIO3: true,
          cors: { origin: "https://good.example" }
        })
      ),
      Layer.provide(Logger.layer([logger]))
    )
  )
)
