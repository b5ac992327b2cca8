/**
 * The bounds of what one packet, request or connection may bring: what is at the bound is taken, what is beyond it ends the connection, and
 * nobody else's.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"

import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { openClient, transports } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"

const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`

/** Of every bound: what is at it, and what is beyond. */
const bounds: ReadonlyArray<{
  readonly options: NodeOptions
  readonly taken: ReadonlyArray<string | Uint8Array>
  readonly refused: ReadonlyArray<string | Uint8Array>
  readonly reason?: string
  readonly over?: string
}> = [
  {
    options: { limits: { maxAttachments: 2 } },
    taken: [
      '452-["n",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
      Buffer.from([1]),
      Buffer.from([2])
    ],
    refused: ['453-["n"]']
  },
  {
    options: { limits: { maxAttachmentBytes: 10 } },
    taken: ['452-["n",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', Buffer.alloc(5), Buffer.alloc(5)],
    refused: ['452-["n",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', Buffer.alloc(5), Buffer.alloc(6)]
  },
  // The packet's own array is the first level.
  { options: { limits: { maxDepth: 3 } }, taken: [`42["n",${nested(2)}]`], refused: [`42["n",${nested(3)}]`] },
  {
    options: { limits: { maxPayload: 100 } },
    taken: [`42["n","${"x".repeat(90)}"]`],
    refused: [`42["n","${"x".repeat(91)}"]`],
    reason: "payload too large",
    // A request that is too large is answered with 413, and its session goes on.
    over: "websocket"
  },
  {
    options: { limits: { maxPacketsPerPayload: 3 } },
    taken: ['42["n"]', '42["n"]', '42["n"]'],
    refused: ['42["n"]', '42["n"]', '42["n"]', '42["n"]'],
    over: "polling"
  }
]

for (const { options, over, reason = "parse error", refused, taken } of bounds) {
  describe(JSON.stringify(options), () => {
    for (const transport of transports.filter((transport) => transport === (over ?? transport))) {
      it.live(`bounds what a client over ${transport} may send, and harms nobody else`, () =>
        Effect.gen(function* () {
          const { server, url } = yield* serve(
            SocketIoServer.layerNamespace("/", (socket) => socket.on("n", () => Effect.succeed("taken"))),
            options
          )
          const namespace = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
          const gone = yield* Effect.forkChild(Stream.runHead(namespace.disconnections()), { startImmediately: true })
          const other = yield* connect(url)
          yield* Effect.promise(async () => {
            const client = await openClient(transport, url)
            await client.send("40")
            await client.next()
            await client.send(...taken)
            await client.send('420["n"]')
            assert.strictEqual(await client.next(), '430["taken"]')
            await client.send(...refused)
            await client.closed
          })
          const ended = Option.getOrThrow(yield* Fiber.join(gone))
          assert.strictEqual(ended.reason, reason)
          assert.strictEqual(yield* call(other, "n"), "taken")
        })
      )
    }
  })
}
