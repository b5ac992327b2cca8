/**
 * Code of an application other than handlers, which throws where it must not: parsers, adapters, sources of random
 * bytes, schedules, hooks, sinks. It ends its own session or refuses its own request, and is logged once; the process and everybody else
 * live.
 */
import * as Http from "node:http"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schedule, type Scope } from "effect"
import { TestClock } from "effect/testing"

import type { Adapter, Factory } from "../../src/adapter/Adapter.ts"
import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as InMemoryAdapter from "../../src/adapter/InMemoryAdapter.ts"
import type { SessionCloseReason } from "../../src/DisconnectReason.ts"
import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import * as EngineServer from "../../src/engine/EngineServer.ts"
import type { Ping } from "../../src/engine/Heartbeat.ts"
import type { SessionHandler } from "../../src/engine/EngineSession.ts"
import { HandshakeError } from "../../src/engine/HandshakeError.ts"
import { RandomBytes } from "../../src/engine/SessionId.ts"
import * as NodeEngine from "../../src/node/NodeEngine.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import { Parser } from "../../src/Parser.ts"
import { json, type PacketParser } from "../../src/protocol/PacketParser.ts"
import * as PacketType from "../../src/protocol/PacketType.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { enter } from "../hostile/victim.ts"
import { makeEngine } from "../support/engine.ts"
import { fakeExchange, FakeChannel, fakeRequest } from "../support/fakes.ts"
import { engineUrl, RawSocket, request } from "../support/RawClient.ts"
import { upgrade } from "../support/RawUpgrade.ts"
import { call, connect, listen, serve } from "../support/serve.ts"

/** Is thrown while it is on. */
class Bomb {
  isLive = false

  readonly explode = (): void => {
    if (this.isLive) throw new Error("boom")
  }
}

const quietly = { drainTimeout: "100 millis" } as const

/** Serves an echo in a world that the test provides, beside a client that must not notice. */
const victim = Effect.fnUntraced(function* (
  bomb: Bomb,
  provide: <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.Effect<A, E, Scope.Scope>,
  options: NodeOptions = {}
) {
  const { logs, url } = yield* provide(
    serve(
      SocketIoServer.layerNamespace(
        "/",
        Effect.fnUntraced(function* (socket) {
          yield* socket.on("echo", (...args) => Effect.succeed(args[0]))
          yield* socket.on("later", (...args) => Effect.as(Effect.yieldNow, args[0]))
          yield* socket.on("join", (room) => socket.join(room as string))
          yield* socket.on("leave", (room) => socket.leave(room as string))
          yield* socket.on("all", () => socket.broadcast.emit("all"))
        })
      ),
      { ...quietly, ...options }
    )
  )
  const bystander = yield* connect(url, { transports: ["websocket"] })
  return {
    url,
    errors: () => logs.filter((line) => /^(Error|Fatal)/.test(line)),
    /** The bystander is connected and has its answers. */
    unharmed: Effect.gen(function* () {
      bomb.isLive = false
      assert.strictEqual(yield* call(bystander, "echo", 1), 1)
      assert.strictEqual(yield* call(yield* connect(url), "echo", 2), 2)
    })
  }
})

const parserOf = (bomb: Bomb, which: "makeDecoder" | "text" | "binary" | "encode"): PacketParser => ({
  encode: (packet, mayHaveBinary) => {
    if (which === "encode" && packet.type !== PacketType.CONNECT) bomb.explode()
    return json.encode(packet, mayHaveBinary)
  },
  makeDecoder: (limits) => {
    if (which === "makeDecoder") bomb.explode()
    const decoder = json.makeDecoder(limits)
    return {
      get pending() {
        return decoder.pending
      },
      text: (message, offset) => {
        if (which === "text") bomb.explode()
        return decoder.text(message, offset)
      },
      binary: (bytes) => {
        if (which === "binary") bomb.explode()
        return decoder.binary(bytes)
      }
    }
  }
})

describe("a parser that throws", () => {
  for (const which of ["text", "binary"] as const) {
    it.live(`when it decodes ends its own session, and is logged once: ${which}`, () =>
      Effect.gen(function* () {
        const bomb = new Bomb()
        const { errors, unharmed, url } = yield* victim(bomb, Effect.provideService(Parser, parserOf(bomb, which)))
        const socket = yield* enter(url)
        bomb.isLive = true
        socket.send('451-["echo",{"_placeholder":true,"num":0}]', Buffer.from("x"))
        yield* Effect.promise(() => socket.closed)
        assert.strictEqual(errors().length, 1)
        assert.match(errors()[0]!, /a session has failed.*boom/s)
        yield* unharmed
      })
    )
  }

  it.live("when it makes a decoder ends its own session, over every transport", () =>
    Effect.gen(function* () {
      const bomb = new Bomb()
      const { errors, unharmed, url } = yield* victim(
        bomb,
        Effect.provideService(Parser, parserOf(bomb, "makeDecoder"))
      )
      bomb.isLive = true
      const socket = new RawSocket(url, { EIO: "4", transport: "websocket" })
      yield* Effect.promise(() => socket.closed)
      const target = engineUrl(url, { EIO: "4", transport: "polling" })
      const { body } = yield* Effect.promise(() => request(target))
      const { sid } = JSON.parse(body.slice(1))
      assert.strictEqual((yield* Effect.promise(() => request(`${target}&sid=${sid}`))).status, 400)
      assert.strictEqual(errors().length, 2)
      yield* unharmed
    })
  )

  it.live("when it says goodbye to a socket whose builder has died late ends that session", () =>
    Effect.gen(function* () {
      const bomb = new Bomb()
      const { logs, url } = yield* Effect.provideService(
        serve(
          Layer.mergeAll(
            SocketIoServer.layerNamespace("/", (socket) => socket.on("echo", (n) => Effect.succeed(n))),
            SocketIoServer.layerNamespace("/dying", () => Effect.andThen(Effect.sleep(1), Effect.die("no")))
          ),
          quietly
        ),
        Parser,
        parserOf(bomb, "encode")
      )
      const bystander = yield* connect(url)
      const socket = yield* enter(url)
      bomb.isLive = true
      socket.send("40/dying,")
      yield* Effect.promise(() => socket.closed)
      bomb.isLive = false
      assert.strictEqual(yield* call(bystander, "echo", 1), 1)
      assert.strictEqual(logs.filter((line) => /^Error a session has failed.*boom/s.test(line)).length, 1)
    })
  )

  it.live("when it encodes an acknowledgement harms that event, also of a handler that took its time", () =>
    Effect.gen(function* () {
      const bomb = new Bomb()
      const { errors, unharmed, url } = yield* victim(bomb, Effect.provideService(Parser, parserOf(bomb, "encode")))
      const socket = yield* enter(url)
      bomb.isLive = true
      socket.send('420["echo",1]', '421["later",1]', '422["all"]', "2", "41")
      yield* Effect.promise(() => socket.closed)
      assert.isAbove(errors().length, 1)
      yield* unharmed
    })
  )
})

/** An adapter one of whose methods fails while the bomb is live. */
const adapterOf =
  (bomb: Bomb, method: keyof Adapter, dies: boolean): Factory =>
  (host) =>
    Effect.map(
      InMemoryAdapter.make(host),
      (adapter) =>
        new Proxy(adapter, {
          get: (target, name) => {
            if (name !== method || !bomb.isLive) return Reflect.get(target, name).bind?.(target)
            return () => (dies ? Effect.die(new Error("boom")) : bomb.explode())
          }
        })
    )

describe("an adapter that fails", () => {
  const methods = { join: "join", leave: "leave", broadcast: "all", leaveAll: undefined } as const
  for (const [method, event] of Object.entries(methods)) {
    for (const dies of [false, true]) {
      it.live(`harms what it was asked for, and is logged once: ${method} ${dies ? "dies" : "throws"}`, () =>
        Effect.gen(function* () {
          const bomb = new Bomb()
          const factory = adapterOf(bomb, method as keyof Adapter, dies)
          const { errors, unharmed, url } = yield* victim(bomb, Effect.provideService(AdapterFactory, factory))
          const socket = yield* enter(url)
          bomb.isLive = true
          if (event === undefined) {
            // The answer to the second CONNECT comes after the end of the first socket.
            socket.send("41", "40")
            yield* Effect.promise(() => socket.next())
          } else {
            socket.send(`420["${event}","room"]`, '421["echo",1]')
            assert.strictEqual(yield* Effect.promise(() => socket.next()), "431[1]")
          }
          assert.strictEqual(errors().length, 1)
          assert.match(errors()[0]!, /boom/)
          bomb.isLive = false
          yield* unharmed
        })
      )
    }
  }

  it.live("when its factory throws for a namespace that opens refuses who asks for it", () =>
    Effect.gen(function* () {
      const bomb = new Bomb()
      const make: Factory = (host) => {
        if (host.namespace !== "/") bomb.explode()
        return InMemoryAdapter.make(host)
      }
      const { errors, unharmed, url } = yield* Effect.gen(function* () {
        const served = yield* serve(
          Layer.mergeAll(
            SocketIoServer.layerNamespace("/", (socket) => socket.on("echo", (n) => Effect.succeed(n))),
            SocketIoServer.layerDynamicNamespace(/^\/room-\d+$/, () => Effect.succeed(() => Effect.void))
          ),
          quietly
        )
        return {
          url: served.url,
          errors: () => served.logs.filter((line) => line.startsWith("Error")),
          unharmed: Effect.flatMap(connect(served.url), (socket) =>
            Effect.map(call(socket, "echo", 3), (answer) => assert.strictEqual(answer, 3))
          )
        }
      }).pipe(Effect.provideService(AdapterFactory, make))
      const socket = yield* enter(url)
      bomb.isLive = true
      socket.send("40/room-1,")
      assert.match(String(yield* Effect.promise(() => socket.next())), /^44\/room-1,.*Internal error/)
      assert.strictEqual(errors().length, 1)
      bomb.isLive = false
      yield* unharmed
    })
  )
})

describe("a source of random bytes that throws", () => {
  it.effect("refuses the request, over every transport", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ cause, logLevel, message }) => void lines.push(`${logLevel} ${message} ${cause}`))
    return Effect.gen(function* () {
      const engine = yield* makeEngine()
      assert.deepInclude(engine.http({}).responses[0], { status: 400, body: '{"code":3,"message":"Bad request"}' })
      assert.throws(() => engine.webSocket(), HandshakeError)
      assert.strictEqual(lines.length, 2)
      assert.match(lines[0]!, /^Error making a session's id failed.*boom/s)
    }).pipe(
      Effect.provideService(RandomBytes, () => {
        throw new Error("boom")
      }),
      Effect.provide(Logger.layer([logger]))
    )
  })

  it.live("ends the session whose socket would get its id from it", () =>
    Effect.gen(function* () {
      const bomb = new Bomb()
      let draws = 0
      const random = (bytes: Uint8Array<ArrayBuffer>) => {
        // The session's ids and the sockets' are drawn for 256 at once, each on their own.
        if (++draws > 2) bomb.explode()
        globalThis.crypto.getRandomValues(bytes)
      }
      const { errors, unharmed, url } = yield* victim(bomb, Effect.provideService(RandomBytes, random))
      const socket = yield* enter(url)
      bomb.isLive = true
      yield* Effect.promise(async () => {
        const ended = socket.closed.then(() => "ended")
        for (let i = 0; i < 300; i++) {
          socket.send("41", "40")
          if ((await Promise.race([socket.next(), ended])) === "ended") return
        }
        throw new Error("there was enough of it")
      })
      assert.strictEqual(errors().length, 1)
      yield* unharmed
    })
  )
})

describe("a hook that gives what cannot be sent", () => {
  for (const [what, id] of [
    ["half a surrogate pair", "a\ud800"],
    ["a line break", "a\r\nset-cookie: b"],
    ["no text", 42],
    ["nothing", undefined]
  ] as const) {
    it.live(`refuses the request: an id that is or has ${what}`, () =>
      Effect.gen(function* () {
        const { url } = yield* serve(Layer.empty, {
          ...quietly,
          cookie: true,
          handshake: { generateId: ({ query }) => Effect.succeed(query.has("good") ? "good" : (id as string)) }
        })
        const query = { EIO: "4", transport: "polling" }
        const { body, status } = yield* Effect.promise(() => request(engineUrl(url, query)))
        assert.deepStrictEqual([status, body], [400, '{"code":3,"message":"Bad request"}'])
        assert.strictEqual((yield* Effect.promise(() => upgrade(url))).status, 400)
        const good = yield* Effect.promise(() => request(engineUrl(url, { ...query, good: "1" })))
        assert.strictEqual(good.status, 200)
      })
    )
  }

  for (const hook of ["responseHeaders", "handshake.headers"] as const) {
    for (const make of [
      () => {
        throw new Error("boom")
      },
      () => ({ "x-a": "\ud800" }),
      () => ({ "x-a": 1 }) as never,
      () => undefined as never
    ]) {
      it.live(`sends none of its headers, and is logged: ${hook} as ${String(make).replaceAll(/\s+/g, " ")}`, () =>
        Effect.gen(function* () {
          const { logs, url } = yield* serve(Layer.empty, {
            ...quietly,
            ...(hook === "responseHeaders" ? { responseHeaders: make } : { handshake: { headers: make } })
          })
          const { headers, status } = yield* Effect.promise(() =>
            request(engineUrl(url, { EIO: "4", transport: "polling" }))
          )
          assert.deepStrictEqual([status, headers["x-a"]], [200, undefined])
          assert.strictEqual(logs.filter((line) => line.startsWith("Error")).length, 1)
        })
      )
    }
  }
})

/** An engine whose sessions' sinks are the test's, with what was logged. */
const engineOf = Effect.fnUntraced(function* (
  onSession: (n: number) => SessionHandler,
  options: EngineOptions = {},
  events?: EngineServer.EngineEvents
) {
  let n = 0
  const server = yield* EngineServer.make({ drainTimeout: 0, ...options }, () => onSession(n++), events)
  const open = () => {
    const channel = new FakeChannel()
    server.handleUpgrade(fakeRequest({ transport: "websocket" }), (decision) => {
      if (!(decision instanceof HandshakeError)) decision.accept(channel)
    })
    return channel
  }
  return { server, open }
})

const logging = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => void lines.push(`${logLevel} ${message} ${cause}`))
  return { lines, layer: Logger.layer([logger]) }
}

describe("a sink that throws", () => {
  for (const method of ["onOpen", "onMessage", "onBinary", "onClose"] as const) {
    it.effect(`ends its own session, is logged once, and hears of the end: ${method}`, () => {
      const { layer, lines } = logging()
      return Effect.gen(function* () {
        const heard: Array<string> = []
        const { open, server } = yield* engineOf((n) => {
          const tell = (event: string) => (value?: unknown) => {
            heard.push(`${n} ${event} ${(value as { reason?: SessionCloseReason })?.reason ?? ""}`.trim())
            if (n === 0 && event === method) throw new Error("boom")
          }
          return {
            onOpen: tell("onOpen"),
            onMessage: tell("onMessage"),
            onBinary: tell("onBinary"),
            onClose: tell("onClose")
          }
        })
        const bad = open()
        const good = open()
        if (method !== "onOpen") {
          if (method === "onBinary") bad.receive(Buffer.from("x"))
          else bad.receive("4x")
        }
        if (method === "onClose") bad.end()
        else assert.strictEqual(bad.state, "closing")
        bad.receive("4y")
        const reason = method === "onClose" ? "transport close" : "internal error"
        assert.strictEqual(
          heard.findLast((line) => line.startsWith("0")),
          `0 onClose ${reason}`
        )
        good.receive("4z")
        assert.strictEqual(heard.at(-1), "1 onMessage")
        assert.strictEqual(server.sessionCount, 1)
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /^Error a session has failed.*boom/s)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("when it is made ends its session, too, and so does one that throws again and again", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      const fail = () => {
        throw new Error("boom")
      }
      const { open, server } = yield* engineOf((n) =>
        n === 0 ? fail() : { onOpen() {}, onMessage: fail, onBinary: fail, onClose: fail }
      )
      assert.strictEqual(open().state, "closing")
      const again = open()
      again.receive("4x")
      again.receive("4y")
      assert.strictEqual(again.state, "closing")
      assert.deepStrictEqual([server.sessionCount, lines.length], [0, 2])
    }).pipe(Effect.provide(layer))
  })

  it.effect("over polling has its client come to know that the session has ended", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      const engine = yield* engineOf(() => ({
        onOpen() {},
        onMessage() {
          throw new Error("boom")
        },
        onBinary() {},
        onClose() {}
      }))
      const http = (query: Record<string, string>, method?: string, body?: string) => {
        const exchange = fakeExchange({ transport: "polling", ...query }, method, body)
        engine.server.handleRequest(exchange)
        return exchange
      }
      const { sid } = JSON.parse(http({}).responses[0]!.body.slice(1))
      const poll = http({ sid })
      assert.strictEqual(http({ sid }, "POST", "4x").responses.length, 1)
      assert.strictEqual(poll.responses[0]!.body, "1")
      assert.strictEqual(http({ sid }).responses[0]!.status, 400)
      assert.strictEqual(lines.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("for refusals does not keep the refusal back", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      const { server } = yield* engineOf(
        () => ({ onOpen() {}, onMessage() {}, onBinary() {}, onClose() {} }),
        {},
        {
          onRefused: () => {
            throw new Error("boom")
          }
        }
      )
      const exchange = fakeExchange({ transport: "pigeon" })
      server.handleRequest(exchange)
      assert.strictEqual(exchange.responses[0]!.status, 400)
      assert.strictEqual(lines.length, 1)
    }).pipe(Effect.provide(layer))
  })
})

describe("a heartbeat whose schedule throws", () => {
  for (const when of ["at the start", "at a step"] as const) {
    it.effect(`${when} ends its own session and is logged once`, () => {
      const { layer, lines } = logging()
      return Effect.gen(function* () {
        let steps = 0
        const heartbeat = Schedule.fromStep(
          Effect.sync(() => {
            if (when === "at the start") throw new Error("boom")
            return () => {
              if (++steps === 2) throw new Error("boom")
              return Effect.succeed([0, 1_000 as never] as never)
            }
          })
        ) as Schedule.Schedule<unknown, Ping>
        const engine = yield* makeEngine({ heartbeat: { schedule: heartbeat, pingInterval: "1 second" } })
        const channel = engine.webSocket()
        if (when === "at a step") {
          yield* TestClock.adjust("2 seconds")
          assert.include(channel.take(), "2")
          channel.receive("3")
        }
        assert.strictEqual(channel.state, "closing")
        assert.strictEqual(engine.server.sessionCount, 0)
        assert.strictEqual(lines.length, 1)
        const exchange = engine.http({})
        assert.strictEqual(exchange.responses[0]!.status, when === "at a step" ? 200 : 400)
      }).pipe(Effect.provide(layer))
    })
  }
})

describe("an engine's edge", () => {
  it.live("ends a request whose response cannot be sent, logs it, and answers the others of that turn", () => {
    const { layer, lines } = logging()
    return Effect.gen(function* () {
      const http = Http.createServer()
      const engine = yield* EngineServer.make({ drainTimeout: 0 }, () => ({
        onOpen() {},
        onMessage() {},
        onBinary() {},
        onClose() {}
      }))
      const broken: EngineServer.EngineServer = {
        ...engine,
        options: engine.options,
        report: engine.report,
        responseHeaders: (request) => (request.query.has("bad") ? { "x-a": "\0" } : {}),
        handleRequest: (exchange) => {
          if (exchange.request.query.has("throws")) throw new Error("boom")
          engine.handleRequest(exchange)
        },
        handleUpgrade: (request, decide) => {
          if (request.query.has("throws")) throw new Error("boom")
          return engine.handleUpgrade(request, decide)
        }
      }
      Object.defineProperty(broken, "drain", { value: Effect.void })
      yield* NodeEngine.attach(broken, http)
      const url = yield* listen(http)
      const ask = (query: Record<string, string>) =>
        Effect.promise(() =>
          request(engineUrl(url, { EIO: "4", transport: "polling", ...query })).then(
            ({ status }) => status,
            () => "ended"
          )
        )
      const answers = yield* Effect.all([ask({ bad: "1" }), ask({}), ask({ throws: "1" }), ask({})], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(answers, ["ended", 200, "ended", 200])
      const lost = yield* Effect.promise(() =>
        upgrade(url, { throws: "1" }).then(
          () => "answered",
          () => "ended"
        )
      )
      assert.strictEqual(lost, "ended")
      assert.strictEqual(lines.filter((line) => line.startsWith("Error")).length, 3)
    }).pipe(Effect.provide(layer))
  })
})
