/**
 * Our MessagePack parser in the official server and in the official client, with the official parser on the other side.
 */
import { EventEmitter, once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Server } from "socket.io"
import { io, type Socket } from "socket.io-client"
import * as official from "socket.io-msgpack-parser"

import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { isProtocolError } from "../../src/protocol/ProtocolError.ts"
import { defaultLimits } from "../../src/protocol/ProtocolLimits.ts"
import type { SocketPacket } from "../../src/protocol/SocketPacket.ts"

/** Ours in the form that the official packages take. */
class Encoder {
  encode({ data, id, nsp, type }: { type: SocketPacket["type"]; nsp: string; id?: number; data?: unknown }) {
    const encoded = msgpack.encode({ type, namespace: nsp, id, data }, true)
    if (isProtocolError(encoded)) throw encoded
    return encoded.attachments
  }
}

class Decoder extends EventEmitter {
  private readonly decoder = msgpack.makeDecoder(defaultLimits)

  add(message: string | ArrayBuffer | Uint8Array) {
    const packet =
      typeof message === "string"
        ? this.decoder.text(message, 0)
        : this.decoder.binary(message instanceof ArrayBuffer ? new Uint8Array(message) : message)
    if (packet === undefined || isProtocolError(packet)) throw packet
    const { data, id, namespace: nsp, type } = packet
    this.emit("decoded", { type, nsp, id, data })
  }

  destroy() {}
}

const ours = { Encoder, Decoder }

for (const [what, serverParser, clientParser] of [
  ["a server with our parser and a client with the official one", ours, official],
  ["a server with the official parser and a client with ours", official, ours]
] as const) {
  describe(what, () => {
    let server: Server
    let url: string

    beforeAll(async () => {
      const http = createServer()
      server = new Server(http, { parser: serverParser, connectionStateRecovery: {}, serveClient: false })
      server.on("connection", (socket) => {
        socket.emit("auth", socket.handshake.auth)
        socket.on("echo", (...args) => args.pop()(...args))
        socket.on("ask", (...args) =>
          socket.emit("question", ...args, (...acks: Array<unknown>) => socket.emit("answered", ...acks))
        )
        socket.on("bye", () => socket.disconnect())
        socket.on("disconnect", (reason) => server.of("/log").emit("gone", socket.id, reason))
      })
      server.of("/log")
      server.of("/private").use((_, next) => next(Object.assign(new Error("no"), { data: { code: 1 } })))
      http.listen(0, "127.0.0.1")
      await once(http, "listening")
      url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
    })

    afterAll(() => server.close())

    const using = async (
      namespace: string,
      options: Partial<Parameters<typeof io>[1]> & object,
      use: (socket: Socket) => Promise<void>
    ) => {
      const socket = io(url + namespace, { parser: clientParser, forceNew: true, reconnection: false, ...options })
      try {
        await use(socket)
      } finally {
        socket.disconnect()
      }
    }
    const event = (socket: Socket, name: string) =>
      new Promise<Array<any>>((resolve) => socket.once(name, (...args) => resolve(args)))

    for (const transport of ["websocket", "polling"]) {
      it(`exchange every kind of value over ${transport}, in events and acknowledgements`, () =>
        using("/", { transports: [transport] }, async (socket) => {
          const bytes = Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 255])
          const args = [1, -1.5, 2 ** 40, "ü€😀", null, undefined, true, [new Date(1)], { a: { b: undefined } }]
          const [answer, sent] = await new Promise<Array<any>>((resolve) =>
            socket.emit("echo", args, bytes, (...answers: Array<unknown>) => resolve(answers))
          )
          assert.deepStrictEqual(answer, args)
          assert.deepStrictEqual(new Uint8Array(sent), bytes)

          const question = new Promise((resolve) =>
            socket.once("question", (value, again, done) => {
              resolve(value)
              done(again, value)
            })
          )
          const answered = event(socket, "answered")
          socket.emit("ask", bytes.subarray(0, 8), { x: 1 })
          assert.deepStrictEqual(new Uint8Array((await question) as ArrayBuffer), bytes)
          const [first, second] = await answered
          assert.deepStrictEqual(first, { x: 1 })
          assert.deepStrictEqual(new Uint8Array(second), bytes)
        }))
    }

    it("connect with auth and without", async () => {
      await using("/", { auth: { token: "a" } }, async (socket) => {
        assert.deepStrictEqual((await event(socket, "auth"))[0], { token: "a" })
      })
      await using("/", {}, async (socket) => {
        assert.deepStrictEqual((await event(socket, "auth"))[0], {})
      })
    })

    it("refuse with a message and data", () =>
      using("/private", {}, async (socket) => {
        const [error] = await event(socket, "connect_error")
        assert.strictEqual(error.message, "no")
        assert.deepStrictEqual(error.data, { code: 1 })
      }))

    it("take up a connection again, with the id and the offset of before", () =>
      using("/", { reconnection: true, reconnectionDelay: 1 }, async (socket) => {
        await event(socket, "auth")
        const { id } = socket
        const again = event(socket, "connect")
        socket.io.engine.close()
        await again
        assert.isTrue(socket.recovered)
        assert.strictEqual(socket.id, id)
      }))

    it("disconnect from either side", () =>
      using("/log", {}, async (log) => {
        await event(log, "connect")
        // Those of the tests before may still be going.
        const reasonOf = (id: string | undefined) =>
          new Promise<string>((resolve) => log.on("gone", (other, reason) => other === id && resolve(reason)))
        await using("/", {}, async (socket) => {
          await event(socket, "connect")
          const reason = reasonOf(socket.id)
          const disconnected = event(socket, "disconnect")
          socket.emit("bye")
          assert.strictEqual((await disconnected)[0], "io server disconnect")
          assert.strictEqual(await reason, "server namespace disconnect")
        })
        await using("/", {}, async (socket) => {
          await event(socket, "connect")
          const reason = reasonOf(socket.id)
          socket.disconnect()
          assert.strictEqual(await reason, "client namespace disconnect")
        })
      }))
  })
}
