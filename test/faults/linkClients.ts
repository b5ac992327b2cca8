/**
 * Clients in a process of their own: each says when it connects and disconnects, as a line of JSON. `URL` is the server's.
 */
import { writeSync } from "node:fs"
import { Effect, Stream } from "effect"
import { io } from "socket.io-client"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"

const url = process.env.URL!

// Processes of one machine have the same clock.
const tell = (who: string, event: string) => writeSync(1, `${JSON.stringify({ who, event, at: Date.now() })}\n`)

const ours = (way: "polling" | "websocket") =>
  Effect.gen(function* () {
    const socket = yield* SocketIoClient.connect("/")
    yield* Stream.runForEach(socket.status, (status) =>
      Effect.sync(() => {
        if (status._tag === "Connected") tell(`our client, ${way}`, "connected")
        else if (status._tag === "Disconnected") tell(`our client, ${way}`, status.reason)
      })
    )
  }).pipe(
    Effect.provide(SocketIoClient.layer({ url, transports: [way], connectTimeout: "1 second" })),
    Effect.scoped,
    Effect.runPromise
  )

for (const way of ["polling", "websocket"] as const) {
  const socket = io(url, { transports: [way], timeout: 1_000, reconnectionDelayMax: 1_000 })
  socket.on("connect", () => tell(`official client, ${way}`, "connected"))
  socket.on("disconnect", (reason) => tell(`official client, ${way}`, reason))
  void ours(way)
}
