import { afterEach, assert, describe, it } from "@effect/vitest"
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client"
import msgpackParser from "socket.io-msgpack-parser"

import { within } from "../support/RawClient.ts"
import { type RunningServer, sharedServer, startServer } from "../support/servers.ts"

const sockets: Array<Socket> = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.disconnect()
})

type Options = Partial<ManagerOptions & SocketOptions>

const open = (url: string, options: Options): Socket => {
  const socket = io(url, { forceNew: true, ...options })
  sockets.push(socket)
  return socket
}

/** The arguments of the next event of a name. */
const next = (socket: Socket, event: string): Promise<ReadonlyArray<any>> =>
  within(`event ${event}`, new Promise((resolve) => socket.once(event, (...args: Array<any>) => resolve(args))))

const connected = async (socket: Socket): Promise<Socket> => {
  await within(
    "connection",
    new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve)
      socket.once("connect_error", reject)
    })
  )
  return socket
}

const upgraded = (socket: Socket): Promise<void> =>
  within("upgrade", new Promise((resolve) => socket.io.engine.once("upgrade", () => resolve())))

const call = (socket: Socket, event: string, ...args: ReadonlyArray<unknown>): Promise<any> =>
  socket.timeout(10_000).emitWithAck(event, ...args)

const everyTransport: ReadonlyArray<readonly [name: string, transports: Array<"polling" | "websocket">]> = [
  ["polling", ["polling"]],
  ["WebSocket", ["websocket"]],
  ["polling, then WebSocket", ["polling", "websocket"]]
]

const parsers = { json: {}, msgpack: { parser: msgpackParser } } as const

const servers = {
  json: sharedServer(),
  msgpack: sharedServer({ parser: "msgpack" })
}
const shortHeartbeat = {
  json: sharedServer({ pingInterval: 100, pingTimeout: 1_000 }),
  msgpack: sharedServer({ pingInterval: 100, pingTimeout: 1_000, parser: "msgpack" })
}

const tables = everyTransport.flatMap(([name, transports]) =>
  (["json", "msgpack"] as const).map((parser) => ({
    name: `${name} with ${parser}`,
    parser,
    transports,
    base: { transports, ...parsers[parser] }
  }))
)

for (const { base, name, parser, transports } of tables) {
  const server = servers[parser]
  const url = async (namespace = "/") => (await server()).url + namespace
  const start = async (namespace = "/", options: Options = {}) => {
    const socket = open(await url(namespace), { ...base, ...options })
    return connected(socket)
  }
  const buffer = (value: unknown) => Buffer.from(value as Uint8Array)

  describe(`the official client over ${name}`, () => {
    it("connects, and knows the transport that the server uses", async () => {
      const socket = open(await url(), base)
      const whenUpgraded =
        transports.length > 1
          ? within("engine", new Promise<void>((resolve) => socket.io.once("open", resolve))).then(() =>
              upgraded(socket)
            )
          : undefined
      await connected(socket)
      assert.match(socket.id!, /^[\w-]{20}$/)
      await whenUpgraded
      assert.strictEqual(await call(socket, "transport"), transports.at(-1))
      assert.strictEqual(await call(socket, "whoami"), socket.id)
    })

    it("sends an auth object", async () => {
      const socket = open(await url(), { ...base, auth: { token: "abc", list: [1] } })
      assert.deepStrictEqual(await next(socket, "auth"), [{ token: "abc", list: [1] }])
    })

    it("sends what its auth function gives", async () => {
      const socket = open(await url(), { ...base, auth: (give) => give({ from: "function" }) })
      assert.deepStrictEqual(await next(socket, "auth"), [{ from: "function" }])
    })

    it("is refused with message and data, and gets in with the token on the same connection", async () => {
      const socket = open(await url("/auth"), base)
      const [error] = await next(socket, "connect_error")
      assert.strictEqual(error.message, "not authorized")
      assert.deepStrictEqual(error.data, { code: 401, need: "token" })
      assert.isFalse(socket.active)
      socket.auth = { token: "secret" }
      socket.connect()
      await connected(socket)
    })

    it("is refused by a namespace that there is not", async () => {
      const socket = open(await url("/nowhere"), base)
      const [error] = await next(socket, "connect_error")
      assert.strictEqual(error.message, "Invalid namespace")
    })

    it("uses several namespaces on one connection", async () => {
      const main = await start()
      const custom = main.io.socket("/custom")
      sockets.push(custom)
      await connected(custom)
      assert.notStrictEqual(custom.id, main.id)
      assert.strictEqual(await call(custom, "message-with-ack", "custom"), "custom")
      custom.disconnect()
      assert.strictEqual(await call(main, "message-with-ack", "main"), "main")
    })

    it("exchanges events and acknowledgements both ways", async () => {
      const socket = await start()
      socket.emit("message", 1, "2", { 3: [true, null] })
      assert.deepStrictEqual(await next(socket, "message-back"), [1, "2", { 3: [true, null] }])
      const acked = within(
        "acknowledgement",
        new Promise<Array<unknown>>((resolve) =>
          socket.emit("message-with-ack", 1, "two", (...args: Array<unknown>) => resolve(args))
        )
      )
      assert.deepStrictEqual(await acked, [1, "two"])
      socket.on("question", (a, b, answer) => answer(b, a))
      socket.emit("ask", "a", "b")
      assert.deepStrictEqual(await next(socket, "answered"), ["b", "a"])
    })

    it("exchanges binary of every kind, both ways and in acknowledgements", async () => {
      const socket = await start()
      const values = [Buffer.from([1, 2]), Uint8Array.from([3]), Uint8Array.from([4, 5]).buffer, Buffer.alloc(0)]
      socket.emit("message", ...values, { nested: [Buffer.from("x")], text: "y" })
      const back = await next(socket, "message-back")
      assert.deepStrictEqual(
        back.slice(0, 4).map(buffer),
        values.map((value) => Buffer.from(value as Uint8Array))
      )
      assert.deepStrictEqual(buffer(back[4].nested[0]), Buffer.from("x"))
      assert.strictEqual(back[4].text, "y")
      assert.deepStrictEqual(buffer(await call(socket, "message-with-ack", Buffer.from([6]))), Buffer.from([6]))
      socket.on("question", (value, answer) => answer({ value, more: Buffer.from([8]) }))
      socket.emit("ask", Buffer.from([7]))
      const [answer] = await next(socket, "answered")
      assert.deepStrictEqual([buffer(answer.value), buffer(answer.more)], [Buffer.from([7]), Buffer.from([8])])
    })

    it("exchanges large messages, text and binary", async () => {
      const socket = await start()
      const text = "\u20ac".repeat(200_000)
      assert.strictEqual(await call(socket, "message-with-ack", text), text)
      const bytes = Buffer.alloc(500_000, "abc")
      assert.isTrue(buffer(await call(socket, "message-with-ack", bytes)).equals(bytes))
    })

    it("gets events in their order, also across an upgrade", async () => {
      const socket = open(await url(), base)
      const items: Array<number> = []
      const all = within(
        "all items",
        new Promise<void>((resolve) =>
          socket.on("burst-item", (item) => {
            items.push(item)
            if (items.length === 10_000) resolve()
          })
        )
      )
      await connected(socket)
      for (let i = 0; i < 10; i++) socket.emit("burst", 1_000)
      await all
      assert.deepStrictEqual(
        items,
        Array.from({ length: 10_000 }, (_, i) => i % 1_000)
      )
    })

    it("sends events in their order, also across an upgrade", async () => {
      const socket = open(await url(), base)
      const answers: Array<Promise<number>> = []
      await connected(socket)
      const items: Array<number> = []
      socket.on("message-back", (item) => items.push(item))
      for (let i = 0; i < 2_000; i++) socket.emit("message", i)
      answers.push(call(socket, "message-with-ack", 1))
      await Promise.all(answers)
      assert.deepStrictEqual(
        items,
        Array.from({ length: 2_000 }, (_, i) => i)
      )
    })

    it("meets others in rooms", async () => {
      const [a, b, c] = [await start("/custom"), await start("/custom"), await start("/custom")] as const
      const seen: Array<string> = []
      for (const [who, socket] of Object.entries({ a, b, c })) {
        socket.on("room-message", (what) => seen.push(`${who} ${what}`))
        socket.on("broadcasted", (what) => seen.push(`${who} ${what}`))
      }
      const settle = async () => {
        // Events that were sent to a client before the answer have arrived with it.
        for (const socket of [a, b, c]) await call(socket, "whoami")
        return seen.splice(0).toSorted()
      }
      const [one, two] = [`one ${a.id}`, `two ${a.id}`]
      await call(a, "join", one)
      await call(b, "join", one)
      await call(b, "join", two)
      await call(c, "join", two)
      await call(a, "to-room", one, "to")
      assert.deepStrictEqual(await settle(), ["b to"])
      await call(a, "in-room", one, "in")
      assert.deepStrictEqual(await settle(), ["a in", "b in"])
      await call(a, "in-room", [one, two], "both")
      assert.deepStrictEqual(await settle(), ["a both", "b both", "c both"])
      await call(a, "to-room-except", [one, two], two, "except")
      assert.deepStrictEqual(await settle(), ["a except"])
      await call(a, "broadcast", "others")
      assert.deepStrictEqual(await settle(), ["b others", "c others"])
      await call(a, "everyone", "all")
      assert.deepStrictEqual(await settle(), ["a all", "b all", "c all"])
      await call(b, "leave", one)
      await call(a, "in-room", one, "left")
      assert.deepStrictEqual(await settle(), ["a left"])
    })

    it("learns that the server has disconnected it, from its namespace or altogether", async () => {
      for (const close of [false, true]) {
        const socket = await start()
        const reason = next(socket, "disconnect")
        socket.emit("bye", close)
        assert.strictEqual((await reason)[0], "io server disconnect")
        assert.isFalse(socket.active)
      }
    })

    it("goes, and the server knows why", async () => {
      const watcher = await start()
      const leaver = await start()
      const closer = await start()
      const ids = [leaver.id!, closer.id!]
      leaver.disconnect()
      closer.io.reconnection(false)
      closer.io.engine.close()
      const reasons = async (): Promise<ReadonlyArray<unknown>> => {
        const log = (await call(watcher, "log")) as ReadonlyArray<{ sid: string; reason: string }>
        const found = ids.map((id) => log.find(({ sid }) => sid === id)?.reason)
        return found.includes(undefined) ? reasons() : found
      }
      assert.deepStrictEqual(await within("log entries", reasons()), ["client namespace disconnect", "transport close"])
    })

    it("is not bothered by a handler that fails", async () => {
      const socket = await start()
      socket.emit("boom")
      assert.strictEqual(await call(socket, "message-with-ack", "fine"), "fine")
    })

    it("stays connected over many heartbeats", async () => {
      const socket = await connected(open((await shortHeartbeat[parser]()).url, base))
      let pings = 0
      await within("heartbeats", new Promise<void>((resolve) => socket.io.on("ping", () => ++pings === 8 && resolve())))
      assert.isTrue(socket.connected)
      assert.strictEqual(await call(socket, "whoami"), socket.id)
    })

    it("comes in numbers", async () => {
      const many = await Promise.all(Array.from({ length: 50 }, () => start()))
      assert.strictEqual(new Set(many.map(({ id }) => id)).size, 50)
      assert.deepStrictEqual(
        await Promise.all(many.map((socket, i) => call(socket, "message-with-ack", i))),
        many.map((_, i) => i)
      )
    })

    it("reconnects after the server was restarted", async () => {
      let running: RunningServer = await startServer({ parser })
      const socket = open(running.url, { ...base, reconnectionDelay: 50, reconnectionDelayMax: 100 })
      try {
        await connected(socket)
        const before = socket.id
        const gone = next(socket, "disconnect")
        await running.stop()
        assert.include(["transport close", "transport error"], (await gone)[0])
        const back = within("reconnection", new Promise<void>((resolve) => socket.once("connect", resolve)))
        running = await startServer({ port: running.port, parser })
        await back
        assert.notStrictEqual(socket.id, before)
        assert.strictEqual(await call(socket, "message-with-ack", "again"), "again")
      } finally {
        socket.disconnect()
        await running.stop()
      }
    })
  })
}
