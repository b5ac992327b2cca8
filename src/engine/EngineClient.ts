/**
 * The client's end of an Engine.IO session: one connection, whichever transport it uses (Engine.IO protocol 4).
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

import { decodeBinaryText, decodeOpen, encodeBinaryText, type OpenData } from "../protocol/EnginePacket.ts"
import { isProtocolError } from "../protocol/ProtocolError.ts"
import { ClientPolling } from "./internal/client/polling.ts"
import { Deadline } from "./internal/client/deadline.ts"
import { sizeOf } from "./internal/client/payload.ts"
import type { ClientTransport, ClientTransportSink, TransportEnd } from "./internal/client/transport.ts"
import { ClientWebSocketTransport } from "./internal/client/webSocket.ts"
import type { ClientPlatformShape } from "./ClientPlatform.ts"
import type { TransportName } from "./Transport.ts"

/**
 * Why a client's session ended.
 *
 * - `transport error`: a request failed, or the WebSocket did.
 * - `transport close`: the server closed it, the network was lost, or the page was left or frozen.
 * - `ping timeout`: the server sent no ping within `pingInterval + pingTimeout`.
 * - `parse error`: the server sent what the protocol does not allow.
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
  | "timeout"
  | "forced close"

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientClose {
  readonly reason: ClientCloseReason
  /** What exactly happened, where more is known than the reason. */
  readonly description: string | undefined
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
  /** With a slash at either end. */
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
}

const PONG = "3"

/**
 * The client's end of a session. Its methods are synchronous; it lives until either side closes it.
 *
 * @since 0.1.0
 * @category models
 */
export class EngineClient implements ClientTransportSink {
  readonly #options: EngineClientOptions
  readonly #runtime: EngineClientRuntime
  readonly #sink: EngineClientSink
  readonly #cleanup: Array<() => void> = []
  readonly #watch: Deadline
  /** A WebSocket that swallows the probe is not kept open for ever, nor is what waits for the upgrade. */
  readonly #upgradeWatch: Deadline
  /** Those that have not failed yet, in the order in which they are tried. */
  #transports: ReadonlyArray<TransportName>
  #transport: ClientTransport | undefined
  #candidate: ClientWebSocketTransport | undefined
  #handshake: OpenData | undefined
  /** Its head is `undefined` while a Blob is read there. */
  #queue: Array<string | Uint8Array | Blob | undefined> = []
  #state: "opening" | "open" | "closing" | "closed" = "opening"
  /** The probe was answered: what is sent waits, as polling takes nothing more, until the transport has changed. */
  #upgrading = false
  #flushing = false

  constructor(options: EngineClientOptions, runtime: EngineClientRuntime, sink: EngineClientSink) {
    this.#options = options
    this.#runtime = runtime
    this.#sink = sink
    this.#watch = new Deadline(runtime, () =>
      this.#state === "opening"
        ? this.#failOpening("timeout", "the connection took too long")
        : this.#end("ping timeout")
    )
    this.#upgradeWatch = new Deadline(runtime, () => this.#failUpgrade())
    const { rememberUpgrade, transports } = options
    const remembered = rememberUpgrade && runtime.memory.upgraded && transports.includes("websocket")
    this.#transports = remembered ? [...new Set<TransportName>(["websocket", ...transports])] : transports
  }

  /** The session's id, once it is open. */
  get id(): string | undefined {
    return this.#handshake?.sid
  }

  get isOpen(): boolean {
    return this.#state === "open"
  }

  get transportName(): TransportName | undefined {
    return this.#transport?.name
  }

  /** Whether what is sent now leaves at once. */
  get writable(): boolean {
    return this.#state === "open" && this.#transport!.writable && this.#queue.length === 0
  }

  /** Begins to open the session. */
  open(): void {
    const { closeOnPageHide, origin } = this.#options
    const { platform } = this.#runtime
    // A server on the same machine is there without a network.
    if (!/\/localhost(:|$)/.test(origin)) {
      this.#cleanup.push(platform.onOffline(() => this.#end("transport close", "the network was lost")))
    }
    // A page that is frozen keeps no connection; one that is restored finds it closed, and connects again.
    if (closeOnPageHide) {
      this.#cleanup.push(platform.onPageHide(() => this.#end("transport close", "the page was left", true)))
    }
    this.#connect()
  }

  /**
   * Sends a message: the text of a packet with its leading `4`, and binary messages behind it. What comes behind a Blob waits until
   * it is read; one that cannot be read ends the session.
   */
  send(text: string | undefined, attachments: ReadonlyArray<Uint8Array | Blob> | undefined): void {
    if (this.#state !== "open") return
    if (text !== undefined) this.#enqueue(text)
    for (const attachment of attachments ?? []) {
      this.#enqueue(isBlob(attachment) ? attachment : this.#encode(attachment))
    }
    this.#flushLater()
  }

  /** Ends the session if the server's ping is overdue: timers of a page in the background come late, and what is sent meanwhile is lost. */
  checkAlive(): void {
    if (this.#state === "open" && this.#runtime.now() > this.#watch.at) this.#end("ping timeout")
  }

  /** Closes the session, behind what is being sent and what waits to be; after `connectTimeout` also without that. */
  close(description?: string): void {
    if (this.#state === "closed" || this.#state === "closing") return
    if (this.#state === "opening" || this.writable) return this.#end("forced close", description)
    this.#state = "closing"
    // A server that does not take it any more is not waited for.
    this.#watch.set(this.#options.connectTimeout)
    this.#flush()
  }

  /** Ends the session at once: what the server said is not what the protocol allows. */
  fail(reason: "parse error", description: string): void {
    this.#end(reason, description)
  }

  // ---------------------------------------------------------------- opening

  #connect(): void {
    this.#watch.set(this.#options.connectTimeout)
    const name = this.#transports[0]!
    if (name === "polling") {
      const polling = new ClientPolling(() => this.#url("polling"), this.#options, this.#runtime, this)
      this.#transport = polling
      return polling.open()
    }
    const transport = this.#makeWebSocket(this)
    this.#transport = transport
    transport.open(() => {})
  }

  #makeWebSocket(sink: ClientTransportSink): ClientWebSocketTransport {
    const { headers, protocols, withCredentials } = this.#options
    const url = this.#url("websocket").replace(/^http/, "ws")
    return new ClientWebSocketTransport(this.#runtime.platform, { url, headers, protocols, withCredentials }, sink)
  }

  #url(transport: TransportName): string {
    const { forceBase64, origin, path, query } = this.#options
    const params = new URLSearchParams(query)
    params.set("EIO", "4")
    params.set("transport", transport)
    if (this.id === undefined) params.delete("sid")
    else params.set("sid", this.id)
    if (forceBase64) params.set("b64", "1")
    // Some caches in the field take a GET for the same as the one before.
    if (transport === "polling") params.set("t", (++counter).toString(36))
    return `${origin}${path}?${params.toString()}`
  }

  /** A transport that leads nowhere, or to who is no server of ours: another one may lead there. */
  #failOpening(reason: ClientCloseReason, description: string): void {
    if (!this.#options.tryAllTransports || this.#transports.length < 2) return this.#end(reason, description)
    this.#transports = this.#transports.slice(1)
    this.#transport!.close(undefined)
    this.#connect()
  }

  #onOpenPacket(packet: string): void {
    const handshake = decodeOpen(packet)
    if (isProtocolError(handshake)) return this.#failOpening("parse error", handshake.message)
    this.#handshake = handshake
    this.#state = "open"
    this.#runtime.memory.upgraded = this.#transport!.name === "websocket"
    this.#sink.onOpen(handshake)
    this.#expectPing()
    if (this.isOpen && this.#options.upgrade && this.#transport!.name === "polling") this.#probe(handshake)
  }

  // ---------------------------------------------------------------- upgrade

  #probe({ upgrades }: OpenData): void {
    if (!upgrades.includes("websocket") || !this.#transports.includes("websocket")) return
    const fail = () => this.#failUpgrade()
    const candidate = this.#makeWebSocket({
      onPacket: (packet) => {
        if (packet !== "3probe" || this.#upgrading) return fail()
        this.#upgrading = true
        ;(this.#transport as ClientPolling).pause(() => this.#completeUpgrade(candidate))
      },
      onBinary: fail,
      onDrain: () => {},
      onEnd: fail
    })
    this.#candidate = candidate
    this.#upgradeWatch.set(this.#options.connectTimeout)
    candidate.open(() => candidate.write(["2probe"]))
  }

  #completeUpgrade(candidate: ClientWebSocketTransport): void {
    this.#dropCandidate()
    candidate.useSink(this)
    candidate.write(["5"])
    this.#transport = candidate
    this.#runtime.memory.upgraded = true
    this.#sink.onUpgrade()
    this.#flush()
  }

  /** The session stays with polling. */
  #failUpgrade(): void {
    const upgrading = this.#upgrading
    this.#candidate?.close()
    this.#dropCandidate()
    if (upgrading) (this.#transport as ClientPolling).resume()
  }

  #dropCandidate(): void {
    this.#upgradeWatch.clear()
    this.#candidate = undefined
    this.#upgrading = false
  }

  // ---------------------------------------------------------------- in

  onPacket(packet: string): void {
    if (this.#state === "closed") return
    const code = packet.charCodeAt(0)
    if (this.#state === "opening") return this.#onOpenPacket(packet)
    switch (code) {
      case 52: // message
        return this.#sink.onMessage(packet)
      case 50: // ping
        this.#expectPing()
        // One answer is enough for pings that come faster than it can be sent.
        if (this.#queue.at(-1) !== PONG) this.#enqueue(PONG)
        return this.#flushLater()
      case 98: {
        const bytes = decodeBinaryText(packet)
        return isProtocolError(bytes) ? this.#end("parse error", bytes.message) : this.#sink.onBinary(bytes)
      }
      case 49: // close
        return this.#end("transport close", "closed by the server")
      case 48: // a second open
      case 51: // pong
      case 53: // upgrade
      case 54: // noop
        return
      default:
        return this.#end("parse error", "unknown packet type")
    }
  }

  onBinary(bytes: Uint8Array): void {
    if (this.#state === "opening") return this.#failOpening("parse error", "binary before the open packet")
    if (this.#state !== "closed") this.#sink.onBinary(bytes)
  }

  onEnd({ description, reason }: TransportEnd): void {
    if (this.#state === "opening") this.#failOpening(reason, description)
    else this.#end(reason, description)
  }

  #expectPing(): void {
    const { pingInterval, pingTimeout } = this.#handshake!
    if (this.#state === "open") this.#watch.set(pingInterval + pingTimeout)
  }

  // ---------------------------------------------------------------- out

  onDrain(): void {
    this.#flush()
  }

  #enqueue(packet: string | Uint8Array | Blob): void {
    this.#queue.push(packet)
  }

  #encode(bytes: Uint8Array): string | Uint8Array {
    return this.#options.forceBase64 ? encodeBinaryText(bytes) : bytes
  }

  /** Reads the Blob at the head: what is in it takes its place. */
  async #read(blob: Blob): Promise<void> {
    const queue = this.#queue
    queue[0] = undefined
    const bytes = await blob.arrayBuffer().catch((cause: unknown) => this.#end("transport error", String(cause)))
    if (bytes === undefined) return
    // If the session has ended meanwhile, it has another queue.
    queue[0] = this.#encode(new Uint8Array(bytes))
    this.#flush()
  }

  /** What is sent within one turn leaves together. */
  #flushLater(): void {
    if (this.#flushing) return
    this.#flushing = true
    const { defer = queueMicrotask } = this.#runtime.platform
    defer(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#state === "closed" || this.#state === "opening" || !this.#transport!.writable) return
    const batch = this.#takeBatch()
    if (batch.length > 0) this.#transport!.write(batch)
    if (this.#state === "closing" && this.#queue.length === 0 && this.#transport!.writable) this.#end("forced close")
  }

  /**
   * Everything, or over polling as much as the server takes at once; a packet that is larger than that goes alone. A Blob that
   * the transport does not take is read when what is before it has left.
   */
  #takeBatch(): ReadonlyArray<string | Uint8Array | Blob> {
    const queue = this.#queue
    const isPolling = this.#transport!.name === "polling"
    let blob: Blob | undefined
    let count = 0
    let size = 0
    for (const packet of queue) {
      if (packet === undefined) break
      if (isBlob(packet)) {
        if (isPolling || this.#options.forceBase64) {
          blob = packet
          break
        }
      } else if (isPolling && queue.length > 1) {
        // One that is alone need not be measured.
        size += sizeOf(packet)
        if (count > 0 && size + count > this.#handshake!.maxPayload) break
      }
      count++
    }
    // The array stays while its head is being read.
    if (count > 0) this.#queue = queue.slice(count)
    if (blob !== undefined) void this.#read(blob)
    return queue.slice(0, count) as Array<string | Uint8Array | Blob>
  }

  #end(
    reason: ClientCloseReason,
    description?: string,
    tellServer = reason === "forced close" || reason === "parse error"
  ): void {
    const state = this.#state
    if (state === "closed") return
    // A WebSocket that comes to nothing, or breaks, is not begun with again.
    if (reason === "transport error" || (state === "opening" && reason !== "forced close")) {
      this.#runtime.memory.upgraded = false
    }
    this.#state = "closed"
    this.#watch.clear()
    this.#candidate?.close()
    this.#dropCandidate()
    this.#transport?.close(tellServer ? this.id : undefined)
    this.#queue = []
    for (const undo of this.#cleanup) undo()
    this.#sink.onClose({ reason: state === "closing" ? "forced close" : reason, description })
  }
}

let counter = 0

const isBlob = (packet: string | Uint8Array | Blob): packet is Blob =>
  typeof packet !== "string" && !ArrayBuffer.isView(packet)
