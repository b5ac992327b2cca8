import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { EngineSession, SessionClose, SessionHandler } from "../../engine/EngineSession.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import { queryOf } from "../../engine/RequestDetails.ts"
import { costOf } from "../../internal/cost.ts"
import { TokenBucket } from "../../internal/tokenBucket.ts"
import { hashOf, isMatchable } from "../../internal/namespacePattern.ts"
import type { Decoder } from "../../protocol/PacketParser.ts"
import { isProtocolError, type ProtocolError } from "../../protocol/ProtocolError.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import { namespaceRefusals } from "../ServerMetrics.ts"
import { Backlog } from "./backlog.ts"
import type { ServerRuntime } from "./server.ts"
import type { SocketRuntime } from "./socket.ts"

/** What a CONNECT packet takes beside its namespace and its auth payload, in bytes, in whichever form it comes. */
const CONNECT_OVERHEAD = 256

/** The auth payload of clients that send none. */
const noAuth: Auth = {}

type Auth = Readonly<Record<string, unknown>>

/** Namespaces that a connection is remembered to have left or not to have got into. */
const MAX_LEFT = 1_000

/** Sockets that a connection may have left whose handlers and finalizers are still at work, before it gets no more. */
const MAX_LEAVING = 1_000

/**
 * One engine session, and the namespaces that its client has joined over it (Socket.IO protocol 5; for clients of Engine.IO 3,
 * Socket.IO protocol 4).
 */
export class Connection implements SessionHandler, WheelEntry {
  readonly session: EngineSession
  bucket: number = IDLE
  private readonly server: ServerRuntime
  private readonly decoder: Decoder
  private readonly sockets = new FewSockets()
  /** What waits for handlers; made when the first event has to wait, or its handler does. */
  private lazyBacklog: Backlog | undefined
  /** Watches over attachments that were announced; made with the first packet that has some. */
  private attachments: AttachmentWatch | undefined
  /** The acknowledgements that its client owes. */
  owedAcks = 0
  /** The rooms that its sockets are in, but for those of their own ids. A long name counts for several. */
  rooms = 0
  /** What the auth payloads cost that its sockets keep, in bytes. */
  authBytes = 0
  /** The sockets that are gone, but hold something yet. */
  leaving = 0
  /** Holds it to the rate at which it may have namespaces opened; made with the first one. */
  private openings: OpeningLimiter | undefined
  /** Namespaces that this client is no longer in, though it may not know yet. Their names would be as long as the client likes. */
  private left: Set<number> | undefined

  constructor(session: EngineSession, server: ServerRuntime) {
    this.session = session
    this.server = server
    this.decoder = server.parser.makeDecoder(server.limits)
    server.wheel.schedule(this, server.options.connectTimeout)
  }

  get backlog(): Backlog {
    return (this.lazyBacklog ??= new Backlog(this, this.server.options, this.server.wheel))
  }

  /** Whether as many events wait for handlers as there may be. */
  get isFull(): boolean {
    return this.lazyBacklog !== undefined && this.lazyBacklog.isFull
  }

  /** Somebody waits for an acknowledgement of the client: it has to be read. */
  onAwaiting(): void {
    this.lazyBacklog?.onAwaiting()
  }

  /** Whether any of the client's sockets waits for an acknowledgement of it. */
  get awaitsAck(): boolean {
    return this.owedAcks > 0
  }

  /** Whether the client speaks protocol 4: what it knows of connecting to namespaces differs. */
  get isLegacy(): boolean {
    return this.session.revision === 3
  }

  /** The session is open, and this takes its messages. Clients of protocol 4 are in the default namespace without having asked. */
  onOpen(): void {
    if (this.isLegacy) this.connectTo("/", noAuth)
  }

  onMessage(packet: string): void {
    this.onDecoded(this.decoder.text(packet, 1), packet.length)
  }

  onBinary(bytes: Uint8Array): void {
    this.onDecoded(this.decoder.binary(bytes), bytes.byteLength)
  }

  onClose(close: SessionClose): void {
    this.server.wheel.cancel(this)
    this.lazyBacklog?.close()
    if (this.attachments !== undefined) this.server.wheel.cancel(this.attachments)
    if (this.openings !== undefined) this.server.wheel.cancel(this.openings)
    if (close.description !== undefined) {
      const annotations = { session: this.session.id, reason: close.reason, description: close.description }
      this.server.debug("connection", "connection closed", annotations, this)
    }
    this.endAll(close.reason)
    this.server.removeConnection(this)
  }

  /** No namespace was joined in time. */
  onDeadline(): void {
    this.session.closeUnsafe("connect timeout")
  }

  /** A dynamic namespace opens for one of its sockets. */
  onOpening(): void {
    ;(this.openings ??= new OpeningLimiter(this.session, this.server)).onOpening()
  }

  /** A socket was admitted to its namespace. */
  onAdmitted(): void {
    this.server.wheel.cancel(this)
  }

  /** The socket leaves its namespace while the connection stays. */
  forget(socket: SocketRuntime): void {
    if (this.sockets.remove(socket.home.name)) this.remember(socket.home.name)
  }

  /** Leaves every namespace on behalf of the server, and closes. */
  disconnectAll(): void {
    for (const socket of this.sockets.all()) {
      if (socket.state === "connected") socket.disconnectUnsafe(false)
    }
    this.endAll("server namespace disconnect")
    this.session.closeUnsafe("forced close")
  }

  refuse(namespace: string, message: string, data?: unknown): void {
    const error = this.isLegacy ? (data ?? message) : data === undefined ? { message } : { message, data }
    this.session.sendUnsafe(
      this.server.encode(PacketType.CONNECT_ERROR, namespace, undefined, error, data !== undefined, false)
    )
  }

  /**
   * Clients of protocol 4 are told that they are in the default namespace though nothing serves it: some join others only then. They are
   * in by word alone: there is no socket, and what they send to it is ignored.
   */
  enterUnserved(): void {
    this.onAdmitted()
    this.remember("/")
    this.session.sendUnsafe(this.server.encode(PacketType.CONNECT, "/", undefined, undefined, false, false))
  }

  private turnAway(namespace: string, message: string): void {
    this.remember(namespace)
    this.server.count(namespaceRefusals, { namespace: "" })
    // Of this refusal clients of protocol 4 expect the same form as others.
    this.refuse(namespace, message, this.isLegacy ? { message } : undefined)
  }

  private remember(namespace: string): void {
    const left = (this.left ??= new Set())
    if (left.size < MAX_LEFT && isMatchable(namespace)) left.add(hashOf(namespace))
  }

  private endAll(reason: DisconnectReason): void {
    const sockets = this.sockets.all()
    this.sockets.clear()
    for (const socket of sockets) {
      try {
        socket.end(reason)
      } catch (defect) {
        // The others end all the same.
        this.session.onDefect(defect)
      }
    }
  }

  /** A message was decoded. Its size is that of the packet, unless it was the last of several. */
  private onDecoded(packet: SocketPacket | ProtocolError | undefined, size: number): void {
    if (packet === undefined) return this.awaitAttachments()
    if (isProtocolError(packet)) return this.session.closeUnsafe("parse error", packet.message)
    if (packet.type === PacketType.CONNECT) return this.onConnect(packet, size)
    const socket = this.sockets.get(packet.namespace)
    if (socket !== undefined) return socket.onPacket(packet)
    // What was on its way when the server removed the client from the namespace is no offence.
    if (this.left !== undefined && isMatchable(packet.namespace) && this.left.has(hashOf(packet.namespace))) return
    this.session.closeUnsafe("parse error", `packet for "${packet.namespace}", which was not joined`)
  }

  private awaitAttachments(): void {
    const watch = (this.attachments ??= new AttachmentWatch(this, this.decoder))
    watch.progress++
    if (watch.bucket === IDLE) this.server.wheel.schedule(watch, this.server.options.attachmentTimeout)
  }

  /** Looks again later, as there has been progress. */
  rewatch(watch: AttachmentWatch): void {
    this.server.wheel.schedule(watch, this.server.options.attachmentTimeout)
  }

  private onConnect({ data, namespace }: SocketPacket, size: number): void {
    if (!this.isLegacy) {
      // A packet beyond the bound is not looked at any further.
      const isBounded = size <= namespace.length + this.server.options.maxAuthBytes + CONNECT_OVERHEAD
      return this.connectTo(namespace, isBounded ? ((data ?? noAuth) as Auth) : undefined)
    }
    // They send a query instead of an auth payload, and are in the default namespace already.
    const at = namespace.indexOf("?")
    const name = at < 0 ? namespace : namespace.slice(0, at)
    if (name === "/" && this.sockets.get(name) !== undefined) return
    if (at < 0) return this.connectTo(name, noAuth)
    const isBounded = namespace.length - at <= this.server.options.maxAuthBytes
    this.connectTo(name, isBounded ? Object.fromEntries(queryOf(namespace.slice(at))) : undefined)
  }

  /** Connects to a namespace; `undefined` is an auth payload that is larger than any may be. */
  private connectTo(namespace: string, auth: Auth | undefined): void {
    if (this.sockets.get(namespace) !== undefined) {
      return this.session.closeUnsafe("parse error", `second CONNECT to "${namespace}"`)
    }
    if (this.sockets.size >= this.server.options.maxNamespaces || this.leaving >= MAX_LEAVING) {
      return this.turnAway(namespace, "Too many namespaces")
    }
    const home = this.server.findNamespace(namespace)
    if (home === undefined) {
      if (this.server.mayCome(namespace)) return this.session.closeUnsafe("server shutting down")
      if (this.isLegacy && namespace === "/") return this.enterUnserved()
      return this.turnAway(namespace, "Invalid namespace")
    }
    const authBytes = auth === undefined || auth === noAuth ? 0 : costOf(auth)
    if (auth === undefined || this.authBytes + authBytes > this.server.options.maxAuthBytes) {
      // It may be there for this client alone.
      this.server.forgetIfUnused(home)
      return this.turnAway(namespace, "Auth payload too large")
    }
    this.left?.delete(hashOf(namespace))
    const socket = home.makeSocket(this, auth)
    socket.authBytes = authBytes
    this.authBytes += authBytes
    this.sockets.add(socket)
    home.connect(socket)
  }
}

/**
 * Ends a connection whose announced attachments do not come. It looks at the connection once per timeout instead of setting a
 * timer for every packet, so a peer is given between one and two timeouts for the next attachment.
 */
class AttachmentWatch implements WheelEntry {
  bucket: number = IDLE
  /** Counts what has come while attachments were awaited. */
  progress = 0
  private seen = 0
  private readonly connection: Connection
  private readonly decoder: Decoder

  constructor(connection: Connection, decoder: Decoder) {
    this.connection = connection
    this.decoder = decoder
  }

  onDefect(defect: unknown): void {
    this.connection.session.onDefect(defect)
  }

  onDeadline(): void {
    if (this.decoder.pending === 0) return
    if (this.progress === this.seen) {
      return this.connection.session.closeUnsafe("parse error", "announced attachments did not come")
    }
    this.seen = this.progress
    this.connection.rewatch(this)
  }
}

/** Pauses reading from a client that has dynamic namespaces opened faster than it may. */
class OpeningLimiter implements WheelEntry {
  bucket: number = IDLE
  private readonly tokens: TokenBucket
  private readonly session: EngineSession
  private readonly wheel: TimerWheel

  constructor(session: EngineSession, { options, wheel }: ServerRuntime) {
    this.tokens = new TokenBucket(options.openingRate)
    this.session = session
    this.wheel = wheel
  }

  onOpening(): void {
    const missing = this.tokens.spend(this.wheel.now())
    if (missing > 0) this.wait(missing)
  }

  onDeadline(): void {
    // More may have been opened meanwhile: what had been read already.
    const missing = this.tokens.missing(this.wheel.now(), 0)
    if (missing > 0) this.wait(missing)
    else this.session.resumeUnsafe("openings")
  }

  onDefect(defect: unknown): void {
    this.session.onDefect(defect)
  }

  private wait(millis: number): void {
    this.session.pauseUnsafe("openings")
    this.wheel.schedule(this, millis)
  }
}

/** A client's sockets by the names of their namespaces. Most clients have one: it needs no map. */
class FewSockets {
  private first: SocketRuntime | undefined
  private others: Map<string, SocketRuntime> | undefined

  get size(): number {
    return (this.first === undefined ? 0 : 1) + (this.others?.size ?? 0)
  }

  get(name: string): SocketRuntime | undefined {
    const { first } = this
    return first !== undefined && first.home.name === name ? first : this.others?.get(name)
  }

  /** Adds a socket whose namespace has none here. */
  add(socket: SocketRuntime): void {
    if (this.size === 0) this.first = socket
    else (this.others ??= new Map<string, SocketRuntime>()).set(socket.home.name, socket)
  }

  /** Whether there was one. */
  remove(name: string): boolean {
    if (this.first?.home.name !== name) return this.others?.delete(name) === true
    this.first = undefined
    return true
  }

  /** All of them, the longest there first. */
  all(): Array<SocketRuntime> {
    const others = this.others === undefined ? [] : Array.from(this.others.values())
    return this.first === undefined ? others : [this.first, ...others]
  }

  clear(): void {
    this.first = this.others = undefined
  }
}
