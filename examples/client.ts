/**
 * A client in Node, for the chat of `npm start`: it joins, prints what is said, and says what is typed, at most five lines a
 * second.
 *
 *     npm start                                   # in another terminal
 *     node examples/client.ts Ada
 *
 * When the server is restarted it comes back by itself, and joins again.
 */
import { createInterface } from "node:readline"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Schedule, Stream } from "effect"
import { SocketIoClient } from "effect-socket.io/client"

import { Chat } from "./chat/contract.ts"

const name = process.argv[2] ?? "Somebody"

const program = Effect.gen(function* () {
  const chat = yield* SocketIoClient.connect(Chat)

  /** The name may be taken by the connection that was just lost: it is free again in a moment. */
  const join = chat.emitWithAck("join", { name }).pipe(
    Effect.timeout("5 seconds"),
    Effect.retry(Schedule.spaced("500 millis").pipe(Schedule.upTo({ times: 10 }))),
    Effect.flatMap((users) => Console.log(`here: ${users.map((user) => user.name).join(", ")}`)),
    Effect.catch((error) => Console.log(`could not join: ${error._tag}`))
  )
  // For every connection, the first one included.
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
