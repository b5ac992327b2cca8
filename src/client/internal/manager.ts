import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"

import type { ClientPlatformShape } from "../../engine/ClientPlatform.ts"
import { type ClientClose, EngineClient, type EngineClientSink } from "../../engine/EngineClient.ts"
import type { OpenData } from "../../protocol/EnginePacket.ts"
import { backoff, defaultBackoff } from "../../protocol/Backoff.ts"
import type { Decoder, PacketParser } from "../../protocol/PacketParser.ts"
import { isProtocolError, type ProtocolError } from "../../protocol/ProtocolError.ts"
import { PacketType, type SocketPacket } from "../../protocol/SocketPacket.ts"
import type { ResolvedClientOptions } from "../ClientOptions.ts"
import type { SocketRuntime } from "./socket.ts"

/** The namespaces that are remembered to have been left: a page may go through thousands, over one connection. */
const MAX_DEPARTED = 1_000

/** One connection to a server, opened when a namespace needs it, and opened again after an outage. */
export class Manager implements EngineClientSink {
  readonly options: ResolvedClientOptions
  readonly parser: PacketParser
  readonly context: Context.Context<never>
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly #platform: ClientPlatformShape
  readonly #now: () => number
  readonly #memory = { upgraded: false }
  readonly #sockets = new Map<string, SocketRuntime>()
  #decoder: Decoder
  #engine: EngineClient | undefined
  #isOpen = false
  /** Waits for the next attempt. */
  #waiting: Fiber.Fiber<unknown, unknown> | undefined
  /** The attempts of this outage that have failed. */
  #attempts = 0
  #step: ((attempt: number) => Effect.Effect<number | undefined>) | undefined
  #closed = false
  /** The namespaces that were left over this connection: what they sent before the server knew is not for who joins them again. */
  readonly #departed = new Set<string>()
  /** The namespaces that were left before the server had answered. Who joins them again asks when it has. */
  readonly #unanswered = new Set<string>()
  /** Whether the last socket has left over this connection. */
  #left = false

  constructor(
    options: ResolvedClientOptions,
    platform: ClientPlatformShape,
    parser: PacketParser,
    context: Context.Context<never>,
    now: () => number
  ) {
    this.options = options
    this.#platform = platform
    this.parser = parser
    this.context = context
    this.#now = now
    this.runFork = Effect.runForkWith(context)
    this.#decoder = parser.makeDecoder(options)
  }

  /** The engine's session, while it is open. */
  get session(): EngineClient | undefined {
    return this.#engine?.isOpen ? this.#engine : undefined
  }

  /** Sends a packet over the session, if it is open. Throws on one that cannot be encoded. */
  send(packet: SocketPacket, mayHaveBinary: boolean): void {
    const encoded = this.parser.encode(packet, mayHaveBinary)
    if (isProtocolError(encoded)) throw encoded
    this.session?.send(encoded.text === undefined ? undefined : "4" + encoded.text, encoded.attachments)
  }

  /** A server that does not ping in time is gone, though the timer that would say so may have been throttled, as in a page's background. */
  checkAlive(): void {
    this.#engine?.checkAlive()
  }

  /** The server has answered: the next outage is another one. */
  onAnswered(): void {
    this.#reset()
  }

  /** Whether a lost connection is opened again. */
  get reconnects(): boolean {
    return this.options.reconnection !== false && !this.#closed
  }

  /** A socket wants to be connected: the connection is opened, if it is not. */
  add(socket: SocketRuntime): void {
    this.#sockets.set(socket.namespace, socket)
    if (this.session !== undefined) {
      if (!this.#unanswered.has(socket.namespace)) socket.onConnection()
      return
    }
    // One that is being closed ends first.
    if (this.#engine === undefined && this.#waiting === undefined) this.#open()
  }

  get(namespace: string): SocketRuntime | undefined {
    return this.#sockets.get(namespace)
  }

  /** A socket leaves its namespace, or will not have been there when the server answers. */
  leave(socket: SocketRuntime, isAsking: boolean): void {
    if (isAsking) this.#unanswered.add(socket.namespace)
    else this.#departed.add(socket.namespace)
    // Of those that were left long ago nothing is on its way any more.
    if (this.#departed.size > MAX_DEPARTED) this.#departed.delete(this.#departed.values().next().value!)
    this.remove(socket)
  }

  /** A socket does not want to be connected any more: the connection is closed behind the last one. */
  remove(socket: SocketRuntime): void {
    if (this.#sockets.get(socket.namespace) !== socket) return
    this.#sockets.delete(socket.namespace)
    if (this.#sockets.size > 0) return
    this.#waiting?.interruptUnsafe()
    this.#waiting = undefined
    this.#reset()
    this.#left = true
    this.#engine?.close()
  }

  /** The end of the client. */
  close(): void {
    this.#closed = true
    this.#waiting?.interruptUnsafe()
    this.#engine?.close()
  }

  #open(): void {
    this.#decoder = this.parser.makeDecoder(this.options)
    this.#left = false
    this.#departed.clear()
    this.#unanswered.clear()
    this.#engine = new EngineClient(
      this.options.engine,
      { platform: this.#platform, runFork: this.runFork, now: this.#now, memory: this.#memory },
      this
    )
    this.#engine.open()
  }

  // ---------------------------------------------------------------- engine

  onOpen(_handshake: OpenData): void {
    this.#isOpen = true
    for (const socket of Array.from(this.#sockets.values())) socket.onConnection()
  }

  onUpgrade(): void {}

  onMessage(packet: string): void {
    this.#onDecoded(this.#decoder.text(packet, 1))
  }

  onBinary(bytes: Uint8Array): void {
    this.#onDecoded(this.#decoder.binary(bytes))
  }

  onClose(close: ClientClose): void {
    const wasOpen = this.#isOpen
    this.#isOpen = false
    this.#engine = undefined
    const sockets = Array.from(this.#sockets.values())
    if (wasOpen) {
      // Somebody wanted to be connected again while the last one's connection was being closed.
      const again = this.#left && this.#sockets.size > 0 && !this.#closed
      for (const socket of sockets) socket.onConnectionLost(close.reason, again || this.reconnects)
      if (again) return this.#open()
      if (this.#sockets.size > 0 && this.reconnects) this.#retry()
      return
    }
    this.#failed(close)
  }

  #onDecoded(packet: SocketPacket | ProtocolError | undefined): void {
    if (packet === undefined) return
    // The server does not speak the protocol: whatever it says next cannot be trusted.
    if (isProtocolError(packet)) return this.#engine?.fail("parse error", packet.message)
    const { namespace, type } = packet
    const socket = this.#sockets.get(namespace)
    const isAnswer = type === PacketType.CONNECT || type === PacketType.CONNECT_ERROR
    if (this.#unanswered.has(namespace)) {
      if (!isAnswer) return
      this.#unanswered.delete(namespace)
      this.#departed.add(namespace)
      if (type === PacketType.CONNECT) {
        this.send({ type: PacketType.DISCONNECT, namespace, id: undefined, data: undefined }, false)
      }
      return socket?.onConnection()
    }
    if (this.#departed.has(namespace)) {
      if (!isAnswer) return
      this.#departed.delete(namespace)
    }
    // What is for nobody came for a namespace that was just left.
    socket?.onPacket(packet)
  }

  // ---------------------------------------------------------------- reconnection

  #reset(): void {
    this.#attempts = 0
    this.#step = undefined
  }

  #failed({ description, reason }: ClientClose): void {
    const message = description ?? reason
    if (this.#closed || this.#sockets.size === 0) return
    if (!this.reconnects) return this.#tellFailed(message, false)
    this.#retry(message)
  }

  #tellFailed(message: string, willRetry: boolean): void {
    for (const socket of Array.from(this.#sockets.values())) socket.onFailed(message, willRetry)
  }

  /** Tries again after a pause, or never: then who waits is told. */
  #retry(message?: string): void {
    const attempt = this.#attempts++
    const fiber = this.runFork(
      Effect.gen({ self: this }, function* () {
        const delay = yield* this.#nextDelay(attempt)
        if (delay === undefined) {
          this.#waiting = undefined
          this.#reset()
        }
        if (message !== undefined) this.#tellFailed(message, delay !== undefined)
        else if (delay === undefined) this.#tellFailed("the connection was lost, and there are no attempts", false)
        if (delay === undefined) return
        yield* Effect.sleep(Duration.millis(delay))
        this.#waiting = undefined
        if (!this.#closed && this.#sockets.size > 0) this.#open()
      })
    )
    // It may be over already: there are no more attempts.
    if (fiber.pollUnsafe() === undefined) this.#waiting = fiber
  }

  /** The pause before the next attempt in milliseconds; `undefined` if there is none. */
  #nextDelay(attempt: number): Effect.Effect<number | undefined> {
    const { reconnection } = this.options
    if (typeof reconnection === "boolean") {
      return Effect.map(Random.next, (random) => backoff(defaultBackoff, attempt, random))
    }
    return Effect.gen({ self: this }, function* () {
      if (this.#step === undefined) {
        const step = yield* Schedule.toStep(reconnection)
        this.#step = (attempt) =>
          Effect.match(step(this.#now(), attempt), {
            onSuccess: ([, delay]) => Duration.toMillis(delay),
            onFailure: () => undefined
          })
      }
      return yield* this.#step(attempt)
    })
  }
}
