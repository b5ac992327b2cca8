/**
 * Health checks over a real port, and the reasons why a server is not ready.
 */
import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Logger, Scope, Stream, SubscriptionRef } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { io } from "socket.io-client"

import { ClusterStatus, type Status } from "../../src/adapter/ClusterStatus.ts"
import * as NodeSocketIoHttp from "../../src/node/NodeSocketIoHttp.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as Health from "../../src/server/Health.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { eventually } from "../support/official.ts"
import { request } from "../support/RawClient.ts"
import { connect, listen, open, refusal, serve } from "../support/serve.ts"

const Root = SocketIoServer.layerNamespace("/", () => Effect.void)

const ask = (url: string, path = "/readyz", method = "GET") =>
  Effect.promise(() =>
    request(`${url}${path}`, { method }).then(({ body, headers, status }) => [status, body, headers["cache-control"]])
  )

describe("health checks", () => {
  it.live("tell that the process is alive and ready, to GET and HEAD alone, and never from a cache", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(Layer.mergeAll(Root, Layer.orDie(Health.layerHealth())))
      for (const [path, word] of [
        ["/livez", "alive"],
        ["/readyz", "ready"]
      ] as const) {
        assert.deepStrictEqual(yield* ask(url, path), [200, word, "no-store"])
        assert.deepStrictEqual(yield* ask(url, `${path}?verbose`), [200, word, "no-store"])
        assert.deepStrictEqual(yield* ask(url, path, "HEAD"), [200, "", "no-store"])
        assert.strictEqual((yield* ask(url, path, "POST"))[0], 405)
        for (const other of [`${path}/more`, `${path}oo`, `${path}/`]) {
          assert.strictEqual((yield* ask(url, other))[0], 404, other)
        }
      }
    })
  )

  it.live("have the paths that the options say, and refuse those that are none", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(
        Layer.mergeAll(Root, Layer.orDie(Health.layerHealth({ livePath: "/alive", readyPath: "/a/b" })))
      )
      assert.strictEqual((yield* ask(url, "/alive"))[1], "alive")
      assert.strictEqual((yield* ask(url, "/a/b"))[1], "ready")
      assert.strictEqual((yield* ask(url, "/livez"))[0], 404)
      for (const readyPath of ["readyz", "", "/ready?", "/re ady", "/socket.io/readyz", "/socket.io"]) {
        const error = yield* Effect.flip(open(server, Health.layerHealth({ readyPath })))
        assert.strictEqual(error.option, "readyPath", readyPath)
      }
      const unknown = yield* Effect.flip(open(server, Health.layerHealth({ path: "/x" } as object)))
      assert.strictEqual(unknown.option, "path")
    })
  )

  it.live("come before everything else on the port, and leave other paths to it", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(
        Layer.mergeAll(
          Root,
          Health.layerHealth({ livePath: "/health/live" }),
          HttpRouter.serve(
            Layer.merge(
              HttpRouter.add("GET", "/health/*", HttpServerResponse.text("a route")),
              HttpRouter.add("GET", "/readyz", HttpServerResponse.text("another readiness"))
            ),
            { disableLogger: true, disableListenLog: true }
          )
        ).pipe(
          Layer.provideMerge(NodeSocketIoHttp.layer({ port: 0, host: "127.0.0.1" })),
          Layer.provide(Logger.layer([]))
        )
      )
      const { address } = yield* Effect.provideContext(HttpServer.HttpServer, context)
      const url = `http://127.0.0.1:${(address as { readonly port: number }).port}`
      assert.strictEqual((yield* ask(url, "/health/live"))[1], "alive")
      assert.strictEqual((yield* ask(url, "/health/other"))[1], "a route")
      assert.strictEqual((yield* ask(url, "/readyz"))[1], "ready")
      assert.strictEqual((yield* ask(url, "/livez"))[0], 404)
    })
  )

  it.live("are answered while the server shuts down, though their layer has closed by then", () =>
    Effect.gen(function* () {
      const http = Http.createServer((_request, response) => response.writeHead(404).end())
      const url = yield* listen(http)
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Layer.mergeAll(Root, Health.layerHealth()).pipe(
          Layer.provide(NodeSocketIoServer.layerAttached(http, { onShutdown: { notice: "300 millis", over: 0 } })),
          Layer.provide(Logger.layer([]))
        ),
        scope
      )
      assert.deepStrictEqual(yield* ask(url), [200, "ready", "no-store"])
      const socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false })
      yield* eventually(() => socket.connected)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      assert.deepStrictEqual(yield* ask(url), [503, "draining", "no-store"])
      assert.deepStrictEqual(yield* ask(url, "/livez"), [200, "alive", "no-store"])
      yield* eventually(() => closing.pollUnsafe() !== undefined)
      assert.strictEqual((yield* ask(url))[0], 404)
    })
  )
})

describe("a server that is not ready", () => {
  it.live("is full while there are as many connections as there may be", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(Layer.mergeAll(Root, Layer.orDie(Health.layerHealth())), {
        limits: { maxConnections: 2 }
      })
      const seen: Array<string> = []
      yield* SocketIoServer.readinessChanges.pipe(
        Stream.runForEach((readiness) => Effect.sync(() => seen.push(readiness))),
        Effect.provideContext(server),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* connect(url, { transports: ["websocket"] })
      assert.deepStrictEqual(yield* ask(url), [200, "ready", "no-store"])
      const second = yield* connect(url, { transports: ["websocket"] })
      assert.deepStrictEqual(yield* ask(url), [503, "full", "no-store"])
      yield* refusal(url, { transports: ["websocket"] })
      assert.strictEqual(yield* Effect.provideContext(SocketIoServer.readiness, server), "full")
      second.disconnect()
      yield* eventually(() => seen.length === 3)
      assert.deepStrictEqual(seen, ["ready", "full", "ready"])
      assert.deepStrictEqual(yield* ask(url), [200, "ready", "no-store"])
    })
  )

  it.live("tells the weightiest of several reasons, until the last one has passed", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(Layer.mergeAll(Root, Layer.orDie(Health.layerHealth())))
      const hold = Effect.fnUntraced(function* (reason: "held" | "disconnected" | "full") {
        const scope = yield* Scope.make()
        yield* Scope.provide(Effect.provideContext(SocketIoServer.notReady(reason), server), scope)
        return Scope.close(scope, Exit.void)
      })
      const full = yield* hold("full")
      const held = yield* hold("held")
      const twice = yield* hold("held")
      const disconnected = yield* hold("disconnected")
      assert.strictEqual((yield* ask(url))[1], "disconnected")
      yield* disconnected
      assert.strictEqual((yield* ask(url))[1], "held")
      yield* held
      assert.strictEqual((yield* ask(url))[1], "held")
      yield* twice
      assert.strictEqual((yield* ask(url))[1], "full")
      yield* full
      assert.deepStrictEqual(yield* ask(url), [200, "ready", "no-store"])
    })
  )

  it.effect("is disconnected while its cluster is away, where the application chooses that", () =>
    Effect.gen(function* () {
      const status = (connected: boolean): Status => ({ connected, outages: 0, lost: 0, dropped: 0, refused: 0 })
      const ref = yield* SubscriptionRef.make(status(false))
      const Cluster = Layer.succeed(ClusterStatus, {
        current: SubscriptionRef.get(ref),
        changes: SubscriptionRef.changes(ref)
      })
      const context = yield* Layer.build(
        Layer.mergeAll(Root, Health.layerClusterReadiness).pipe(
          Layer.provide(Cluster),
          Layer.provideMerge(SocketIoServer.layer())
        )
      )
      const server = Context.get(context, SocketIoServer.SocketIoServer)
      const after = (connected: boolean) =>
        Effect.gen(function* () {
          yield* SubscriptionRef.set(ref, status(connected))
          yield* Effect.repeat(Effect.yieldNow, { times: 20 })
          return yield* server.readiness
        })
      assert.strictEqual(yield* after(false), "disconnected")
      assert.strictEqual(yield* after(true), "ready")
      assert.strictEqual(yield* after(false), "disconnected")
      assert.strictEqual(yield* after(true), "ready")
    })
  )
})
