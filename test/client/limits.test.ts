/**
 * The client's limits, where nobody has set them: what servers send is taken.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { clientOf, serveOfficial, ways } from "../support/official.ts"

const nested = (levels: number): unknown => {
  let value: unknown = "core"
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { in: value }
  return value
}

interface Tree {
  readonly in?: Tree
}
const Tree: Schema.Codec<Tree> = Schema.Struct({ in: Schema.optionalKey(Schema.suspend(() => Tree)) })

class Forest extends Namespace.make("/forest", {
  clientToServer: [Event.make("go")],
  serverToClient: [Event.make("tree", { payload: Tree })]
}) {}

describe("a client with its defaults", () => {
  for (const transport of ways) {
    it.live(`takes attachments of 11 MB that the official server sends over ${transport}`, () =>
      Effect.gen(function* () {
        const { url } = yield* serveOfficial((io) =>
          io.on("connection", (socket) =>
            socket.on("go", (done) => done(Buffer.alloc(11_000_000), { more: [Buffer.alloc(1_000_000)] }))
          )
        )
        const use = yield* clientOf({ url, transports: [transport], reconnection: false })
        const socket = yield* use(SocketIoClient.connect("/"))
        const [bytes, { more }] = (yield* socket.emitWithAck("go")) as [Uint8Array, { more: [Uint8Array] }]
        assert.deepStrictEqual([bytes.length, more[0].length], [11_000_000, 1_000_000])
      })
    )
  }

  it.live("takes payloads of 70 and of almost 1,000 levels that the official server sends, with bytes or without", () =>
    Effect.gen(function* () {
      const { url } = yield* serveOfficial((io) =>
        io.on("connection", (socket) =>
          socket.on("go", (levels, done) => done(nested(levels), [nested(levels - 1), Buffer.from([1])]))
        )
      )
      const use = yield* clientOf({ url, reconnection: false })
      const socket = yield* use(SocketIoClient.connect("/"))
      for (const levels of [70, 990]) {
        const [plain] = yield* socket.emitWithAck("go", levels)
        assert.strictEqual(JSON.stringify(plain), JSON.stringify(nested(levels)))
      }
    })
  )

  it.live("decodes a payload of almost 1,000 levels by a recursive schema", () =>
    Effect.gen(function* () {
      const { url } = yield* serveOfficial((io) =>
        io.of("/forest").on("connection", (socket) =>
          socket.on("go", () => {
            let tree = {}
            for (let i = 0; i < 990; i++) tree = { in: tree }
            socket.emit("tree", tree)
          })
        )
      )
      const use = yield* clientOf({ url, reconnection: false })
      const forest = yield* use(SocketIoClient.connect(Forest))
      const trees = yield* forest.subscribe("tree")
      yield* forest.emit("go")
      const [tree] = yield* Stream.runCollect(Stream.take(trees, 1))
      let levels = 0
      for (let at: Tree | undefined = tree; at?.in; at = at.in) levels++
      assert.strictEqual(levels, 990)
    })
  )
})
