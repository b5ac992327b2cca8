/**
 * The client's end of an Engine.IO session: one connection, whichever transport it uses (Engine.IO protocol 4).
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

import { decodeBinaryText, decodeOpen, encodeBinaryText, type OpenData } from "../protocol/EnginePacket.ts"
import { isProtocolError } from "../protocol/ProtocolError.ts"
import { after } from "./internal/client/after.ts"
import { sizeOf } from "./internal/client/payload.ts"
import { CLOSED, CLOSING, OPEN, OPENING } from "./internal/client/states.ts"
import { type ClientPolling, makePolling } from "./internal/client/polling.ts"
import type { ClientTransport, Packet, TransportEnd } from "./internal/client/transport.ts"
import { makeWebSocket } from "./internal/client/webSocket.ts"
import { microtask } from "./internal/microtask.ts"
import type { ClientPlatformShape, ConnectionDetails } from "./ClientPlatform.ts"
import type { TransportName } from "./Transport.ts"

/**
 * Why a client's session ended.
 *
 * - `transport error`: a request failed, or the WebSocket did.
 * - `transport close`: the server closed it, the network was lost, or the page was left or frozen.
 * - `ping timeout`: the server sent no ping within `pingInterval + pingTimeout`.
 * - `parse error`: the server sent what the protocol does not allow.
 * - `payload too large`: a message was larger than the server takes (its `maxPayload`), or larger than this side's platform does.
 * - `too many packets`, `too many attachments`, `attachments too large`, `nesting too deep`: the server sent more than a limit of this
 *   side allows.
 * - `timeout`: the session was not open in time.
 * - `forced close`: the client closed it.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientCloseReason =
  | "transport error"
  | "transport close"
  | "ping timeout"
  | "parse error"
  | "payload too large"
  | "too many packets"
  | "too many attachments"
  | "attachments too large"
  | "nesting too deep"
  | "timeout"
  | "forced close"

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientClose extends ConnectionDetails {
  readonly reason: ClientCloseReason
  /** What exactly happened, where more is known than the reason. */
  readonly description?: string
}

/**
 * How a session is opened; every default is filled in.
 *
 * @since 0.1.0
 * @category options
 */
export interface EngineClientOptions {
  /** Scheme, host and port: `http://…` or `https://…`. */
  readonly origin: string
  /** With a slash at its beginning. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  /** In the order in which they are tried. */
  readonly transports: ReadonlyArray<TransportName>
  readonly upgrade: boolean
  readonly tryAllTransports: boolean
  readonly rememberUpgrade: boolean
  readonly withCredentials: boolean
  readonly protocols: ReadonlyArray<string>
  readonly forceBase64: boolean
  readonly closeOnPageHide: boolean
  /** How long the opening may take over each transport, then the upgrade, and at last the closing, in milliseconds. */
  readonly connectTimeout: number
}

/**
 * Where a session's messages go. Called synchronously, in the order of arrival; it must not throw.
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
  onUpgrade(): void
  /** The session has ended, or was never open. Called once, and nothing after it. */
  onClose(close: ClientClose): void
}

/**
 * What a session runs on.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineClientRuntime {
  readonly platform: ClientPlatformShape
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** The monotonic time in milliseconds. */
  readonly now: () => number
  /** What sessions of one client remember of each other. */
  readonly memory: { upgraded: boolean }
  /**
   * What no other client has: the addresses of polling begin with it in their parameter `t`, so that no cache takes one client's request
   * for another's.
   */
  readonly unique: string
}

const PONG = "3"

let counter = 0

/** A part of an address; half a character, which has no form there, is replaced. */
const escape = (text: string): string => encodeURIComponent(text.replace(/[\ud800-\udfff]/gu, "\ufffd"))

/**
 * The client's end of a session. Its methods are synchronous; it lives until either side closes it.
 *
 * @since 0.1.0
 * @category models
 */
export class EngineClient {
  /** The session's id, once it is open. */
  declare readonly id: string | undefined
  declare readonly isOpen: boolean
  declare readonly transportName: TransportName | undefined
  /** Begins to open the session. */
  declare readonly open: () => void
  /**
   * Sends a message: the text of a packet with its leading `4`, and binary messages behind it. What comes behind a Blob waits until
   * it is read; one that cannot be read ends the session. Without `compress` a WebSocket does not compress it.
   */
  declare readonly send: (
    text: string | undefined,
    attachments: ReadonlyArray<Uint8Array | Blob> | undefined,
    compress?: boolean
  ) => void
  /** Ends the session if the server's ping is overdue: timers of a page in the background come late, and what is sent meanwhile is lost. */
  declare readonly checkAlive: () => void
  /** Closes the session, behind what is being sent and what waits to be; after `connectTimeout` also without that. */
  declare readonly close: (description?: string) => void
  /** Ends the session at once: what the server said is not what the protocol, or a limit, allows. */
  declare readonly fail: (reason: ClientCloseReason, description: string) => void
  readonly #isWritable: () => boolean

  /** Whether what is sent now leaves at once. */
  get writable(): boolean {
    return this.#isWritable()
  }

  // Of functions and variables minifiers leave a letter each, of private members more: all of it is in here.
  constructor(options: EngineClientOptions, runtime: EngineClientRuntime, sink: EngineClientSink) {
    const { connectTimeout, forceBase64, transports } = options
    const { memory, now, platform, runFork } = runtime
    const self = this as { -readonly [Key in keyof EngineClient]: EngineClient[Key] }
    const cleanup: Array<() => void> = []
    let state = OPENING
    /** Those that have not failed yet, in the order in which they are tried. */
    let names: ReadonlyArray<TransportName> =
      options.rememberUpgrade && memory.upgraded && transports[1] === "websocket"
        ? ["websocket", "polling"]
        : transports
    let transport: ClientTransport | undefined
    /** The transport, if it is this one. */
    let polling: ClientPolling | undefined
    let candidate: ClientTransport | undefined
    let pingWait = 0
    let maxPayload = 0
    /** Its head is `undefined` while a Blob is read there. */
    let queue: Array<Packet | undefined> = []
    /** What of it is not compressed. Of two texts that are the same either one may be. */
    const raw = new Set<Packet>()
    /** Polling takes nothing more until what it was given has arrived. */
    let isPosting = false
    /** The probe was answered: what is sent waits, as polling takes nothing more, until the transport has changed. */
    let isUpgrading = false
    let isFlushing = false
    let deadline = 0
    let forgetDeadline: (() => void) | undefined
    /** A WebSocket that swallows the probe is not kept open for ever, nor is what waits for the upgrade. */
    let forgetUpgrade: (() => void) | undefined

    const expect = (millis: number) => {
      forgetDeadline?.()
      deadline = now() + millis
      forgetDeadline = after(runFork, millis, () =>
        state === OPENING ? fail("timeout", "the connection took too long") : end("ping timeout")
      )
    }

    // -------------------------------------------------------------- opening

    const connect = () => {
      expect(connectTimeout)
      self.transportName = names[0]!
      polling =
        names[0] === "polling"
          ? // Some caches in the field take a GET for the same as one before, whoever sent that.
            makePolling(
              () => `${url("polling")}&t=${runtime.unique}_${(counter++).toString(36)}`,
              options,
              runtime,
              onPacket,
              () => {
                isPosting = false
                flush()
              },
              fail
            )
          : undefined
      transport = polling ?? webSocket(() => {}, onPacket, onBinary, fail)
      transport.open()
    }

    // Without `URLSearchParams`, of which React Native has but a part.
    const url = (transport: TransportName): string => {
      const params = { ...options.query, EIO: "4", transport, b64: forceBase64 ? "1" : undefined, sid: self.id }
      let address = `${options.origin}${options.path}?`
      for (const [name, value] of Object.entries(params)) {
        if (value !== undefined) address += `${escape(name)}=${escape(value)}&`
      }
      return address.slice(0, -1)
    }

    const webSocket = (
      onOpen: () => void,
      onPacket: (packet: string) => void,
      onBinary: (bytes: Uint8Array) => void,
      onEnd: TransportEnd
    ) => {
      const request = { ...options, url: url("websocket").replace("http", "ws") }
      return makeWebSocket(platform, request, onOpen, onPacket, onBinary, onEnd)
    }

    /** A transport that leads nowhere, or to who is no server of ours: another one may lead there. */
    const fail: TransportEnd = (reason, description, details) => {
      if (state !== OPENING || !options.tryAllTransports || names.length < 2) return end(reason, description, details)
      names = names.slice(1)
      transport!.close()
      connect()
    }

    const onOpenPacket = (packet: string) => {
      const handshake = decodeOpen(packet)
      if (isProtocolError(handshake)) return fail("parse error", handshake.message)
      const { pingInterval, pingTimeout, sid, upgrades } = handshake
      maxPayload = handshake.maxPayload
      pingWait = pingInterval + pingTimeout
      self.id = sid
      self.isOpen = true
      state = OPEN
      memory.upgraded = !polling
      sink.onOpen(handshake)
      if (state !== OPEN) return
      expect(pingWait)
      if (options.upgrade && polling && upgrades.includes("websocket") && names.includes("websocket")) probe(polling)
    }

    // -------------------------------------------------------------- upgrade

    const probe = (polling: ClientPolling) => {
      const probing = webSocket(
        () => probing.write(["2probe"]),
        (packet) => {
          if (transport === probing) return onPacket(packet)
          if (packet !== "3probe" || isUpgrading) return failUpgrade()
          isUpgrading = true
          polling.pause(() => completeUpgrade(probing))
        },
        (bytes) => (transport === probing ? onBinary(bytes) : failUpgrade()),
        (...why) => (transport === probing ? fail(...why) : failUpgrade())
      )
      candidate = probing
      forgetUpgrade = after(runFork, connectTimeout, failUpgrade)
      probing.open()
    }

    const completeUpgrade = (upgraded: ClientTransport) => {
      transport = upgraded
      polling = candidate = undefined
      isPosting = isUpgrading = false
      forgetUpgrade?.()
      upgraded.write(["5"])
      self.transportName = "websocket"
      memory.upgraded = true
      sink.onUpgrade()
      flush()
    }

    /** The session stays with polling. */
    const failUpgrade = () => {
      const wasUpgrading = isUpgrading
      dropCandidate()
      if (wasUpgrading) polling!.resume()
    }

    const dropCandidate = () => {
      forgetUpgrade?.()
      candidate?.close()
      candidate = undefined
      isUpgrading = false
    }

    // -------------------------------------------------------------- in

    const onPacket = (packet: string) => {
      if (state === OPENING) return onOpenPacket(packet)
      switch (packet[0]) {
        case "4": // message
          return sink.onMessage(packet)
        case "2": // ping
          if (state === OPEN) expect(pingWait)
          // One answer is enough for pings that come faster than it can be sent.
          if (queue.at(-1) !== PONG) queue.push(PONG)
          return flushLater()
        case "b": {
          const bytes = decodeBinaryText(packet)
          return isProtocolError(bytes) ? end("parse error", bytes.message) : sink.onBinary(bytes)
        }
        case "1": // close
          return end("transport close", "closed by the server")
        case "0": // a second open
        case "3": // pong
        case "5": // upgrade
        case "6": // noop
          return
        default:
          return end("parse error", "unknown packet type")
      }
    }

    const onBinary = (bytes: Uint8Array) =>
      state === OPENING ? fail("parse error", "binary before the open packet") : sink.onBinary(bytes)

    // -------------------------------------------------------------- out

    const encode = (bytes: Uint8Array) => (forceBase64 ? encodeBinaryText(bytes) : bytes)

    /** Reads the Blob at the head: what is in it takes its place. */
    const read = (blob: Blob) => {
      const reading = queue
      reading[0] = undefined
      blob.arrayBuffer().then(
        (bytes) => {
          // If the session has ended meanwhile, it has another queue.
          reading[0] = encode(new Uint8Array(bytes))
          return flush()
        },
        (cause) => end("transport error", String(cause), { cause })
      )
    }

    /** What is sent within one turn leaves together. */
    const flushLater = () => {
      if (isFlushing) return
      isFlushing = true
      const { defer = microtask } = platform
      defer(() => {
        isFlushing = false
        flush()
      })
    }

    const isIdle = () => !isPosting && !isUpgrading

    const flush = () => {
      if (state === OPENING || state === CLOSED || !isIdle()) return
      const batch = takeBatch()
      if (batch.length > 0) {
        isPosting = !!polling
        transport!.write(batch, raw.size > 0 ? raw : undefined)
        if (queue.length === 0) raw.clear()
      }
      if (state === CLOSING && queue.length === 0 && isIdle()) end("forced close")
    }

    /**
     * Everything, or over polling as much as the server takes at once; a packet that is larger than that goes alone. A Blob that
     * the transport does not take is read when what is before it has left.
     */
    const takeBatch = (): ReadonlyArray<Packet> => {
      const waiting = queue
      let blob: Blob | undefined
      let count = 0
      let size = 0
      for (const packet of waiting) {
        if (!packet) break
        if (packet instanceof Blob) {
          if (polling || forceBase64) {
            blob = packet
            break
          }
        } else if (polling && waiting.length > 1) {
          // One that is alone need not be measured.
          size += sizeOf(packet)
          if (count > 0 && size + count > maxPayload) break
        }
        count++
      }
      // The array stays while its head is being read.
      if (count > 0) queue = waiting.slice(count)
      if (blob) read(blob)
      return waiting.slice(0, count) as Array<Packet>
    }

    const end = (reason: ClientCloseReason, description?: string, details?: ConnectionDetails, isLeft = false) => {
      const before = state
      if (before === CLOSED) return
      // A WebSocket that comes to nothing, or breaks, is not begun with again.
      if (reason === "transport error" || (before === OPENING && reason !== "forced close")) memory.upgraded = false
      state = CLOSED
      self.isOpen = false
      forgetDeadline?.()
      dropCandidate()
      // A connection that is lost would not carry it.
      transport?.close(isLeft || !/^(trans|ping)/.test(reason) ? self.id : undefined)
      queue = []
      for (const undo of cleanup) undo()
      sink.onClose({
        ...details,
        reason: before === CLOSING ? "forced close" : reason,
        ...(description && { description })
      })
    }

    // -------------------------------------------------------------- what others see

    self.isOpen = false
    self.open = () => {
      // A server on the same machine is there without a network.
      if (!/\/localhost(:|$)/.test(options.origin)) {
        cleanup.push(platform.onOffline(() => end("transport close", "the network was lost")))
      }
      // A page that is frozen keeps no connection; one that is restored finds it closed, and connects again.
      if (options.closeOnPageHide) {
        cleanup.push(platform.onPageHide(() => end("transport close", "the page was left", undefined, true)))
      }
      connect()
    }
    self.send = (text, attachments = [], compress = true) => {
      if (state !== OPEN) return
      const before = queue.length
      if (text) queue.push(text)
      for (const attachment of attachments) queue.push(attachment instanceof Blob ? attachment : encode(attachment))
      if (!compress) for (const packet of queue.slice(before)) raw.add(packet!)
      flushLater()
    }
    self.checkAlive = () => {
      if (state === OPEN && now() > deadline) end("ping timeout")
    }
    self.close = (description) => {
      if (state === CLOSED || state === CLOSING) return
      if (state === OPENING || this.writable) return end("forced close", description)
      state = CLOSING
      self.isOpen = false
      // A server that does not take it any more is not waited for.
      expect(connectTimeout)
      flush()
    }
    self.fail = fail
    this.#isWritable = () => state === OPEN && isIdle() && queue.length === 0
  }
}
