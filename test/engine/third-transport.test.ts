/**
 * A transport that is neither of the built-in ones: a pair in memory, which is all in this file.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"

import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import { HandshakeError } from "../../src/engine/HandshakeError.ts"
import type { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import { type Outbox, packetsOf } from "../../src/engine/Outbox.ts"
import { polling } from "../../src/engine/PollingTransport.ts"
import type { AnyTransport, ServerTransport, TransportDefinition, TransportSink } from "../../src/engine/Transport.ts"
import { Transports } from "../../src/engine/Transports.ts"
import { webSocket } from "../../src/engine/WebSocketTransport.ts"
import { makeEngine } from "../support/engine.ts"
import { fakeRequest } from "../support/fakes.ts"
import { alone, readOnly } from "../support/metrics.ts"

type Data = string | Uint8Array

/** The client's end. */
class MemoryEnd {
  readonly received: Array<Data> = []
  isClosed = false
  transport!: MemoryTransport

  send(data: Data): void {
    this.transport.receive(data)
  }

  close(): void {
    this.transport.onEnd()
  }
}

/** The server's end. The client takes everything at once, so that nothing waits. */
class MemoryTransport implements ServerTransport {
  readonly name = "memory"
  sink: TransportSink
  readonly scope: Scope.Closeable
  readonly writable = true
  readonly buffered = 0
  readonly outbox = undefined
  readonly handover = undefined
  readonly isLingering = false
  bytesReceived = 0
  bytesSent = 0
  private readonly end: MemoryEnd
  private isClosed = false
  private held: Array<Data> | undefined

  constructor(end: MemoryEnd, scope: Scope.Closeable, sink: TransportSink) {
    this.end = end
    this.scope = scope
    this.sink = sink
    end.transport = this
  }

  exceeds(): boolean {
    return false
  }

  receive(data: Data): void {
    if (this.isClosed) return
    if (this.held !== undefined) return void this.held.push(data)
    this.bytesReceived += data.length
    if (typeof data === "string") this.sink.onPacket(data)
    else this.sink.onBinary(data)
  }

  sendPacket(packet: Data): void {
    if (this.isClosed) return
    this.bytesSent += packet.length
    this.end.received.push(packet)
  }

  sendMessage({ attachments, text }: OutboundMessage): boolean {
    if (text !== undefined) this.sendPacket(text)
    for (const attachment of attachments ?? []) this.sendPacket(attachment)
    return true
  }

  takeOver(waiting: Outbox): void {
    for (const entry of waiting.takeAll()) for (const packet of packetsOf(entry)) this.sendPacket(packet)
  }

  pause(): void {
    this.held ??= []
  }

  resume(): void {
    const { held = [] } = this
    this.held = undefined
    for (const data of held) this.receive(data)
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.end.isClosed = true
    this.sink.onTransportReleased(this)
  }

  abort(): void {
    this.close()
  }

  onEnd(): void {
    if (this.isClosed) return
    this.sink.onTransportClose(this, "transport close")
    this.close()
  }
}

const opened: Array<MemoryTransport> = []

const make: TransportDefinition<MemoryEnd>["open"] = (context, end, sink) => {
  const transport = new MemoryTransport(end, context.fork(), sink)
  opened.push(transport)
  return transport
}

type Memory = TransportDefinition<MemoryEnd> & { readonly carriage: "connection" }

const memory: Memory = { name: "memory", carriage: "connection", open: make, upgrade: make }

/** An engine that has it beside the built-in ones. */
const setup = Effect.fnUntraced(function* (
  options: EngineOptions = {},
  definition: Memory = memory,
  transports: ReadonlyArray<AnyTransport> = [polling, webSocket, definition]
) {
  const engine = yield* makeEngine(options).pipe(Effect.provideService(Transports, transports))
  /** Connects; gives the client's end, or the refusal. */
  const connect = (query: Record<string, string> = {}): MemoryEnd | HandshakeError => {
    const end = new MemoryEnd()
    let refusal: HandshakeError | undefined
    engine.server.handleConnection(definition, fakeRequest({ transport: "memory", ...query }), (decision) => {
      if (decision instanceof HandshakeError) refusal = decision
      else decision.accept(end)
    })
    return refusal ?? end
  }
  const open = (query: Record<string, string> = {}): MemoryEnd => {
    const end = connect(query)
    if (end instanceof HandshakeError) throw end
    return end
  }
  const poll = (): { readonly sid: string; readonly upgrades: ReadonlyArray<string> } =>
    JSON.parse(engine.http({}).responses[0]!.body.slice(1))
  return { ...engine, connect, open, poll }
})

describe("a third transport", () => {
  it.effect("opens a session, carries its messages, and is counted under its own name", () =>
    alone(
      Effect.gen(function* () {
        const { closes, messages, open, server, sessions } = yield* setup()
        const end = open()
        const session = sessions[0]!
        assert.strictEqual(session.transport, "memory")
        assert.deepStrictEqual(JSON.parse((end.received[0] as string).slice(1)).upgrades, [])
        end.send("4hello")
        end.send(Uint8Array.from([1]))
        assert.deepStrictEqual(messages, ["4hello", Uint8Array.from([1])])
        yield* session.send("back")
        assert.deepStrictEqual(end.received.slice(1), ["4back"])
        assert.deepStrictEqual(yield* readOnly("connections"), { connections_opened: 1, "connections{memory}": 1 })
        const sent = end.received.join("").length
        assert.deepStrictEqual(yield* readOnly("bytes"), { "bytes_received{memory}": 7, "bytes_sent{memory}": sent })
        end.close()
        assert.deepStrictEqual(closes, [{ reason: "transport close", description: undefined }])
        assert.strictEqual(server.sessionCount, 0)
        assert.deepStrictEqual(yield* readOnly("bytes"), { "bytes_received{memory}": 7, "bytes_sent{memory}": sent })
      })
    )
  )

  it.effect("has a scope, which closes when it has released everything", () =>
    Effect.gen(function* () {
      const { open, sessions } = yield* setup()
      open()
      const closed = yield* Deferred.make<void>()
      yield* Scope.addFinalizer(opened.at(-1)!.scope, Deferred.succeed(closed, undefined))
      yield* sessions[0]!.close()
      yield* Deferred.await(closed)
    })
  )

  it.effect("takes a session over from polling, with the messages that wait", () =>
    alone(
      Effect.gen(function* () {
        const { closes, http, messages, open, poll, sessions } = yield* setup()
        const { sid, upgrades } = poll()
        assert.deepStrictEqual(upgrades, ["websocket", "memory"])
        const session = sessions[0]!
        const names = yield* Effect.forkChild(Stream.runCollect(session.transportChanges), { startImmediately: true })
        const held = http({ sid })
        const end = open({ sid })
        end.send("2probe")
        assert.deepStrictEqual(end.received, ["3probe"])
        assert.deepStrictEqual(held.responses, [{ status: 200, body: "6" }])
        yield* session.send("waits")
        assert.strictEqual(session.transport, "polling")
        end.send("5")
        assert.strictEqual(session.transport, "memory")
        assert.deepStrictEqual(end.received, ["3probe", "4waits"])
        end.send("4hello")
        assert.deepStrictEqual(messages, ["4hello"])
        assert.deepStrictEqual(yield* readOnly("connections"), { connections_opened: 1, "connections{memory}": 1 })
        end.close()
        assert.strictEqual(closes[0]!.reason, "transport close")
        assert.deepStrictEqual(yield* Fiber.join(names), ["polling", "memory"])
      })
    )
  )

  it.effect("leaves a session alone whose upgrade to it fails", () =>
    Effect.gen(function* () {
      const { closes, open, poll, sessions } = yield* setup()
      const { sid } = poll()
      const first = open({ sid })
      first.send("2probe")
      const second = open({ sid })
      assert.isTrue(second.isClosed)
      first.close()
      assert.strictEqual(sessions[0]!.transport, "polling")
      const third = open({ sid })
      third.send("what?")
      assert.isTrue(third.isClosed)
      assert.deepStrictEqual(closes, [])
    })
  )

  it.effect("is one that `transports` may name, alone", () =>
    Effect.gen(function* () {
      const { http, open } = yield* setup({ transports: ["memory"] })
      assert.match(http({}).responses[0]!.body, /Transport unknown/)
      assert.strictEqual((open().received[0] as string)[0], "0")
      const refused = yield* Effect.exit(Effect.scoped(makeEngine({ transports: ["memory"] })))
      assert.isTrue(Exit.isFailure(refused))
    })
  )

  it.effect("cannot be changed to without an upgrade of its own", () =>
    Effect.gen(function* () {
      const { connect, poll } = yield* setup({}, { name: "memory", carriage: "connection", open: make })
      const { sid, upgrades } = poll()
      assert.deepStrictEqual(upgrades, ["websocket"])
      assert.strictEqual((connect({ sid }) as HandshakeError).code, 3)
    })
  )

  it.effect("drains with its server", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { closes, open } = yield* Scope.provide(setup(), scope)
      const end = open()
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(end.isClosed)
      assert.strictEqual(closes[0]!.reason, "server shutting down")
    })
  )
})
