/**
 * A client in Node, for the chat of `npm start`. It joins, prints messages, and sends the lines
 * that you type, at most five a second.
 *
 *     npm start                                   # in another terminal
 *     npx node examples/client.ts Ada
 *
 * Restart the server: the client comes back by itself, and joins again.
 */
import { createInterface } from "node:readline"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Schedule, Stream } from "effect"
import { SocketIoClient } from "effect-socket.io/client"

import { Chat } from "./chat/contract.ts"

const name = process.argv[2] ?? "Somebody"

const program = Effect.gen(function* () {
  const chat = yield* SocketIoClient.connect(Chat)

  /** The lost connection may still hold the name. The server frees it soon. */
  const join = chat.emitWithAck("join", { name }).pipe(
    Effect.timeout("5 seconds"),
    Effect.retry(Schedule.spaced("500 millis").pipe(Schedule.upTo({ times: 10 }))),
    Effect.catch((error) => Console.log(`could not join: ${error._tag}`))
  )
  yield* chat.stream("presence_state").pipe(
    Stream.runForEach(([people]) => Console.log(`here: ${Object.keys(people).join(", ")}`)),
    Effect.forkScoped({ startImmediately: true })
  )
  // It joins after every connection, the first one included.
  yield* chat.status.pipe(
    Stream.runForEach((status) => {
      switch (status._tag) {
        case "Connected":
          return join
        case "Disconnected":
          return Console.log(`disconnected: ${status.reason}${status.willRetry ? ", coming back" : ""}`)
        default:
          return Effect.void
      }
    }),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* chat.stream("said").pipe(
    Stream.runForEach(({ from, text }) => Console.log(`${from.name}: ${text}`)),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* Stream.fromAsyncIterable(createInterface({ input: process.stdin }), (cause) => cause).pipe(
    Stream.filter((line) => line.trim() !== ""),
    Stream.throttle({ cost: (lines) => lines.length, units: 5, duration: "1 second" }),
    Stream.runForEach((text) => chat.emit("say", { text }))
  )
})

program.pipe(
  Effect.scoped,
  Effect.provide(SocketIoClient.layer({ url: process.env.SERVER ?? "http://localhost:3000" })),
  NodeRuntime.runMain
)
