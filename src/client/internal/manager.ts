import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"

import {
  type ClientClose,
  type EngineClient,
  type EngineClientOptions,
  type EngineClientRuntime,
  make
} from "../../engine/EngineClient.ts"
import { defectOf } from "../../internal/defectOf.ts"
import { backoff, defaultBackoff } from "../../protocol/Backoff.ts"
import { CONNECT, CONNECT_ERROR, DISCONNECT } from "../../protocol/PacketType.ts"
import type { PacketParser } from "../../protocol/PacketParser.ts"
import { isProtocolError, type ProtocolError } from "../../protocol/ProtocolError.ts"
import type { EncodedPacket, SocketPacket } from "../../protocol/SocketPacket.ts"
import type { ResolvedClientOptions } from "../ClientOptions.ts"
import type { Diagnostics } from "./diagnostics.ts"
import type { SocketRuntime } from "./socket.ts"

/** The namespaces that are remembered to have been left: a page may go through thousands, over one connection. */
const MAX_DEPARTED = 1_000

/** The codes of errors that are limits, and reasons of their own for a connection to end. */
const LIMITS = /many a|large|deep/

const given = <A>(value: A | Effect.Effect<A>) => (Effect.isEffect(value) ? value : Effect.succeed(value))

/** The shortest time between two warnings that the server cannot be connected to, in milliseconds. */
const WARNING_INTERVAL = 60_000

export interface ManagerRuntime extends EngineClientRuntime {
  readonly diagnostics: Diagnostics
}

/** One connection to a server, opened when a namespace needs it, and opened again after an outage. */
export class Manager {
  declare readonly options: ResolvedClientOptions
  declare readonly runFork: EngineClientRuntime["runFork"]
  declare readonly now: EngineClientRuntime["now"]
  declare readonly diagnostics: Diagnostics
  /** The sockets that want to be connected, by their namespaces. */
  declare readonly sockets: Map<string, SocketRuntime>
  /** The connection that is there, or being opened or closed. */
  declare readonly engine: EngineClient | undefined
  /** Throws on a packet that cannot be encoded. */
  declare readonly encode: (packet: SocketPacket, mayHaveBinary: boolean) => EncodedPacket
  /** Sends a packet over the connection, if it is open. */
  declare readonly send: (packet: EncodedPacket, compress?: boolean) => void
  /** A socket wants to be connected: the connection is opened, if it is not. */
  declare readonly add: (socket: SocketRuntime) => void
  /** A socket leaves its namespace, or will not have been there when the server answers. */
  declare readonly leave: (namespace: string, isAsking: boolean) => void
  /** A socket does not want to be connected any more: the connection is closed behind the last one. */
  declare readonly remove: (socket: SocketRuntime) => void
  /** The end of the client. */
  declare readonly close: () => void

  constructor(options: ResolvedClientOptions, runtime: ManagerRuntime, parser: PacketParser) {
    const { engine, headers, query, reconnection } = options
    const { diagnostics, now, runFork } = runtime
    const { debug } = diagnostics
    const self = this as { -readonly [Key in keyof Manager]: Manager[Key] }
    const sockets = new Map<string, SocketRuntime>()
    let isOpen = false
    let isClosed = false
    /** Whether the last socket has left over this connection. */
    let wasLeft = false
    /** Waits for the next attempt, or for what its requests carry. */
    let waiting: Fiber.Fiber<unknown, unknown> | undefined
    /** The attempts of this outage that have failed. */
    let attempts = 0
    /** The time before which there is no other warning. */
    let quietUntil = -Infinity
    let step: Effect.Success<ReturnType<typeof Schedule.toStep<unknown, number, never, never>>> | undefined
    /** The namespaces that were left over this connection: what they sent before the server knew is not for who joins them again. */
    const departed = new Set<string>()
    /** The namespaces that were left before the server had answered. Who joins them again asks when it has. */
    const unanswered = new Set<string>()

    /** Connects, with headers and parameters as they are by now. */
    const open = () => {
      wasLeft = false
      const both = Effect.flatMap(given(query), (query) =>
        Effect.map(given(headers), (headers) => ({ ...engine, headers, query }))
      )
      wait(both, (exit) => {
        if (exit._tag === "Success") return openWith(exit.value)
        const cause = defectOf(exit.cause.reasons[0]!)
        onClose({ reason: "transport error", description: `headers or query: ${cause}`, cause })
      })
    }

    const onClose = (close: ClientClose) => {
      const wasOpen = isOpen
      // Somebody wanted to be connected again while the last one's connection was being closed.
      const again = wasLeft && sockets.size > 0 && !isClosed
      const willRetry = again || reconnects()
      isOpen = false
      self.engine = undefined
      debug("engine", "closed", close as {})
      if (wasOpen) tellLost(close, willRetry, true)
      if (again) open()
      else if (sockets.size > 0) {
        if (willRetry) retry(close, wasOpen)
        else if (!wasOpen) tellLost(close, false)
      }
    }

    const openWith = (options: EngineClientOptions) => {
      const decoder = parser.makeDecoder(self.options)
      departed.clear()
      unanswered.clear()
      debug("manager", "connecting", {})
      self.engine = make(options, runtime, {
        onOpen: ({ sid }) => {
          isOpen = true
          debug("engine", "opened", { sid })
          for (const socket of Array.from(sockets.values())) socket.onConnection()
        },
        onUpgrade: () => debug("engine", "upgraded", {}),
        onMessage: (packet) => onDecoded(decoder.text(packet, 1)),
        onBinary: (bytes) => onDecoded(decoder.binary(bytes)),
        onClose
      })
      self.engine.open()
    }

    const reconnects = () => reconnection !== false && !isClosed

    const onDecoded = (packet: SocketPacket | ProtocolError | undefined) => {
      if (!packet) return
      // The server does not speak the protocol: whatever it says next cannot be trusted.
      if (isProtocolError(packet)) {
        const { code, message } = packet
        return self.engine?.fail(LIMITS.test(code) ? (code as ClientClose["reason"]) : "parse error", message)
      }
      const { namespace, type } = packet
      const socket = sockets.get(namespace)
      const isAnswer = type === CONNECT || type === CONNECT_ERROR
      if (unanswered.has(namespace)) {
        if (!isAnswer) return
        unanswered.delete(namespace)
        departed.add(namespace)
        if (type === CONNECT) self.send(self.encode({ ...packet, type: DISCONNECT, data: undefined }, false))
        return socket?.onConnection()
      }
      if (departed.has(namespace)) {
        if (!isAnswer) return
        departed.delete(namespace)
      }
      // The next outage is another one.
      if (type === CONNECT) reset()
      // What is for nobody came for a namespace that was just left.
      socket?.onPacket(packet)
    }

    const reset = () => {
      attempts = 0
      step = undefined
    }

    const tellLost = (close: ClientClose, willRetry: boolean, wasOpen = false) => {
      for (const socket of Array.from(sockets.values())) socket.onLost(close, willRetry, wasOpen)
    }

    /** The pause before the next attempt; it fails if there is none. */
    const nextDelay = Effect.gen(function* () {
      const attempt = attempts++
      if (typeof reconnection === "boolean") return backoff(defaultBackoff, attempt, yield* Random.next)
      step ??= yield* Schedule.toStep(reconnection)
      return (yield* step(now(), attempt))[1]
    })

    /** Tries again after a pause, or never: then who waits is told. */
    const retry = (close: ClientClose, isTold: boolean) => {
      const pause = Effect.flatMap(nextDelay, (delay) => {
        // Not of every attempt: there may be thousands, of thousands of clients. One that is lost is no attempt yet.
        if ((!isTold || attempts > 1) && now() >= quietUntil) {
          quietUntil = now() + WARNING_INTERVAL
          const { description, reason } = close
          diagnostics.warn(`cannot connect to ${engine.origin}, trying again: ${description ?? reason}`, close as {})
        }
        debug("manager", "trying again", { delay, attempts })
        if (!isTold) tellLost(close, true)
        return Effect.sleep(delay)
      })
      wait(pause, ({ _tag }) => {
        if (_tag === "Success") {
          if (!isClosed && !self.engine && sockets.size > 0) open()
        } else {
          reset()
          tellLost(close, false)
        }
      })
    }

    /** Waits for something before it goes on, unless it is given up meanwhile. */
    const wait = <A, E>(effect: Effect.Effect<A, E>, next: (exit: Exit.Exit<A, E>) => void) => {
      const fiber = runFork(effect)
      waiting = fiber
      fiber.addObserver((exit) => {
        if (waiting !== fiber) return
        waiting = undefined
        next(exit)
      })
    }

    const giveUp = () => {
      const pause = waiting
      waiting = undefined
      pause?.interruptUnsafe()
      self.engine?.close()
    }

    self.options = options
    self.runFork = runFork
    self.now = now
    self.diagnostics = diagnostics
    self.sockets = sockets
    self.encode = (packet, mayHaveBinary) => {
      const encoded = parser.encode(packet, mayHaveBinary)
      if (isProtocolError(encoded)) throw encoded
      return encoded
    }
    self.send = ({ attachments, text }, compress) => self.engine?.send(text && "4" + text, attachments, compress)
    self.add = (socket) => {
      sockets.set(socket.namespace, socket)
      if (isOpen && !wasLeft) {
        if (!unanswered.has(socket.namespace)) socket.onConnection()
      } else if (!self.engine && !waiting) open() // One that is being closed ends first.
    }
    self.leave = (namespace, isAsking) => {
      ;(isAsking ? unanswered : departed).add(namespace)
      // Of those that were left long ago nothing is on its way any more.
      const [oldest] = departed
      if (departed.size > MAX_DEPARTED) departed.delete(oldest!)
    }
    self.remove = ({ namespace }) => {
      if (!sockets.delete(namespace) || sockets.size > 0) return
      reset()
      wasLeft = true
      giveUp()
    }
    self.close = () => {
      isClosed = true
      giveUp()
    }
  }
}
