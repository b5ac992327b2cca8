/**
 * The content and the addresses of a client's requests.
 */
import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { afterEach, vi } from "vitest"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import { openPacket } from "../support/engineClient.ts"
import { makeFakePlatform } from "../support/fakeClientPlatform.ts"
import { clientOf, eventually, serveOfficial, ways } from "../support/official.ts"
import { listen } from "../support/serve.ts"

/** The requests of an official server, upgrades included. */
const watching = Effect.fnUntraced(function* (options: Parameters<typeof serveOfficial>[1] = {}) {
  const { http, io, url } = yield* serveOfficial(() => {}, options)
  const seen: Array<{
    readonly path: string
    readonly query: URLSearchParams
    readonly headers: Http.IncomingHttpHeaders
  }> = []
  const note = (request: Http.IncomingMessage) => {
    const { pathname, searchParams } = new URL(request.url!, "http://localhost")
    seen.push({ path: pathname, query: searchParams, headers: request.headers })
  }
  http.prependListener("request", note)
  http.prependListener("upgrade", note)
  return { io, seen, url }
})

describe("requests behind a cache that keeps what it must not", () => {
  afterEach(() => vi.resetModules())

  it.live("are those of one client: pages that are loaded anew have sessions of their own", () =>
    Effect.gen(function* () {
      const { url } = yield* serveOfficial(() => {})
      const kept = new Map<string, string>()
      let hits = 0
      const cache = yield* listen(
        Http.createServer((incoming, response) => {
          const key = incoming.url!
          const found = incoming.method === "GET" ? kept.get(key) : undefined
          if (found !== undefined) {
            hits++
            response.end(found)
            return
          }
          const { headers, method } = incoming
          const onward = Http.request(url + key, { method: method!, headers }, (answer) => {
            let body = ""
            answer.on("data", (chunk) => (body += chunk))
            answer.on("end", () => {
              if (method === "GET" && answer.statusCode === 200) kept.set(key, body)
              response.writeHead(answer.statusCode!).end(body)
            })
          })
          onward.on("error", () => response.destroy())
          incoming.pipe(onward)
        })
      )
      const ids: Array<string | undefined> = []
      for (let page = 0; page < 2; page++) {
        // A page that is loaded counts from the beginning.
        vi.resetModules()
        const client: typeof SocketIoClient = yield* Effect.promise(() => import("../../src/client/SocketIoClient.ts"))
        const made = yield* client.make({ url: cache, transports: ["polling"], reconnection: false })
        const socket = yield* Effect.provideService(client.connect("/"), client.SocketIoClient, made)
        ids.push(socket.id)
      }
      assert.strictEqual(new Set(ids).size, 2)
      assert.strictEqual(hits, 0)
    })
  )
})

describe("the path", () => {
  for (const transport of ways) {
    it.live(`has no slash at its end over ${transport} where it is not wanted`, () =>
      Effect.gen(function* () {
        const { seen, url } = yield* watching({ addTrailingSlash: false })
        for (const path of ["/socket.io", "socket.io/"]) {
          const use = yield* clientOf({ url, path, addTrailingSlash: false, transports: [transport] })
          yield* Effect.scoped(use(SocketIoClient.connect("/")))
        }
        assert.deepStrictEqual([...new Set(seen.map(({ path }) => path))], ["/socket.io"])
      })
    )
  }
})

describe("headers and parameters that are effects", () => {
  for (const transport of ways) {
    it.live(`are made anew for every connection over ${transport}`, () =>
      Effect.gen(function* () {
        const { io, seen, url } = yield* watching()
        let times = 0
        const use = yield* clientOf({
          url,
          transports: [transport],
          reconnection: Schedule.spaced("20 millis"),
          headers: Effect.sync(() => ({ authorization: `token ${++times}` })),
          query: Effect.delay(
            Effect.sync(() => ({ times: String(times) })),
            "1 millis"
          )
        }).pipe(Effect.provide(NodeClientPlatform.layer))
        const socket = yield* use(SocketIoClient.connect("/"))
        const { id } = socket
        for (const { conn } of io.of("/").sockets.values()) conn.close()
        yield* eventually(() => socket.connected && socket.id !== id)
        const opened = seen.filter(({ query }) => !query.has("sid"))
        assert.deepStrictEqual(
          opened.map(({ headers, query }) => [headers.authorization, query.get("times")]),
          [
            ["token 1", "0"],
            ["token 2", "1"]
          ]
        )
      })
    )
  }

  it.live("that die are attempts that have failed, with the cause", () =>
    Effect.gen(function* () {
      const { url } = yield* watching()
      const defect = new Error("no token")
      const failing = yield* clientOf({ url, reconnection: false, headers: Effect.die(defect) })
      const error = yield* Effect.flip(failing(SocketIoClient.connect("/")))
      assert.match(error.message, /no token/)
      assert.strictEqual(error.cause, defect)
      let times = 0
      const use = yield* clientOf({
        url,
        reconnection: Schedule.spaced("5 millis"),
        query: Effect.sync(() => {
          if (++times < 3) throw defect
          return {}
        })
      })
      assert.isTrue((yield* use(SocketIoClient.connect("/"))).connected)
      assert.strictEqual(times, 3)
    })
  )

  it.live("that are not done when the last socket leaves are interrupted", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* watching()
      let interrupted = 0
      const use = yield* clientOf({
        url,
        headers: Effect.onInterrupt(Effect.never as Effect.Effect<{}>, () => Effect.sync(() => interrupted++))
      })
      const socket = yield* use(SocketIoClient.socket("/"))
      yield* socket.disconnect()
      yield* eventually(() => interrupted === 1)
      assert.lengthOf(seen, 0)
    })
  )
})

describe("a platform with a part of URL and URLSearchParams, as React Native", () => {
  const missing = (name: string) => () => {
    throw new Error(`${name} is not implemented`)
  }
  class Params {
    readonly append = missing("append")
    readonly delete = missing("delete")
    readonly get = missing("get")
    readonly set = missing("set")
  }
  class Address {
    get origin(): string {
      return missing("origin")()
    }
    get searchParams(): URLSearchParams {
      return missing("searchParams")()
    }
  }

  it.effect("connects all the same", () =>
    Effect.gen(function* () {
      const before = { URL: globalThis.URL, URLSearchParams: globalThis.URLSearchParams }
      Object.assign(globalThis, { URL: Address, URLSearchParams: Params })
      yield* Effect.addFinalizer(() => Effect.sync(() => Object.assign(globalThis, before)))
      const platform = makeFakePlatform()
      const query = { "a b": "ü&=\ud800", sid: "mine", transport: "mine" }
      const use = yield* clientOf({ url: "http://test", query }).pipe(Effect.provideService(ClientPlatform, platform))
      const socket = yield* use(SocketIoClient.socket("/"))
      platform.polls[0]!.respond(openPacket({ upgrades: ["websocket"] }))
      yield* Effect.yieldNow
      const own = "a%20b=%C3%BC%26%3D%EF%BF%BD"
      assert.match(platform.polls[0]!.request.url, /^http:\/\/test\/socket\.io\/\?[^?]*&EIO=4&t=[\w-]+$/)
      assert.include(platform.polls[0]!.request.url, own)
      assert.notInclude(platform.polls[0]!.request.url, "sid=")
      assert.include(platform.sockets[0]!.request.url, "transport=websocket")
      assert.include(platform.sockets[0]!.request.url, "sid=s")
      yield* socket.disconnect()
    })
  )

  it.effect("takes origins, and nothing else", () =>
    Effect.gen(function* () {
      for (const url of ["http://a", "https://a.b:1/", "WS://A:80", "wss://[::1]:3000", "http://bücher.example"]) {
        assert.strictEqual((yield* Effect.exit(SocketIoClient.make({ url })))._tag, "Success", url)
      }
      for (const url of [
        "",
        "a",
        "http://",
        "http:///a",
        "http://a/b",
        "http://a?b",
        "http://a#b",
        "http://u:p@a",
        "ftp://a"
      ]) {
        const error = yield* Effect.flip(SocketIoClient.make({ url }))
        assert.strictEqual(error.option, "url", url)
      }
    })
  )
})
