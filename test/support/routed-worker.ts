/**
 * A server in a process of its own, one of several that pass requests on to one another. It prints its port. It ends with its
 * standard input, so that it does not outlive the tests, and on SIGTERM in good order.
 *
 * `DIRECTORY`: the folder of the servers; none: without session routing. `PORT`: 0 takes a free one.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer, Logger } from "effect"

import * as NodeSessionRouting from "../../src/node/NodeSessionRouting.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as UnixSocketDirectory from "../../src/node/UnixSocketDirectory.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { readOnly } from "./metrics.ts"

const { DIRECTORY = "", PORT = "0" } = process.env

const App = SocketIoServer.layerNamespace(
  "/",
  Effect.fnUntraced(function* (socket) {
    yield* socket.on("echo", (...args) => Effect.succeed(args))
    yield* socket.on("process", () => Effect.succeed(process.pid))
    yield* socket.on("passed", () => readOnly("requests_forward"))
    yield* socket.on("usage", () =>
      Effect.sync(() => {
        const { system, user } = process.cpuUsage()
        return { cpu: system + user, rss: process.memoryUsage().rss }
      })
    )
  })
)

const routing =
  DIRECTORY === "" ? Layer.empty : Layer.provide(NodeSessionRouting.layer(), UnixSocketDirectory.layer(DIRECTORY))

const Main = App.pipe(
  Layer.provide(
    NodeSocketIoServer.layer({
      port: Number(PORT),
      host: "127.0.0.1",
      allowEIO3: true,
      drainTimeout: "2 seconds",
      // Official clients whose WebSocket is cut between the answer to its probe and the upgrade stop, with any server, until
      // their heartbeat expires.
      heartbeat: { pingInterval: "3 seconds", pingTimeout: "6 seconds" }
    })
  ),
  Layer.provide(routing),
  Layer.provide(
    Logger.layer([
      Logger.make(({ cause, message }) => {
        const text = [message].flat().join(" ")
        const port = /listening on \S+:(\d+)/.exec(text)?.[1]
        if (port !== undefined) console.log(port)
        else console.error(text, cause.reasons.length > 0 ? String(cause) : "")
      })
    ])
  )
)
process.stdin.on("end", () => process.exit()).resume()

NodeRuntime.runMain(Layer.launch(Main), {
  // To be told to end is no failure.
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
