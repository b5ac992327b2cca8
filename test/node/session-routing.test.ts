/**
 * Servers without sticky sessions: what reaches the wrong server is passed on to the owner of the session.
 */
import { Agent, get as httpGet } from "node:http"
import { connect as connectSocket, createServer, type AddressInfo, type Socket } from "node:net"
import { createRequire } from "node:module"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Scope } from "effect"
import type { Socket as ClientSocket } from "socket.io-client"

import { makeMemory } from "../../src/engine/NodeDirectory.ts"
import { postAsJsonp, runJsonp } from "../support/codecsV3.ts"
import { balance } from "../support/balancer.ts"
import { eventually } from "../support/official.ts"
import { engineUrl, RawSocket, request, within } from "../support/RawClient.ts"
import { upgrade } from "../support/RawUpgrade.ts"
import { directoryOf, dripped, foreign, passes, routedNode, type RoutedNode, threeNodes } from "../support/routed.ts"
import { call, connect } from "../support/serve.ts"

const ioV2: (url: string, options: object) => any = createRequire(import.meta.url)("socket.io-client-v2")

const unknown = { code: 1, message: "Session ID unknown" }

const ways = [
  ["polling", ["polling"]],
  ["polling, then WebSocket", ["polling", "websocket"]],
  ["WebSocket", ["websocket"]]
] as const

/** Everything that the servers have passed on. */
const sumOf = (nodes: ReadonlyArray<RoutedNode>) =>
  Effect.map(Effect.all(nodes.map(({ passed }) => passed)), (all) => {
    const sum: Record<string, number> = {}
    for (const one of all) for (const name in one) sum[name] = (sum[name] ?? 0) + one[name]!
    return sum
  })

const upgraded = (socket: ClientSocket) =>
  Effect.promise(() =>
    socket.io.engine.transport.name === "websocket"
      ? Promise.resolve()
      : within("upgrade", new Promise<void>((resolve) => socket.io.engine.once("upgrade", () => resolve())))
  )

/** A WebSocket at one server, to which a session of another one has changed. */
const foreignWebSocket = Effect.fnUntraced(function* (nodes: ReadonlyArray<RoutedNode>) {
  const { sid, url } = yield* foreign(nodes)
  yield* Effect.promise(() => request(url, { method: "POST", body: "40" }))
  yield* Effect.promise(() => request(url))
  const socket = new RawSocket(nodes[1]!.url, { EIO: "4", transport: "websocket", sid })
  yield* Effect.promise(() => socket.opened)
  socket.send("2probe")
  yield* Effect.promise(() => socket.next())
  socket.send("5")
  return socket
})

const countOf = ({ server }: RoutedNode): number => Effect.runSync(server.connectionCount)

describe("an official client", () => {
  for (const [name, transports] of ways) {
    it.live(`of version 4 works through a balancer that takes turns (${name})`, () =>
      Effect.gen(function* () {
        const { nodes } = yield* threeNodes()
        const { url } = yield* balance(nodes.map(({ url }) => url))
        for (let client = 0; client < 3; client++) {
          const socket = yield* connect(url, { transports: [...transports] })
          if (transports.at(-1) === "websocket") yield* upgraded(socket)
          for (const value of [1, "\u20ac", { deep: [Buffer.from([0, 255])] }, "x".repeat(300_000)]) {
            assert.deepStrictEqual(yield* call(socket, "echo", value), [value])
          }
          assert.strictEqual(socket.io.engine.transport.name, transports.at(-1))
        }
        const passed = yield* sumOf(nodes)
        if (name === "WebSocket") assert.deepStrictEqual(passed, {})
        else assert.isAbove(passed["requests_forwarded{request}"]!, 3)
        if (name === "polling, then WebSocket") assert.isAbove(passed["requests_forwarded{upgrade}"]!, 0)
        assert.notProperty(passed, "requests_forward_failed{unknown}")
      })
    )

    it.live(`of version 2 works through a balancer that takes turns (${name})`, () =>
      Effect.gen(function* () {
        const { nodes } = yield* threeNodes()
        const { url } = yield* balance(nodes.map(({ url }) => url))
        for (let client = 0; client < 3; client++) {
          const socket = yield* Effect.acquireRelease(
            Effect.sync(() => ioV2(url, { forceNew: true, reconnection: false, transports })),
            (socket) => Effect.sync(() => socket.disconnect())
          )
          yield* Effect.promise(() => within("connection", new Promise((resolve) => socket.once("connect", resolve))))
          if (transports.length === 2) {
            yield* Effect.promise(() =>
              within("upgrade", new Promise((resolve) => socket.io.engine.once("upgrade", resolve)))
            )
          }
          for (const value of [1, "\u20ac", "x".repeat(100_000), Buffer.from([0, 255])]) {
            const [back] = yield* Effect.promise(() =>
              within("answer", new Promise<[unknown]>((resolve) => socket.emit("echo", value, resolve)))
            )
            assert.deepStrictEqual(back, value)
          }
        }
      })
    )

    it.live(`is never passed on by servers that it stays with (${name})`, () =>
      Effect.gen(function* () {
        const { lookups, nodes } = yield* threeNodes()
        for (const { url } of nodes) {
          const socket = yield* connect(url, { transports: [...transports] })
          if (transports.at(-1) === "websocket") yield* upgraded(socket)
          for (let i = 0; i < 5; i++) assert.deepStrictEqual(yield* call(socket, "echo", i), [i])
        }
        assert.deepStrictEqual(yield* sumOf(nodes), {})
        assert.strictEqual(lookups(), 0)
      })
    )
  }
})

describe("a page of old", () => {
  for (const EIO of ["3", "4"]) {
    it.live(`polls with scripts at one server, and posts forms at another (Engine.IO ${EIO})`, () =>
      Effect.gen(function* () {
        const { nodes } = yield* threeNodes()
        const { sid } = yield* foreign(nodes, EIO)
        const at = (node: number) => engineUrl(nodes[node]!.url, { EIO, transport: "polling", sid, j: "7" })
        const post = (body: string, node: number) =>
          Effect.promise(() =>
            request(at(node), {
              method: "POST",
              body: postAsJsonp(EIO === "3" ? `${body.length}:${body}` : body),
              headers: { "content-type": "application/x-www-form-urlencoded" }
            })
          )
        const poll = (node: number) =>
          Effect.map(
            Effect.promise(() => request(at(node))),
            ({ body }) => String(runJsonp(7, body))
          )
        if (EIO === "4") assert.strictEqual((yield* post("40", 1)).status, 200)
        yield* poll(2)
        assert.strictEqual((yield* post('421["echo","\u20ac"]', 2)).body, "ok")
        assert.include(yield* poll(1), '431[["\u20ac"]]')
      })
    )
  }
})

describe("a request that is passed on", () => {
  it.live("has the client's own address, as the first server knows it", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { nodes } = yield* threeNodes({
        trustedProxies: ["127.0.0.1"],
        responseHeaders: (request) => {
          seen.push(`${request.address} ${request.header("x-mine")}`)
          return { "x-owner": "yes" }
        }
      })
      const { url } = yield* foreign(nodes)
      seen.length = 0
      const headers = { "x-forwarded-for": "192.0.2.1", "x-mine": "kept" }
      const { headers: answer } = yield* Effect.promise(() => request(url, { method: "POST", body: "40", headers }))
      assert.strictEqual(answer["x-owner"], "yes")
      // The first server has no reason to make headers.
      assert.deepStrictEqual(seen, ["192.0.2.1 kept"])
    })
  )

  it.live("cannot be made up from outside: what a client writes is a header and nothing else", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { nodes } = yield* threeNodes({
        responseHeaders: ({ address }) => {
          seen.push(address)
          return {}
        }
      })
      const { url } = yield* foreign(nodes)
      seen.length = 0
      const headers = { "x-forwarded-for": "192.0.2.1", forwarded: "for=192.0.2.1", "x-real-ip": "192.0.2.1" }
      yield* Effect.promise(() => request(url, { method: "POST", body: "40", headers }))
      assert.deepStrictEqual(seen, ["127.0.0.1"])
      // An address of a handshake is always its first server's matter.
      const socket = yield* connect(nodes[0]!.url, { extraHeaders: headers })
      const [[address, secure]] = [yield* call(socket, "where")]
      assert.deepStrictEqual([address.replace("::ffff:", ""), secure], ["127.0.0.1", false])
    })
  )

  it.live("obeys the owner's limit of a body, announced or not", () =>
    Effect.gen(function* () {
      const known = directoryOf()
      const nodes = [
        yield* routedNode(known.directory, { limits: { maxPayload: 10_000 } }),
        yield* routedNode(known.directory)
      ]
      for (const headers of [{}, { "transfer-encoding": "chunked" }] as ReadonlyArray<Record<string, string>>) {
        const { url } = yield* foreign(nodes)
        const { status } = yield* Effect.promise(() =>
          request(url, { method: "POST", body: `4${"x".repeat(200_000)}`, headers })
        )
        assert.strictEqual(status, 413)
      }
    })
  )

  it.live("gets the owner's answers, its CORS headers too", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes({ cors: { origin: "https://example.com", credentials: true } })
      const { url } = yield* foreign(nodes)
      const headers = { origin: "https://example.com" }
      const preflight = yield* Effect.promise(() => request(url, { method: "OPTIONS", headers }))
      assert.strictEqual(preflight.status, 204)
      assert.strictEqual(preflight.headers["access-control-allow-origin"], "https://example.com")
      const posted = yield* Effect.promise(() => request(url, { method: "POST", body: "40", headers }))
      assert.strictEqual(posted.headers["access-control-allow-credentials"], "true")
      const wrong = yield* Effect.promise(() => request(url.replace("polling", "nothing"), { headers }))
      assert.deepStrictEqual([wrong.status, JSON.parse(wrong.body).code], [400, 0])
    })
  )

  it.live("is compressed if its client accepts that", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes()
      const { url } = yield* foreign(nodes)
      const post = (body: string) => Effect.promise(() => request(url, { method: "POST", body }))
      yield* post("40")
      yield* Effect.promise(() => request(url))
      yield* post(`420["echo","${"x".repeat(5_000)}"]`)
      const { bytes, headers } = yield* Effect.promise(() => request(url, { headers: { "accept-encoding": "gzip" } }))
      assert.strictEqual(headers["content-encoding"], "gzip")
      assert.isBelow(bytes.length, 1_000)
    })
  )

  it.live("ends its session if the client aborts a poll, as it does at the owner", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes()
      const { url } = yield* foreign(nodes)
      const abort = new AbortController()
      const poll = request(url, { signal: abort.signal })
      yield* passes(nodes[1]!, 1)
      assert.strictEqual(countOf(nodes[0]!), 1)
      abort.abort()
      yield* Effect.promise(() => poll.catch(() => {}))
      yield* eventually(() => countOf(nodes[0]!) === 0)
    })
  )

  it.live("is answered when the owner has ended the session meanwhile", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes()
      const { url } = yield* foreign(nodes)
      const poll = request(url)
      yield* Effect.promise(() => request(url, { method: "POST", body: "1" }))
      assert.deepStrictEqual((yield* Effect.promise(() => poll)).body, "6")
      const after = yield* Effect.promise(() => request(url))
      assert.deepStrictEqual([after.status, JSON.parse(after.body)], [400, unknown])
      assert.deepStrictEqual(yield* nodes[1]!.passed, { "requests_forwarded{request}": 3 })
    })
  )

  it.live("leaves the client's connection open when the session ends", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes()
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
      for (let i = 0; i < 5; i++) {
        const { url } = yield* foreign(nodes)
        const get = () =>
          within(
            "response",
            new Promise<readonly [body: string, isReused: boolean]>((resolve, reject) => {
              const request = httpGet(url, { agent }, (response) => {
                let body = ""
                response.on("data", (chunk: Buffer) => {
                  body += chunk
                })
                response.on("end", () => resolve([body, request.reusedSocket]))
              })
              request.on("error", reject)
            })
          )
        const poll = get()
        yield* passes(nodes[1]!, 3 * i + 1)
        yield* Effect.promise(() => request(url, { method: "POST", body: "1" }))
        assert.strictEqual((yield* Effect.promise(() => poll))[0], "6")
        const [body, isReused] = yield* Effect.promise(get)
        assert.deepStrictEqual([JSON.parse(body), isReused], [unknown, true])
      }
    })
  )

  it.live("is never passed on again, even if the directory leads astray", () =>
    Effect.gen(function* () {
      const { addresses, lies, nodes } = yield* threeNodes()
      const { sid, url } = yield* foreign(nodes)
      const tags = Array.from(addresses.keys())
      const owner = tags.indexOf(sid.slice(0, 4))
      assert.strictEqual(owner, 0)
      lies.set(tags[0]!, addresses.get(tags[2]!)!)
      const { body, status } = yield* Effect.promise(() => request(url))
      assert.deepStrictEqual([status, JSON.parse(body)], [400, unknown])
      assert.deepStrictEqual(yield* sumOf(nodes), { "requests_forwarded{request}": 1 })
    })
  )
})

/** A server that accepts connections and does nothing else. */
const silent = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly sockets: ReadonlyArray<Socket>; readonly close: () => void }>(
    (resume) => {
      const sockets: Array<Socket> = []
      const server = createServer((socket) => void sockets.push(socket.on("error", () => {})))
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            port: (server.address() as AddressInfo).port,
            sockets,
            close: () => {
              server.close()
              for (const socket of sockets) socket.destroy()
            }
          })
        )
      )
    }
  ),
  ({ close }) => Effect.sync(close)
)

describe("a session without a living owner", () => {
  const refused = Effect.fnUntraced(function* (node: RoutedNode, sid: string, limit: number) {
    const began = performance.now()
    const { body, status } = yield* Effect.promise(() =>
      request(engineUrl(node.url, { EIO: "4", transport: "polling", sid }))
    )
    assert.deepStrictEqual([status, JSON.parse(body)], [400, unknown])
    const answer = yield* Effect.promise(() => upgrade(node.url, { sid }))
    assert.deepStrictEqual([answer.status, answer.body], [400, "Session ID unknown"])
    assert.isBelow(performance.now() - began, limit)
  })

  it.live("is unknown at once, and a tag that has no server is looked up once", () =>
    Effect.gen(function* () {
      const { lookups, nodes } = yield* threeNodes()
      for (let i = 0; i < 5; i++) yield* refused(nodes[0]!, "AAAAbbbbccccddddeeee", 3_000)
      assert.strictEqual(lookups(), 1)
      assert.deepStrictEqual(yield* nodes[0]!.passed, { "requests_forward_failed{unknown}": 10 })
    })
  )

  it.live("is unknown if its id has another form, and nothing is looked up", () =>
    Effect.gen(function* () {
      const { lookups, nodes } = yield* threeNodes()
      for (const sid of ["short", "x".repeat(21), "\u20ac".repeat(20), "AAAA bbbccccddddeeee".replace("A ", "  ")]) {
        yield* refused(nodes[0]!, sid, 3_000)
      }
      assert.isAtMost(lookups(), 1)
    })
  )

  it.live("is unknown when its owner has shut down", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes()
      const { sid, url } = yield* foreign(nodes)
      const poll = request(url)
      yield* passes(nodes[1]!, 1)
      yield* nodes[0]!.close
      // The held poll brings the end.
      assert.strictEqual((yield* Effect.promise(() => poll)).body, "1")
      yield* refused(nodes[1]!, sid, 3_000)
    })
  )

  it.live("is unknown if its owner refuses connections, or does not answer them in time", () =>
    Effect.gen(function* () {
      const { directory, lies } = directoryOf()
      const node = yield* routedNode(directory, {}, { connectTimeout: "200 millis" })
      const hung = yield* silent
      const gone = yield* Effect.scoped(silent)
      lies.set("hung", { host: "127.0.0.1", port: hung.port, secret: "s" })
      lies.set("gone", { host: "127.0.0.1", port: gone.port, secret: "s" })
      lies.set("away", { path: "/nowhere/at.all", secret: "s" })
      for (const tag of ["hung", "gone", "away"]) yield* refused(node, `${tag}bbbbccccddddeeee`, 3_000)
      assert.deepStrictEqual(yield* node.passed, { "requests_forward_failed{unreachable}": 6 })
    })
  )

  it.live("is unknown if the owner knows another secret", () =>
    Effect.gen(function* () {
      const { addresses, lies, nodes } = yield* threeNodes()
      const { sid } = yield* foreign(nodes)
      const tag = sid.slice(0, 4)
      lies.set(tag, { ...addresses.get(tag)!, secret: "guessed" })
      yield* refused(nodes[1]!, sid, 3_000)
      // The session is untouched.
      assert.strictEqual(countOf(nodes[0]!), 1)
      assert.deepStrictEqual(yield* nodes[1]!.passed, { "requests_forward_failed{unreachable}": 2 })
    })
  )

  it.live("ends the wait of requests when an owner shows no sign of life", () =>
    Effect.gen(function* () {
      const { addresses, directory, lies } = directoryOf()
      const owner = yield* routedNode(directory)
      // A link that stands still between the two.
      let isStill = false
      const between = createServer((socket) => {
        const upstream = connectSocket({ port: (addresses.get(tag) as { readonly port: number }).port })
        for (const [from, to] of [
          [socket, upstream],
          [upstream, socket]
        ] as const) {
          from.on("data", (chunk) => void (isStill || to.write(chunk)))
          from.on("error", () => {}).on("close", () => to.destroy())
        }
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void between.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => between.close())
      )
      const tag = Array.from(addresses.keys())[0]!
      lies.set(tag, { ...addresses.get(tag)!, port: (between.address() as AddressInfo).port } as never)
      const node = yield* routedNode(directory, {}, { checkInterval: "50 millis" })
      const { url } = yield* foreign([owner, node])
      assert.strictEqual((yield* Effect.promise(() => request(url, { method: "POST", body: "40" }))).status, 200)
      yield* Effect.promise(() => request(url))
      const poll = request(url)
      yield* passes(node, 3)
      isStill = true
      const { body, status } = yield* Effect.promise(() => poll)
      assert.deepStrictEqual([status, JSON.parse(body)], [400, unknown])
      assert.strictEqual((yield* node.passed)["requests_forward_failed{lost}"], 1)
    })
  )
})

describe("the connection between servers", () => {
  it.live("is refused to strangers", () =>
    Effect.gen(function* () {
      const { addresses } = yield* threeNodes()
      const [address] = Array.from(addresses.values())
      for (const bytes of [
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\n\r\n",
        Buffer.alloc(1_000),
        Buffer.concat([Buffer.from("effect-socket.io/1\n"), Buffer.alloc(17), Buffer.alloc(32), Buffer.alloc(500)])
      ]) {
        const socket = connectSocket(address as { readonly host: string; readonly port: number })
        let received = 0
        socket.on("data", (chunk: Buffer) => {
          received += chunk.length
        })
        socket.on("error", () => {})
        socket.write(bytes)
        yield* Effect.promise(() =>
          within("end of a stranger", new Promise<void>((resolve) => socket.once("close", () => resolve())))
        )
        // At most the answer to the greeting.
        assert.isAtMost(received, 48)
      }
    })
  )

  it.live("is limited in what it carries at once", () =>
    Effect.gen(function* () {
      const { directory } = directoryOf()
      const nodes = [yield* routedNode(directory), yield* routedNode(directory, {}, { maxForwarded: 2 })]
      const sessions = yield* Effect.all([foreign(nodes), foreign(nodes), foreign(nodes)])
      const held = sessions.slice(0, 2).map(({ url }) => request(url))
      yield* passes(nodes[1]!, 2)
      const { status } = yield* Effect.promise(() => request(sessions[2]!.url))
      assert.strictEqual(status, 400)
      assert.strictEqual((yield* nodes[1]!.passed)["requests_forward_failed{full}"], 1)
      yield* nodes[0]!.close
      yield* Effect.promise(() => Promise.all(held))
    })
  )

  it.live("does not fill memory if a client does not read its WebSocket", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes({ limits: { maxOutbox: 1_000_000 } })
      const socket = yield* foreignWebSocket(nodes)
      ;(socket as unknown as { readonly ws: { pause(): void } }).ws.pause()
      const before = dripped()
      socket.send('42["drip",100000]')
      yield* eventually(() => dripped() > before && countOf(nodes[0]!) === 0)
      // The kernel and the two pipes take some of it, and then the owner's limit counts.
      assert.isBelow(dripped() - before, 50_000_000)
      socket.terminate()
    })
  )

  it.live("cuts a client that sends on after its session has ended", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes({ limits: { maxOutbox: 1_000_000 } })
      const socket = yield* foreignWebSocket(nodes)
      const { _socket: connection } = (socket as unknown as { readonly ws: { readonly _socket: Socket } }).ws
      connection.on("error", () => {}).pause()
      socket.send('42["drip",100000]')
      yield* eventually(() => countOf(nodes[0]!) === 0)
      const closed = new Promise<void>((resolve) => connection.once("close", () => resolve()))
      const noise = Buffer.alloc(65_536)
      const write = () => {
        if (connection.writable) connection.write(noise, write)
      }
      write()
      // One that sends nothing has half a minute to read what is there.
      yield* Effect.promise(() => within("end of the connection", closed))
    })
  )

  it.live("counts a response as unread until the client has read it", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes({ limits: { maxOutbox: 30_000_000 } })
      const { url } = yield* foreign(nodes)
      const post = (body: string) => Effect.promise(() => request(url, { method: "POST", body }))
      yield* post("40")
      yield* Effect.promise(() => request(url))
      const { host, pathname, port, search } = new URL(url)
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => connectSocket(Number(port), "127.0.0.1").on("error", () => {})),
        (socket) => Effect.sync(() => socket.destroy())
      )
      socket.pause().write(`GET ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
      yield* passes(nodes[1]!, 3)
      yield* post('42["flood",200,100000]')
      assert.strictEqual(countOf(nodes[0]!), 1)
      // The client has read next to nothing of these 20 MB, so there is room for 10 more.
      const before = dripped()
      yield* post('42["drip",100000]')
      yield* eventually(() => countOf(nodes[0]!) === 0)
      assert.isBelow(dripped() - before, 20_000_000)
    })
  )
})

describe("the ids of sessions", () => {
  const open = (node: RoutedNode) =>
    Effect.map(
      Effect.promise(() => request(engineUrl(node.url, { EIO: "4", transport: "polling" }))),
      ({ body }) => (JSON.parse(body.slice(1)) as { readonly sid: string }).sid
    )

  it.live("name their server, and are as long as others", () =>
    Effect.gen(function* () {
      const { addresses, nodes } = yield* threeNodes()
      for (const [i, node] of nodes.entries()) {
        const [first, second] = [yield* open(node), yield* open(node)]
        assert.match(first, /^[\w-]{20}$/)
        assert.strictEqual(first.slice(0, 4), Array.from(addresses.keys())[i])
        assert.strictEqual(second.slice(0, 4), first.slice(0, 4))
        assert.notStrictEqual(second.slice(4), first.slice(4))
      }
    })
  )

  const failureOf = <E>(effect: Effect.Effect<unknown, E, Scope.Scope>) =>
    Effect.map(Effect.exit(Effect.scoped(effect)), (exit) =>
      Exit.isFailure(exit)
        ? String((exit.cause.reasons[0] as unknown as { readonly error: Error }).error.message)
        : "none"
    )

  it.live("cannot be the application's", () =>
    Effect.gen(function* () {
      const generateId = () => Effect.succeed("mine")
      assert.match(yield* failureOf(routedNode(makeMemory(), { handshake: { generateId } })), /generateId.*routing/)
    })
  )

  it.live("have another tag if the first one is taken", () =>
    Effect.gen(function* () {
      const { directory, addresses } = directoryOf()
      let refusals = 2
      const node = yield* routedNode({
        ...directory,
        register: (tag, address) =>
          refusals-- > 0
            ? Effect.scoped(Effect.andThen(directory.register(tag, address), directory.register(tag, address)))
            : directory.register(tag, address)
      })
      assert.strictEqual(addresses.size, 3)
      assert.strictEqual((yield* open(node)).slice(0, 4), Array.from(addresses.keys())[2])
    })
  )

  it.live("cannot be made if every tag is taken", () =>
    Effect.gen(function* () {
      const { directory } = directoryOf()
      const taken = {
        ...directory,
        register: (tag: string, address: never) =>
          Effect.andThen(directory.register(tag, address), directory.register(tag, address))
      }
      assert.match(yield* failureOf(routedNode(taken as never)), /taken/)
    })
  )
})
