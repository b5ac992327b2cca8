import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { Agent, type IncomingMessage, type ServerResponse } from "node:http"

import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { ManagerOptions, Socket, SocketOptions } from "socket.io-client"

import { type NginxConfig, proxy } from "../support/nginx.ts"
import { requires } from "../support/peers.ts"
import { within } from "../support/RawClient.ts"
import { call, client, connect, next, refusal } from "../support/serve.ts"
import { isReference, type RunningServer, sharedServer, startOnFixedPort, startServer } from "../support/servers.ts"
import { type RunningWorker, startWorker } from "../support/workers.ts"

// Nobody waits for clients whose nginx has ended before they could say that they go.
const server = sharedServer({ drainTimeout: 0 })
// Several heartbeats fit into a test.
const shortHeartbeat = sharedServer({ pingInterval: 200, pingTimeout: 10_000, drainTimeout: 0 })

const suite = (name: string, tests: () => void) => describe(name, requires("nginx"), tests)

type Options = Partial<ManagerOptions & SocketOptions>
type Transports = Array<"polling" | "websocket">

const tables: ReadonlyArray<readonly [name: string, transports: Transports]> = [
  ["polling", ["polling"]],
  ["WebSocket", ["websocket"]],
  ["polling, then WebSocket", ["polling", "websocket"]]
]

/** Of a client that connects from this address, which is one of this machine's as all with 127 are. */
const from = (address: string): Options => ({
  // Its type is that of browsers, where there are no agents.
  agent: new Agent({ localAddress: address }) as unknown as boolean
})

/** The settings that pass an upgrade on. */
const upgrades = `
  proxy_http_version 1.1;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection "upgrade";
`

/** One server behind nginx; gives the address of nginx. */
const behind = (target: () => Promise<RunningServer>, directives: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.flatMap(Effect.promise(target), ({ url }) =>
    proxy({ server: `location / { proxy_pass ${url}; ${directives} }` })
  )

/** A client that is connected and, if it starts with polling, has tried a WebSocket; gives how that has ended, too. */
const settled = Effect.fnUntraced(function* (url: string, options: Options = {}) {
  let probe: Promise<string> = Promise.resolve("none")
  const socket = yield* connect(url, options, (socket) => {
    if (options.transports?.length === 1) return
    probe = within(
      "end of the probe",
      new Promise((resolve) =>
        socket.io.once("open", () => {
          socket.io.engine.once("upgrade", () => resolve("upgrade"))
          socket.io.engine.once("upgradeError", () => resolve("upgrade error"))
        })
      )
    )
  })
  return { socket, probe: yield* Effect.promise(() => probe) }
})

const transportsOf = Effect.fnUntraced(function* (socket: Socket) {
  return [socket.io.engine.transport.name, yield* call(socket, "transport")]
})

const buffer = (value: unknown) => Buffer.from(value as Uint8Array)

/** Events and acknowledgements of either side, with text and with bytes. */
const exchange = Effect.fnUntraced(function* (socket: Socket) {
  const back = next(socket, "message-back")
  socket.emit("message", 1, "zwei", { text: "\u20ac", bytes: Buffer.from([0, 255]) })
  const [one, two, three] = yield* back
  assert.deepStrictEqual([one, two, three.text, buffer(three.bytes)], [1, "zwei", "\u20ac", Buffer.from([0, 255])])

  assert.deepStrictEqual(yield* call(socket, "message-with-ack", { a: ["\u20ac"] }), { a: ["\u20ac"] })
  assert.deepStrictEqual(buffer(yield* call(socket, "message-with-ack", Buffer.from([1]))), Buffer.from([1]))

  socket.once("question", (text, bytes, answer) => answer({ text, bytes, more: Buffer.from([3]) }))
  const answered = next(socket, "answered")
  socket.emit("ask", "why?", Buffer.from([2]))
  const [answer] = yield* answered
  assert.deepStrictEqual(
    [answer.text, buffer(answer.bytes), buffer(answer.more)],
    ["why?", Buffer.from([2]), Buffer.from([3])]
  )
})

suite("behind nginx that passes upgrades on", () => {
  it.live("a client upgrades to WebSocket, and exchanges events, acknowledgements and bytes", () =>
    Effect.gen(function* () {
      const { probe, socket } = yield* settled(yield* behind(server, upgrades))
      assert.strictEqual(probe, "upgrade")
      assert.deepStrictEqual(yield* transportsOf(socket), ["websocket", "websocket"])
      yield* exchange(socket)
    })
  )

  it.live("a client starts with WebSocket", () =>
    Effect.gen(function* () {
      const socket = yield* connect(yield* behind(server, upgrades), { transports: ["websocket"] })
      assert.deepStrictEqual(yield* transportsOf(socket), ["websocket", "websocket"])
      yield* exchange(socket)
    })
  )
})

suite("behind nginx that does not pass upgrades on", () => {
  const plain = behind(server, "")

  it.live("a client stays on polling, and exchanges events, acknowledgements and bytes", () =>
    Effect.gen(function* () {
      const { probe, socket } = yield* settled(yield* plain)
      assert.strictEqual(probe, "upgrade error")
      assert.deepStrictEqual(yield* transportsOf(socket), ["polling", "polling"])
      yield* exchange(socket)
    })
  )

  it.live("a client gets what the server sends of its own accord, in order", () =>
    Effect.gen(function* () {
      const url = yield* plain
      const { socket } = yield* settled(url)
      const other = yield* connect((yield* Effect.promise(server)).url)
      const broadcast = next(socket, "broadcasted")
      yield* call(other, "broadcast", "to you")
      assert.deepStrictEqual(yield* broadcast, ["to you"])

      const items: Array<number> = []
      socket.on("burst-item", (item) => items.push(item))
      socket.emit("burst", 500)
      yield* call(socket, "whoami")
      assert.deepStrictEqual(
        items,
        Array.from({ length: 500 }, (_, i) => i)
      )
    })
  )

  it.live("a client stays connected over many heartbeats", () =>
    Effect.gen(function* () {
      const { socket } = yield* settled(yield* behind(shortHeartbeat, ""))
      let pings = 0
      yield* Effect.promise(() =>
        within("heartbeats", new Promise<void>((resolve) => socket.io.on("ping", () => ++pings === 6 && resolve())))
      )
      assert.isTrue(socket.connected)
      assert.deepStrictEqual(yield* transportsOf(socket), ["polling", "polling"])
    })
  )

  for (const close of [false, true]) {
    it.live(`a client learns that the server has ended its ${close ? "connection" : "socket"}`, () =>
      Effect.gen(function* () {
        const { socket } = yield* settled(yield* plain)
        const reason = next(socket, "disconnect")
        socket.emit("bye", close)
        assert.strictEqual((yield* reason)[0], "io server disconnect")
      })
    )
  }

  it.live("a client that insists on WebSocket gets an error", () =>
    Effect.gen(function* () {
      const error = yield* refusal(yield* plain, { transports: ["websocket"] })
      assert.strictEqual(error.message, "websocket error")
    })
  )
})

suite("two servers behind nginx", () => {
  let workers: ReadonlyArray<RunningWorker> = []
  beforeAll(async () => {
    workers = await Promise.all([startWorker(), startWorker()])
  })
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()))
  })

  const pids = () => workers.map(({ pid }) => pid)

  /** Both servers behind one address, selected as the directive says. */
  const upstream = (select: string): NginxConfig => ({
    http: `
      map $http_upgrade $connection_upgrade { default upgrade; "" close; }
      upstream servers { ${select} ${workers.map(({ url }) => `server ${new URL(url).host};`).join(" ")} }
    `,
    server: `location / {
      proxy_pass http://servers;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }`
  })

  /** Connects, works over many requests, and gives the server that has answered all of them. */
  const serverOf = Effect.fnUntraced(function* (url: string, options: Options) {
    const { probe, socket } = yield* settled(url, options)
    assert.notStrictEqual(probe, "upgrade error")
    const pid = yield* call(socket, "process")
    yield* exchange(socket)
    for (let i = 0; i < 5; i++) assert.strictEqual(yield* call(socket, "process"), pid)
    return pid as number
  })

  for (const [name, transports] of tables.filter(([, transports]) => transports[0] === "polling")) {
    it.live(`a client (${name}) stays on the server that its key selects, and comes back to it`, () =>
      Effect.gen(function* () {
        const url = yield* proxy(upstream("hash $arg_client consistent;"))
        const reached = new Map<number, Options>()
        // Which key selects which server depends on their ports.
        for (let i = 0; reached.size < 2 && i < 100; i++) {
          const options = { transports, query: { client: `client ${i}` } }
          reached.set(yield* serverOf(url, options), options)
        }
        assert.sameMembers(Array.from(reached.keys()), pids())
        for (const [pid, options] of reached) assert.strictEqual(yield* serverOf(url, options), pid)
      })
    )

    it.live(`a client (${name}) stays on the server that its address selects, and comes back to it`, () =>
      Effect.gen(function* () {
        const url = yield* proxy(upstream("ip_hash;"))
        // The first three bytes count.
        const first = yield* serverOf(url, { transports, ...from("127.0.1.1") })
        const second = yield* serverOf(url, { transports, ...from("127.0.2.1") })
        assert.sameMembers([first, second], pids())
        assert.strictEqual(yield* serverOf(url, { transports, ...from("127.0.1.2") }), first)
        assert.strictEqual(yield* serverOf(url, { transports, ...from("127.0.2.2") }), second)
      })
    )

    it.live(`a client (${name}) does not connect if they take turns`, () =>
      Effect.gen(function* () {
        const url = yield* proxy(upstream(""))
        const socket = yield* client(url, { transports })
        const refused = within(
          "refusal",
          new Promise<readonly [status: number, response: string]>((resolve, reject) => {
            socket.once("connect", () => reject(new Error("connected")))
            // The response has to be taken now: the client clears it.
            socket.once("connect_error", (error) => {
              const { context, description } = error as unknown as {
                readonly description: number
                readonly context: { readonly responseText: string }
              }
              resolve([description, context.responseText])
            })
          })
        )
        socket.connect()
        // The request behind the handshake has gone to the other server.
        const [status, response] = yield* Effect.promise(() => refused)
        assert.strictEqual(status, 400)
        assert.deepStrictEqual(JSON.parse(response), { code: 1, message: "Session ID unknown" })
      })
    )
  }

  it.live("clients that start with WebSocket, which is one request, do if they take turns", () =>
    Effect.gen(function* () {
      const url = yield* proxy(upstream(""))
      const options: Options = { transports: ["websocket"] }
      assert.sameMembers([yield* serverOf(url, options), yield* serverOf(url, options)], pids())
    })
  )
})

suite("the handshake behind nginx", () => {
  for (const [name, transports] of tables) {
    it.live(`has the client's address in a header, and that of nginx as its own (${name})`, () =>
      Effect.gen(function* () {
        const url = yield* behind(
          server,
          `${upgrades}
          proxy_bind 127.0.0.5;
          proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
          proxy_set_header X-Forwarded-Proto $scheme;`
        )
        const socket = yield* connect(url, {
          transports,
          ...from("127.0.0.9"),
          extraHeaders: { "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "invented" }
        })
        const { address, headers } = yield* call(socket, "handshake")
        assert.strictEqual(headers["x-forwarded-for"], "203.0.113.7, 127.0.0.9")
        assert.strictEqual(headers["x-forwarded-proto"], "http")
        assert.strictEqual(address, "127.0.0.5")
      })
    )
  }
})

suite("the end of a server behind nginx", () => {
  for (const [name, transports] of tables) {
    it.live(`ends the clients' connections, and they come back when it is there again (${name})`, () =>
      Effect.gen(function* () {
        let running = yield* Effect.promise(() => startOnFixedPort())
        yield* Effect.addFinalizer(() => Effect.promise(() => running.stop()))
        const { socket } = yield* settled(yield* behind(async () => running, upgrades), {
          transports,
          reconnection: true,
          reconnectionDelay: 20,
          reconnectionDelayMax: 50
        })
        assert.strictEqual(socket.io.engine.transport.name, transports.at(-1))
        const before = socket.id
        const gone = next(socket, "disconnect")
        yield* Effect.promise(() => running.stop())
        const [reason] = yield* gone
        // The official application cuts connections before it closes.
        assert.include(isReference ? ["transport close", "transport error"] : ["transport close"], reason)

        yield* Effect.promise(() =>
          within("attempt in vain", new Promise<void>((resolve) => socket.io.once("reconnect_error", () => resolve())))
        )
        const back = next(socket, "connect")
        running = yield* Effect.promise(() => startServer({ port: running.port, drainTimeout: 0 }))
        yield* back
        assert.notStrictEqual(socket.id, before)
        yield* exchange(socket)
      })
    )
  }
})

suite("a long poll through nginx with its defaults", () => {
  const polling: Options = { transports: ["polling"] }

  /** The responses to polls that a server has got since. */
  const pollsOf = Effect.fnUntraced(function* (port: number) {
    const responses: Array<ServerResponse> = []
    const onRequest = (message: unknown) => {
      const { request, response } = message as { request: IncomingMessage; response: ServerResponse }
      const poll = request.method === "GET" && request.url?.includes("sid=") === true
      if (poll && request.socket.localPort === port) responses.push(response)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => subscribe("http.server.request.start", onRequest)),
      () => Effect.sync(() => unsubscribe("http.server.request.start", onRequest))
    )
    return responses
  })

  it.live("brings an event as soon as it is emitted", () =>
    Effect.gen(function* () {
      const { port, url } = yield* Effect.promise(server)
      const polls = yield* pollsOf(port)
      const proxied = yield* proxy({ server: `location / { proxy_pass ${url}; }` })
      let ready: Effect.Effect<unknown> = Effect.void
      const socket = yield* connect(proxied, polling, (socket) => {
        ready = next(socket, "auth")
      })
      const other = yield* connect(url, { transports: ["websocket"] })
      yield* ready
      for (let round = 0; round < 10; round++) {
        const held = yield* Effect.promise(() =>
          within(
            "poll that is held",
            (async () => {
              for (;;) {
                const held = polls.findIndex((response) => !response.writableEnded)
                if (held !== -1) return held
                await new Promise((resolve) => setImmediate(resolve))
              }
            })()
          )
        )
        assert.strictEqual(held, polls.length - 1)
        const event = next(socket, "broadcasted")
        other.emit("broadcast", round, () => {})
        assert.deepStrictEqual(yield* event, [round])
        // It has come with the poll that was there, and needed no other one.
        assert.isTrue(polls[held]!.writableEnded)
        assert.isAtMost(polls.length, held + 2)
      }
    })
  )

  for (const [what, large] of [
    ["500 KB of text", "\u20ac".repeat(170_000)],
    ["200 KB of bytes", Buffer.alloc(200_000, "abc")]
  ] as const) {
    it.live(`carries ${what} in both directions`, () =>
      Effect.gen(function* () {
        const socket = yield* connect(yield* behind(server, ""), polling)
        const back = yield* call(socket, "message-with-ack", large)
        assert.isTrue(typeof large === "string" ? back === large : buffer(back).equals(large))
      })
    )
  }
})
