/**
 * The client's end of a session (Engine.IO protocol 4): one connection, over any transport.
 *
 * @since 0.1.0
 */
import type { ClientCloseReason } from "../DisconnectReason.ts"
import { decodeBinaryText, decodeOpen, encodeBinaryText, type OpenData } from "../protocol/EnginePacket.ts"
import { isProtocolError } from "../protocol/ProtocolError.ts"
import type { ConnectionDetails } from "./ClientPlatform.ts"
import type { EngineClientOptions, EngineClientRuntime } from "./EngineClientOptions.ts"
import { addressOf } from "./internal/client/address.ts"
import { batchOf } from "./internal/client/batch.ts"
import { PONG } from "./internal/client/constants.ts"
import { makePolling } from "./internal/client/polling.ts"
import {
  after,
  type ClientPolling,
  type ClientTransport,
  type Packet,
  type TransportEnd
} from "./internal/client/transport.ts"
import { makeWebSocket } from "./internal/client/webSocket.ts"
import { microtask } from "./internal/microtask.ts"
import type { TransportName } from "./Transport.ts"

export type { EngineClientOptions, EngineClientRuntime } from "./EngineClientOptions.ts"

/**
 * The end of a client's session.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientClose extends ConnectionDetails {
  readonly reason: ClientCloseReason
  /** A sentence about what happened, where more is known than the reason. */
  readonly description?: string
}

/**
 * The receiver of a session's messages. The session calls it synchronously, in the order of
 * arrival; it must not throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineClientSink {
  onOpen(handshake: OpenData): void
  /** A text message: the whole packet, its leading `4` included. */
  onMessage(packet: string): void
  onBinary(bytes: Uint8Array): void
  /** The session has changed from polling to WebSocket. */
  onUpgrade?(): void
  /** The session has ended, or could not be opened. Called once, and nothing is called after it. */
  onClose(close: ClientClose): void
}

/**
 * The client's end of a session. Its methods are synchronous; it lives until either side closes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineClient {
  /** The session's id, once it is open. */
  readonly id: string | undefined
  readonly isOpen: boolean
  /** The transport that is in use, or being tried. */
  readonly transportName: TransportName
  /** Whether a message that is sent now leaves at once. */
  readonly writable: boolean
  /** Begins to open the session. */
  readonly open: () => void
  /**
   * Sends a message: the text of a packet with its leading `4`, and binary messages after it. A
   * message that comes after a Blob waits until the Blob is read; a Blob that cannot be read ends
   * the session. Without `compress` a WebSocket does not compress the message.
   */
  readonly send: (
    text: string | undefined,
    attachments: ReadonlyArray<Uint8Array | Blob> | undefined,
    compress?: boolean
  ) => void
  /**
   * Ends the session if the server's ping is overdue. Timers of a page in the background come late,
   * and messages that are sent meanwhile are lost.
   */
  readonly checkAlive: () => void
  /** Closes the session once everything that waits is sent, or after `connectTimeout`. */
  readonly close: (description?: string) => void
  /**
   * Ends the session at once: the server has broken the protocol, or a limit. With `isLeft` the
   * connection still works, and the server is told, whatever the reason is.
   */
  readonly fail: (reason: ClientCloseReason, description: string, details?: ConnectionDetails, isLeft?: boolean) => void
}

/**
 * The function that makes sessions, such as {@link make}.
 *
 * @since 0.1.0
 * @category models
 */
export type MakeEngineClient = (
  options: EngineClientOptions,
  runtime: EngineClientRuntime,
  sink: EngineClientSink
) => EngineClient

let counter = 0

/** A WebSocket that may take the place of polling. */
interface Upgrade {
  /** The server has answered the probe. Packets wait, as polling takes no more. */
  isPausing: boolean
  readonly candidate: ClientTransport
  /** Ends the time in which the upgrade must be done. */
  readonly forget: () => void
}

/**
 * Makes a session, which is not opened yet: see {@link EngineClient}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: EngineClientOptions,
  runtime: EngineClientRuntime,
  sink: EngineClientSink
): EngineClient => {
  const { connectTimeout, forceBase64, transports } = options
  const { now, platform, runFork } = runtime
  let forgetOffline: (() => void) | undefined
  let state: "Opening" | "Open" | "Closing" | "Closed" = "Opening"
  let id: string | undefined
  /** The transport that is in use, or being tried. */
  let transport: ClientPolling | ClientTransport | undefined
  /** The upgrade that is under way. */
  let upgrade: Upgrade | undefined
  let pingWait = 0
  let maxPayload = 0
  /** The packets that wait. The first one is `undefined` while a Blob is read in its place. */
  let queue: Array<Packet | undefined> = []
  /** The packets in the queue that are not compressed. Of two equal texts it may be either one. */
  const raw = new Set<Packet>()
  /** Polling takes nothing more until the last request has arrived. */
  let isPosting = false
  let isFlushing = false
  let deadline = 0
  let forgetDeadline: (() => void) | undefined

  const expect = (millis: number) => {
    forgetDeadline?.()
    deadline = now() + millis
    forgetDeadline = after(runFork, millis, () => end(state === "Opening" ? "timeout" : "ping timeout"))
  }

  // -------------------------------------------------------------- opening

  const connect = () => {
    expect(connectTimeout)
    transport =
      transports[0] === "polling"
        ? // Some caches in the field answer a GET with the response to an earlier one, of any client.
          makePolling(
            () => `${addressOf(options, "polling", id)}&t=${runtime.unique}_${(counter++).toString(36)}`,
            options,
            runtime,
            onPacket,
            () => {
              isPosting = false
              flush()
            },
            end
          )
        : webSocket(() => {}, onPacket, onBinary, end)
    transport.open()
  }

  const webSocket = (
    onOpen: () => void,
    onPacket: (packet: string) => void,
    onBinary: (bytes: Uint8Array) => void,
    onEnd: TransportEnd
  ) => {
    const request = { ...options, url: addressOf(options, "websocket", id).replace("http", "ws") }
    return makeWebSocket(platform, request, onOpen, onPacket, onBinary, onEnd)
  }

  const onOpenPacket = (packet: string) => {
    const handshake = decodeOpen(packet)
    if (isProtocolError(handshake)) return end("parse error", handshake.message)
    const { pingInterval, pingTimeout, sid, upgrades } = handshake
    maxPayload = handshake.maxPayload
    pingWait = pingInterval + pingTimeout
    id = sid
    state = "Open"
    const polling = transport?.pause && transport
    sink.onOpen(handshake)
    if (!isOpen()) return
    expect(pingWait)
    if (options.upgrade && polling && upgrades.includes("websocket") && transports.includes("websocket")) probe(polling)
  }

  // -------------------------------------------------------------- upgrade

  const probe = (polling: ClientPolling) => {
    const probing = webSocket(
      () => probing.write(["2probe"]),
      (packet) => {
        if (transport === probing) return onPacket(packet)
        if (packet !== "3probe" || !upgrade || isPausing()) return failUpgrade()
        upgrade.isPausing = true
        polling.pause(() => completeUpgrade(probing))
      },
      (bytes) => (transport === probing ? onBinary(bytes) : failUpgrade()),
      (...why) => (transport === probing ? end(...why) : failUpgrade())
    )
    // Packets may wait for it, and a WebSocket may swallow the probe.
    upgrade = { isPausing: false, candidate: probing, forget: after(runFork, connectTimeout, failUpgrade) }
    probing.open()
  }

  const completeUpgrade = (upgraded: ClientTransport) => {
    transport = upgraded
    isPosting = false
    upgrade!.forget()
    upgrade = undefined
    upgraded.write(["5"])
    sink.onUpgrade?.()
    flush()
  }

  /** The session stays with polling. */
  const failUpgrade = () => {
    const isPaused = isPausing()
    dropUpgrade()
    if (isPaused) (transport as ClientPolling).resume()
  }

  const dropUpgrade = () => {
    const dropped = upgrade
    upgrade = undefined
    dropped?.forget()
    dropped?.candidate.close()
  }

  const isPausing = () => upgrade?.isPausing

  // -------------------------------------------------------------- in

  const onPacket = (packet: string) => {
    if (state === "Opening") return onOpenPacket(packet)
    switch (packet[0]) {
      case "4": // message
        return sink.onMessage(packet)
      case "2": // ping
        if (isOpen()) expect(pingWait)
        // One answer is enough for pings that come faster than it can be sent.
        if (queue.at(-1) !== PONG) queue.push(PONG)
        return flushLater()
      case "b": {
        const bytes = decodeBinaryText(packet)
        return isProtocolError(bytes) ? end("parse error", bytes.message) : sink.onBinary(bytes)
      }
      case "1": // close
        return end("transport close", "closed by the server")
      default:
        // A second open, a pong, an upgrade and a noop mean nothing here.
        if (!"0356".includes(packet[0]!)) end("parse error", "unknown packet type")
    }
  }

  const onBinary = (bytes: Uint8Array) =>
    state === "Opening" ? end("parse error", "not an open packet") : sink.onBinary(bytes)

  // -------------------------------------------------------------- out

  const encode = (bytes: Uint8Array) => (forceBase64 ? encodeBinaryText(bytes) : bytes)

  /** Reads the Blob at the head of the queue, and puts its bytes in its place. */
  const read = (blob: Blob) => {
    const reading = queue
    reading[0] = undefined
    blob.arrayBuffer().then(
      (bytes) => {
        // A session that has ended meanwhile has another queue.
        reading[0] = encode(new Uint8Array(bytes))
        return flush()
      },
      (cause) => end("transport error", String(cause), { cause })
    )
  }

  /** Packets of one turn leave together. */
  const flushLater = () => {
    if (isFlushing) return
    isFlushing = true
    const { defer = microtask } = platform
    defer(() => {
      isFlushing = false
      flush()
    })
  }

  const isOpen = () => state === "Open"

  const isIdle = () => !isPosting && !isPausing()

  const isWritable = () => isOpen() && isIdle() && queue.length === 0

  const flush = () => {
    if (state === "Opening" || state === "Closed" || !isIdle()) return
    const batch = takeBatch()
    if (batch.length > 0) {
      isPosting = !!transport!.pause
      transport!.write(batch, raw.size > 0 ? raw : undefined)
      if (queue.length === 0) raw.clear()
    }
    if (state === "Closing" && queue.length === 0 && isIdle()) end("forced close")
  }

  /** Takes the next batch. A Blob that must be read is read after the packets before it. */
  const takeBatch = (): ReadonlyArray<Packet> => {
    const waiting = queue
    const isPolling = !!transport!.pause
    const count = batchOf(waiting, isPolling ? maxPayload : undefined, !isPolling && !forceBase64)
    const next = waiting[count]
    // The array stays while its head is being read.
    if (count > 0) queue = waiting.slice(count)
    if (next instanceof Blob) read(next)
    // None of these is missing.
    return waiting.slice(0, count) as Array<Packet>
  }

  // -------------------------------------------------------------- closing

  const end = (reason: ClientCloseReason, description?: string, details?: ConnectionDetails, isLeft = false) => {
    const before = state
    if (before === "Closed") return
    state = "Closed"
    forgetDeadline?.()
    dropUpgrade()
    // A lost connection would not carry the goodbye.
    transport?.close(isLeft || !/^(trans|ping)/.test(reason) ? id : undefined)
    queue = []
    forgetOffline?.()
    sink.onClose({
      ...details,
      reason: before === "Closing" ? "forced close" : reason,
      ...(description && { description })
    })
  }

  return {
    get id() {
      return id
    },
    get isOpen() {
      return isOpen()
    },
    get transportName() {
      return transport?.pause ? "polling" : "websocket"
    },
    get writable() {
      return isWritable()
    },
    open: () => {
      // A server on the same machine can be reached without a network.
      if (!/\/localhost(:|$)/.test(options.origin)) {
        forgetOffline = platform.onOffline(() => end("transport close", "offline"))
      }
      connect()
    },
    send: (text, attachments = [], compress = true) => {
      if (!isOpen()) return
      const before = queue.length
      if (text) queue.push(text)
      for (const attachment of attachments) queue.push(attachment instanceof Blob ? attachment : encode(attachment))
      if (!compress) for (const packet of queue.slice(before)) raw.add(packet!)
      flushLater()
    },
    checkAlive: () => {
      if (isOpen() && now() > deadline) end("ping timeout")
    },
    close: (description) => {
      if (state === "Opening" || isWritable()) return end("forced close", description)
      if (!isOpen()) return
      state = "Closing"
      // The server may never take the rest.
      expect(connectTimeout)
      flush()
    },
    fail: end
  }
}
