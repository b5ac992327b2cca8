/**
 * Requests with an `Upgrade` header that ask for no WebSocket: Java's HttpClient and `curl --http2` offer HTTP/2 with every first request.
 */
import { execFile } from "node:child_process"
import * as Http from "node:http"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Scope } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import express from "express"

import * as NodeSocketIoHttp from "../../src/node/NodeSocketIoHttp.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { wire } from "../hostile/victim.ts"
import { upgrade } from "../support/RawUpgrade.ts"
import { within } from "../support/RawClient.ts"
import { grace, listen } from "../support/serve.ts"

const lines = (target: string, body = "", ...headers: ReadonlyArray<string>): string =>
  [
    `${body === "" ? "GET" : "POST"} ${target} HTTP/1.1`,
    "Host: a",
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA",
    ...(body === "" ? [] : [`Content-Length: ${body.length}`]),
    ...headers,
    "",
    body
  ].join("\r\n")

const POLLING = "/socket.io/?EIO=4&transport=polling"

const attach = (http: Http.Server) =>
  Layer.build(
    NodeSocketIoServer.layerAttached(http, { drainTimeout: 0 }).pipe(grace(0), Layer.provide(Logger.layer([])))
  )

/** A server on which somebody else answers what is not ours. */
const beside = Effect.fnUntraced(function* (theirs?: Http.RequestListener) {
  const http = Http.createServer(theirs)
  yield* attach(http)
  return { http, url: yield* listen(http) }
})

const echo: Http.RequestListener = (request, response) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => response.end(`theirs ${request.method} ${request.url} <${Buffer.concat(chunks).toString()}>`))
}

const curl = (...args: ReadonlyArray<string>): Promise<string | undefined> =>
  new Promise((resolve) => {
    execFile("curl", ["-sS", "--max-time", "10", ...args], (error, stdout) =>
      resolve(error === null ? stdout : undefined)
    )
  })

const hasCurl = (await curl("--version"))?.includes("HTTP2") === true

describe("a request that would like to change over to HTTP/2", () => {
  it.live("opens a session, polls and posts, on one connection", () =>
    Effect.gen(function* () {
      const { url } = yield* beside()
      const connection = yield* wire(url)
      connection.write(lines(POLLING))
      const opened = yield* Effect.promise(() => connection.until(/0\{"sid":"[\w-]+".*\}/))
      assert.match(opened, /^HTTP\/1.1 200 OK/)
      const target = `${POLLING}&sid=${/"sid":"([\w-]+)"/.exec(opened)![1]!}`
      connection.write(lines(target, "40"))
      yield* Effect.promise(() => connection.until(/\r\nok/))
      connection.write(lines(target))
      yield* Effect.promise(() => connection.until(/44\{"message":"Invalid namespace"\}/))
    })
  )

  it.live("has its body read when that comes later", () =>
    Effect.gen(function* () {
      const { url } = yield* beside(echo)
      const connection = yield* wire(url)
      const request = lines("/theirs", "x".repeat(100_000) + "!")
      connection.write(request.slice(0, 60_000))
      // A second connection proves that the server has read the first part.
      yield* Effect.promise(() => within("answer", fetch(`${url}/other`)))
      connection.write(request.slice(60_000))
      yield* Effect.promise(() => connection.until(/<x{100000}!>/))
    })
  )

  it.live("has its answer behind those of the requests before it", () =>
    Effect.gen(function* () {
      const { url } = yield* beside(echo)
      const connection = yield* wire(url)
      const plain = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`
      connection.write(plain("/1") + plain("/2") + lines(POLLING))
      const text = yield* Effect.promise(() => connection.until(/0\{"sid"/))
      assert.match(text, /theirs GET \/1 <>[^]*theirs GET \/2 <>[^]*0\{"sid"/)
    })
  )

  it.live("reaches Express", () =>
    Effect.gen(function* () {
      const app = express()
      app.use(express.text({ type: () => true }))
      app.post("/theirs", (request, response) => void response.send(`express ${String(request.body)}`))
      const { url } = yield* beside(app)
      const connection = yield* wire(url)
      connection.write(lines("/theirs", "hello"))
      yield* Effect.promise(() => connection.until(/express hello/))
    })
  )

  it.live("reaches an HttpRouter on the same port, its body, too", () =>
    Effect.gen(function* () {
      const echoing = HttpRouter.add(
        "POST",
        "/theirs",
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          return HttpServerResponse.text(`router ${yield* Effect.orDie(request.text)}`)
        })
      )
      const context = yield* Layer.build(
        HttpRouter.serve(echoing, { disableLogger: true, disableListenLog: true }).pipe(
          Layer.provideMerge(NodeSocketIoHttp.layer({ port: 0, host: "127.0.0.1", drainTimeout: 0 })),
          Layer.provide(Logger.layer([]))
        )
      )
      const { address } = yield* Effect.provideContext(HttpServer.HttpServer, context)
      const connection = yield* wire(`http://127.0.0.1:${(address as { readonly port: number }).port}`)
      connection.write(lines("/theirs", "hello"))
      yield* Effect.promise(() => connection.until(/router hello/))
    })
  )

  it.live("is refused where only a WebSocket is of use", () =>
    Effect.gen(function* () {
      const { url } = yield* beside()
      const response = yield* Effect.promise(() => upgrade(url, {}, { upgrade: "h2c" }))
      assert.deepStrictEqual([response.status, response.body], [400, '{"code":3,"message":"Bad request"}'])
    })
  )

  it.live("comes as an upgrade to others who listen for upgrades, as without us", () =>
    Effect.gen(function* () {
      const { http, url } = yield* beside(echo)
      http.on("upgrade", (request, socket) => socket.end(`upgrade ${request.headers.upgrade}`))
      const connection = yield* wire(url)
      connection.write(lines("/theirs"))
      yield* Effect.promise(() => connection.until(/^upgrade h2c$/))
      // But not for our path.
      const ours = yield* wire(url)
      ours.write(lines(POLLING))
      yield* Effect.promise(() => ours.until(/0\{"sid"/))
    })
  )

  it.live("leaves the server as it was when the scope closes", () =>
    Effect.gen(function* () {
      const http = Http.createServer(echo) as Http.Server & { shouldUpgradeCallback?: unknown }
      const url = yield* listen(http)
      const before = http.shouldUpgradeCallback
      const scope = yield* Scope.make()
      yield* Scope.provide(attach(http), scope)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(http.shouldUpgradeCallback, before)
      const connection = yield* wire(url)
      connection.write(lines("/theirs"))
      yield* Effect.promise(() => connection.until(/theirs GET \/theirs/))
    })
  )

  it.live.runIf(hasCurl)("of curl is answered, with and without a body", () =>
    Effect.gen(function* () {
      const { url } = yield* beside(echo)
      assert.match((yield* Effect.promise(() => curl("--http2", url + POLLING)))!, /^0\{"sid"/)
      const posted = yield* Effect.promise(() => curl("--http2", "--data", "hello", `${url}/theirs`))
      assert.strictEqual(posted, "theirs POST /theirs <hello>")
    })
  )
})
