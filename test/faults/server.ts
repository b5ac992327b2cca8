/**
 * A server as an application runs it, in a process of its own: `PORT` says where, and it prints where it listens. What its handlers
 * have done is printed as JSON when it ends.
 */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer } from "effect"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

const done: Record<string, number> = { quick: 0, slow: 0, interrupted: 0, disconnected: 0 }

const Echo = SocketIoServer.layerNamespace(
  "/",
  Effect.fnUntraced(function* (socket) {
    yield* socket.on("quick", (n) => Effect.sync(() => (done.quick!++, n)))
    yield* socket.on("slow", (n) =>
      Effect.sleep("200 millis").pipe(
        Effect.as(n),
        Effect.tap(() => Effect.sync(() => done.slow!++)),
        Effect.onInterrupt(() => Effect.sync(() => done.interrupted!++))
      )
    )
    yield* socket.on("pid", () => Effect.succeed(process.pid))
    yield* Effect.addFinalizer(() => Effect.sync(() => done.disconnected!++))
  })
)

process.on("exit", () => writeSync(1, `${JSON.stringify(done)}\n`))

NodeRuntime.runMain(
  Layer.launch(
    Layer.provide(
      Echo,
      NodeSocketIoServer.layer({
        port: Number(process.env.PORT ?? 0),
        host: "127.0.0.1",
        heartbeat: {
          pingInterval: Number(process.env.PING_INTERVAL ?? 25_000),
          pingTimeout: Number(process.env.PING_TIMEOUT ?? 20_000)
        },

        drainTimeout: "5 seconds"
      })
    )
  ),
  // To be told to end is no failure.
  { teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1) }
)
