/**
 * A server in memory under generated input: the engine and the namespaces that run in production, without sockets, so that hundreds of
 * thousands of inputs take seconds.
 */
import { Effect, Layer, Logger, Metric, Schema } from "effect"

import * as Binary from "../../src/Binary.ts"
import type { EngineServer } from "../../src/engine/EngineServer.ts"
import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import { HandshakeError } from "../../src/engine/HandshakeError.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { fakeExchange, FakeChannel, fakeRequest } from "../support/fakes.ts"
import { memoryInUse } from "../support/memory.ts"
import { grace } from "../support/serve.ts"
import { Generator } from "./generators.ts"

const Item = Schema.Struct({ name: Schema.String, count: Schema.Int, tags: Schema.Array(Schema.String) })

class Typed extends Namespace.make("/typed", {
  auth: Schema.Struct({ token: Schema.optionalKey(Schema.String) }),
  clientToServer: [
    Event.make("typed", { payload: Item, ack: Schema.Int, error: Schema.String }),
    Event.make("bytes", { payload: Binary.Bytes, ack: Binary.Bytes }),
    Event.make("many", { args: [Schema.String, Schema.Finite] }),
    Event.make("none")
  ]
}) {}

/** The argument of a handler fits its schema, whatever was sent. */
const insist = (holds: boolean, what: string) => {
  if (!holds) throw new Error(`a handler got something else than its ${what}`)
}

export const namespaces = Layer.mergeAll(
  SocketIoServer.layerNamespace(
    "/",
    Effect.fnUntraced(function* (socket) {
      yield* socket.on("echo", (value) => Effect.succeed(value))
      yield* socket.on("bytes", (value) => Effect.succeed(value))
      // A room too many is refused, in whichever way: that harms its own event.
      yield* socket.on("join", (room) => Effect.catchCause(socket.join(String(room)), () => Effect.void))
      yield* socket.on("leave", (room) => socket.leave(String(room)))
    })
  ),
  SocketIoServer.layerNamespace(Typed, (socket) => {
    insist(socket.auth.token === undefined || typeof socket.auth.token === "string", "auth payload")
    return Effect.succeed(
      Typed.of({
        typed: ({ count, name, tags }) => {
          const strings = [name, ...tags].every((text) => typeof text === "string")
          insist(strings && Number.isSafeInteger(count) && Array.isArray(tags), "payload")
          return count === 7 ? Effect.fail("seven") : Effect.succeed(count)
        },
        bytes: (bytes) => {
          insist(bytes instanceof Uint8Array, "bytes")
          return Effect.succeed(bytes)
        },
        many: ([text, number]) => {
          insist(typeof text === "string" && Number.isFinite(number), "arguments")
          return Effect.void
        },
        none: () => Effect.void
      })
    )
  }),
  SocketIoServer.layerDynamicNamespace(
    Namespace.dynamic("/room/:id", { params: { id: Schema.FiniteFromString } }),
    () => Effect.succeed(() => Effect.succeed({})),
    { idleTimeToLive: 0 }
  ),
  SocketIoServer.layerDynamicNamespace(
    Namespace.dynamic("/pair/:a-:b-:c"),
    () => Effect.succeed(() => Effect.succeed({})),
    { idleTimeToLive: 0 }
  )
)

/** Every way in. */
export const entrances = ["polling body", "WebSocket text", "WebSocket binary", "CONNECT", "event payload"] as const

export type Entrance = (typeof entrances)[number]

/** How no session may end by what its client sends. */
const NOT_THEIR_FAULT = ["outbox overflow", "ping timeout", "forced close", "connect timeout", "rate limit exceeded"]

/** The result of a run. */
export interface Outcome {
  readonly inputs: number
  /** The inputs for which the connection was closed. */
  readonly closed: number
  /** How much heap and buffers have grown, in bytes. */
  readonly growth: number
}

const SEPARATOR = "\u001e"

/** One attacked server. */
class Target {
  private readonly engine: EngineServer
  private readonly generator: Generator
  private readonly bystander: FakeChannel
  private asked = 0
  private channel: FakeChannel | undefined
  private age = 0
  closed = 0

  constructor(engine: EngineServer, generator: Generator) {
    this.engine = engine
    this.generator = generator
    this.bystander = this.open()
  }

  /** A WebSocket that has joined the namespaces. */
  private open(): FakeChannel {
    const channel = new FakeChannel()
    this.engine.handleUpgrade(fakeRequest({ transport: "websocket" }), (decision) => {
      if (decision instanceof HandshakeError) throw decision
      decision.accept(channel)
    })
    for (const packet of ["40", "40/typed,"]) channel.receive(packet)
    const joined = channel.take().filter((packet) => typeof packet === "string" && packet.startsWith("40"))
    if (joined.length !== 2) throw new Error(`a client could not join: ${joined.join()}`)
    return channel
  }

  /** A well-behaved client has its answers. */
  checkBystander(): void {
    const n = this.asked++
    this.bystander.receive(`42${n}["echo",${n}]`)
    const answers = this.bystander.take()
    if (answers.length !== 1 || answers[0] !== `43${n}[${n}]`) {
      throw new Error(`the bystander got ${answers.join()} for question ${n}`)
    }
  }

  /** Sends one input over WebSocket. Then the connection is closed, or goes on. */
  overWebSocket(input: ReadonlyArray<string | Uint8Array>): void {
    const channel = (this.channel ??= this.open())
    for (const message of input) {
      if (channel.state === "open") channel.receive(message)
    }
    if (channel.state === "open") this.checkAlive(channel)
    if (channel.state !== "open") {
      this.closed++
      channel.end()
      this.channel = undefined
      this.age = 0
    } else if (++this.age === 50) {
      channel.end()
      this.channel = undefined
      this.age = 0
    }
    channel.take()
  }

  private checkAlive(channel: FakeChannel): void {
    channel.take()
    channel.receive('42999999["echo","alive"]')
    if (channel.state !== "open" || channel.take().includes('43999999["alive"]')) return
    // It may have left the namespace.
    channel.receive("40")
    if (channel.state !== "open" || channel.take().some((packet) => String(packet).startsWith("40{"))) return
    throw new Error("a connection is neither closed nor of any use")
  }

  /** Sends one input as the body of a request, in a session of its own: it is answered, and the session goes on or is closed. */
  overPolling(body: string): void {
    const handshake = fakeExchange({ transport: "polling" })
    this.engine.handleRequest(handshake)
    const sid: string = JSON.parse(handshake.responses[0]!.body.slice(1)).sid
    const post = (text: string) => {
      const exchange = fakeExchange({ transport: "polling", sid }, "POST", text)
      this.engine.handleRequest(exchange)
      return exchange.responses[0]?.status
    }
    if (post(`40${SEPARATOR}40/typed,`) !== 200) throw new Error("a client could not join")
    const status = post(body)
    if (status === undefined || ![200, 400, 413].includes(status)) throw new Error(`a body was answered with ${status}`)
    const after = post('42999999["echo","alive"]')
    if (after === 400) this.closed++
    else if (after !== 200) throw new Error(`a session is neither closed nor of any use: ${after}`)
    // A client that leaves says so. The answer tells that its session is closed already.
    post("1")
  }

  input(entrance: Entrance): void {
    const { generator } = this
    switch (entrance) {
      case "polling body":
        return this.overPolling(generator.body())
      case "WebSocket text":
        return this.overWebSocket([generator.enginePacket()])
      case "WebSocket binary": {
        const announced = generator.below(3)
        const head = announced === 0 ? [] : [generator.maybeMutated(`45${announced}-${generator.event()}`)]
        return this.overWebSocket([...head, ...generator.times(announced + 1, () => generator.bytes())])
      }
      case "CONNECT":
        return this.overWebSocket([generator.maybeMutated(`4${generator.connect()}`)])
      case "event payload":
        return this.overWebSocket([`4${generator.payload()}`])
    }
  }

  end(): void {
    for (const channel of [this.channel, this.bystander]) channel?.end()
    this.channel = undefined
  }
}

/** Work with a deadline would outlast the input; there is none here. */
const options = {
  drainTimeout: 0,
  limits: { maxPayload: 100_000, maxAttachmentBytes: 100_000 }
} as const

/** Pours generated input into an entrance of a server of its own. Fails if anything is wrong. */
export const pour = Effect.fnUntraced(function* (entrance: Entrance, seed: number, inputs: number) {
  const registry = new Map()
  const errors: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    if (logLevel === "Error" || logLevel === "Fatal") errors.push(`${String(message)} ${String(cause)}`)
  })
  const server = SocketIoServer.layer(options).pipe(grace(0))
  return yield* Effect.gen(function* () {
    const engine = yield* (yield* SocketIoServer.SocketIoServer).engine
    const target = new Target(engine, new Generator(seed))
    let before = 0
    for (let i = 0; i < inputs; i++) {
      try {
        target.input(entrance)
        if (i % 20 === 0) target.checkBystander()
      } catch (defect) {
        return yield* Effect.die(new Error(`input ${i} of seed ${seed}`, { cause: defect }))
      }
      // Work of other turns goes on.
      if (i % 100 === 0) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      // Resources that are made once have been made.
      if (i === Math.floor(inputs / 4)) before = memoryInUse()
      if (errors.length > 0) return yield* Effect.die(new Error(`input ${i} of seed ${seed}: ${errors[0]}`))
    }
    const growth = memoryInUse() - before
    target.end()
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
    if (engine.sessionCount !== 0) return yield* Effect.die(new Error(`${engine.sessionCount} sessions are left`))
    for (const reason of NOT_THEIR_FAULT) {
      const { count } = yield* Metric.value(Metric.withAttributes(EngineMetrics.disconnects, { reason }))
      if (Number(count) > 0) return yield* Effect.die(new Error(`${count} sessions have ended with ${reason}`))
    }
    return { inputs, closed: target.closed, growth } as Outcome
  }).pipe(
    Effect.provide(Layer.provideMerge(namespaces, server)),
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(Metric.MetricRegistry, registry),
    Effect.scoped
  )
})
