/**
 * A server that is attacked, and a well-behaved client beside the attacker that must not notice.
 */
import * as Net from "node:net"
import { Effect, type Scope, Stream } from "effect"

import type { DisconnectReason } from "../../src/DisconnectReason.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { RawSocket, within } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"

/** Serves a namespace that notes which of its handlers were called, with a client that talks to it. */
export const victim = Effect.fnUntraced(function* (options: NodeOptions = {}) {
  const handled: Array<string> = []
  const { logs, server, url } = yield* serve(
    SocketIoServer.layerNamespace(
      "/",
      Effect.fnUntraced(function* (socket) {
        yield* socket.onAny((event) => Effect.sync(() => handled.push(event)))
        yield* socket.on("echo", (...args) => Effect.succeed(args[0]))
        yield* socket.on("bye", () => socket.disconnect({ close: true }))
      })
    ),
    { drainTimeout: "100 millis", ...options }
  )
  const bystander = yield* connect(url, { transports: ["websocket"] })
  const { id } = bystander
  const namespace = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
  const ends: Array<DisconnectReason> = []
  yield* namespace.disconnections().pipe(
    Stream.runForEach(({ reason }) => Effect.sync(() => ends.push(reason))),
    Effect.forkScoped({ startImmediately: true })
  )
  let asked = 0
  return {
    url,
    handled,
    /** Why sockets have gone. */
    ends,
    /** The bystander has noticed nothing, and nothing was logged that is a bug of the server. */
    unharmed: Effect.gen(function* () {
      const n = asked++
      const answer: unknown = yield* call(bystander, "echo", n)
      if (answer !== n || bystander.id !== id) throw new Error(`the bystander got ${String(answer)} as ${bystander.id}`)
      const bugs = logs.filter((line) => /^(Error|Fatal)/.test(line))
      if (bugs.length > 0) throw new Error(bugs.join("\n"))
    })
  }
})

/** A WebSocket that is in the namespace. */
export const enter = (url: string): Effect.Effect<RawSocket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = new RawSocket(url, { EIO: "4", transport: "websocket" })
      await socket.next()
      socket.send("40")
      await socket.next()
      return socket
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )

/** A TCP connection: what it sends is bytes, and what it gets is text. */
export interface Wire {
  readonly write: (bytes: string | Uint8Array) => void
  /** The text that has come, once it is, or contains, something. */
  readonly until: (what: RegExp | ((received: string) => boolean)) => Promise<string>
  /** The text that has come when the other side has ended the connection. */
  readonly ended: Promise<string>
  readonly reset: () => void
}

export const wire = (url: string): Effect.Effect<Wire, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { hostname, port } = new URL(url)
      const socket = Net.connect({ host: hostname, port: Number(port) })
      await within("TCP connection", new Promise((resolve) => socket.once("connect", resolve)))
      let text = ""
      const closed = new Promise<string>((resolve) => socket.once("close", () => resolve(text)))
      let check = () => {}
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1")
        check()
      })
      // Connections that are reset are what this is about.
      socket.on("error", () => {})
      const self: Wire & { readonly socket: Net.Socket } = {
        socket,
        write: (bytes) => void socket.write(bytes),
        until: (what) =>
          within(
            String(what),
            new Promise<string>((resolve) => {
              check = () => {
                if (typeof what === "function" ? what(text) : what.test(text)) resolve(text)
              }
              check()
            })
          ),
        ended: within("end of a TCP connection", closed),
        reset: () => void socket.resetAndDestroy()
      }
      self.ended.catch(() => {})
      return self
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

/** The lines of a request for a WebSocket. */
export const upgradeRequest = (target: string, ...headers: ReadonlyArray<string>): string =>
  [
    `GET ${target} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ...headers,
    "",
    ""
  ].join("\r\n")

export const WEBSOCKET_TARGET = "/socket.io/?EIO=4&transport=websocket"

/** A WebSocket over a connection whose bytes are the test's: its session is open. */
export const openWebSocket = Effect.fnUntraced(function* (url: string) {
  const connection = yield* wire(url)
  connection.write(upgradeRequest(WEBSOCKET_TARGET))
  yield* Effect.promise(() => connection.until(/0\{"sid"/))
  return connection
})

/** A frame of a client, with a mask of zeros. */
export const frame = (opcode: number, payload: Uint8Array, final = true): Buffer => {
  const { length } = payload
  const header =
    length < 126
      ? [0x80 | length]
      : length < 65_536
        ? [0x80 | 126, length >> 8, length & 255]
        : [0x80 | 127, 0, 0, 0, 0, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255]
  return Buffer.concat([Buffer.from([(final ? 0x80 : 0) | opcode, ...header, 0, 0, 0, 0]), payload])
}
