import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { EngineSession, SessionClose, SessionHandler } from "../../engine/EngineSession.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import { queryOf } from "../../engine/RequestDetails.ts"
import { OUR_CLIENT, TRACED_CLIENT } from "../../internal/attributes.ts"
import { costOf } from "../../internal/cost.ts"
import { TokenBucket } from "../../internal/tokenBucket.ts"
import { hashOf, isMatchable } from "../../internal/namespacePattern.ts"
import type { Decoder } from "../../protocol/PacketParser.ts"
import { isProtocolError, type ProtocolError } from "../../protocol/ProtocolError.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import { namespaceRefusals } from "../ServerMetrics.ts"
import { Backlog } from "./backlog.ts"
import { Departure } from "./departure.ts"
import type { Environment } from "./environment.ts"
import { Receipts } from "./receipts.ts"

/** The bytes of a CONNECT packet beside its namespace and its auth payload, in any encoding. */
const CONNECT_OVERHEAD = 256

/** The size from which a message's beginning is checked first, in bytes or characters. */
const LARGE = 16 * 1024

/** The auth payload of clients that send none. */
const noAuth: Auth = {}

export type Auth = Readonly<Record<string, unknown>>

/**
 * The number of namespaces that a connection remembers after the client has left them, or was
 * refused.
 */
const MAX_LEFT = 1_000

/**
 * The number of ended sockets whose finalizers still run. At this number the connection gets no
 * more sockets.
 */
const MAX_LEAVING = 1_000

/** A client in one namespace, as its connection sees it. */
export interface Member {
  readonly namespace: { readonly name: string }
  readonly isConnected: boolean
  /** Whether such an event has no effect here, whatever its arguments are. */
  ignores(event: string): boolean
  /** Takes a packet of the client for this namespace, other than CONNECT. */
  onPacket(packet: SocketPacket): void
  disconnectUnsafe(close: boolean): void
  /** The client has left: the acknowledgements that it owes will not come. */
  abandonAcks(): void
  /** The ping of a number was sent. */
  onPing(ping: number): void
  /** The ping of a number was answered. */
  onPong(ping: number): void
  /** Stops every delivery, whatever the reason is. */
  end(reason: DisconnectReason): void
}

/** The application's form of a connection, as the connection uses it. */
export interface ConnectionHolder {
  /** A socket of the connection, or the connection itself, has released everything. */
  onReleased(): void
}

/** A namespace, in the form in which a connection joins it. */
export interface Entrance {
  /** Makes the client a member, and decides whether it is admitted. */
  connect(connection: Connection, auth: Auth, authBytes: number): void
  /** The client does not connect: the namespace is forgotten if nothing else needs it. */
  forgetIfUnused(): void
}

/** Leads a connection to namespaces. */
export interface Directory {
  /** Returns the namespace that a client may connect to, or wait for. */
  find(name: string): Entrance | undefined
  /** Whether a missing namespace may still come. */
  mayCome(name: string): boolean
}

/**
 * One engine session, and the namespaces that its client has joined over it (Socket.IO protocol 5;
 * for clients of Engine.IO 3, Socket.IO protocol 4).
 */
export class Connection implements SessionHandler, WheelEntry {
  readonly session: EngineSession
  bucket: number = IDLE
  readonly environment: Environment
  private readonly directory: Directory
  private readonly decoder: Decoder
  private readonly members = new FewMembers()
  /** Made when an event has to wait for the first time, or its handler does. */
  private lazyBacklog: Backlog | undefined
  /** Watches announced attachments. Made with the first packet that has some. */
  private attachments: AttachmentWatch | undefined
  /** The acknowledgements that its client owes. */
  owedAcks = 0
  /**
   * The number of rooms of its sockets, without those of their own ids. A long name counts as
   * several.
   */
  private rooms = 0
  /** The cost of the auth payloads that its sockets keep, in bytes. */
  authBytes = 0
  /** The sockets that have ended, but still hold resources. */
  leaving = 0
  /** Made when the application uses it. */
  holder: ConnectionHolder | undefined
  /** Numbers the pings, where recovery is on. */
  private readonly receipts: Receipts | undefined
  /** Limits how often the client may open namespaces. Made with the first one. */
  private openings: OpeningLimiter | undefined
  /**
   * The namespaces that the client has left, though it may not know yet. They are stored as hashes,
   * as a client may choose long names.
   */
  private left: Set<number> | undefined
  /** Made when a drain moves the client to another server. */
  private departure: Departure | undefined

  constructor(session: EngineSession, environment: Environment, directory: Directory) {
    this.session = session
    this.environment = environment
    this.directory = directory
    this.decoder = environment.parser.makeDecoder(environment.limits)
    this.receipts = environment.recovery === undefined ? undefined : new Receipts()
    environment.wheel.schedule(this, environment.options.connectTimeout)
  }

  get backlog(): Backlog {
    return (this.lazyBacklog ??= new Backlog(this, this.environment.options, this.environment.wheel))
  }

  /** Whether the number of waiting events is at its limit. */
  get isFull(): boolean {
    return this.lazyBacklog !== undefined && this.lazyBacklog.isFull
  }

  /** An acknowledgement of the client is awaited, so the client must be read. */
  onAwaiting(): void {
    this.lazyBacklog?.onAwaiting()
  }

  /** Whether any of the client's sockets waits for an acknowledgement of it. */
  get awaitsAck(): boolean {
    return this.owedAcks > 0
  }

  /**
   * Whether the client owes the most acknowledgements that are allowed, over all of its sockets.
   */
  get owesTooMany(): boolean {
    return this.owedAcks >= this.environment.options.maxPendingAcks
  }

  /** Whether the connection may be in more rooms, by this weight. */
  mayEnterRooms(weight: number): boolean {
    return this.rooms + weight <= this.environment.options.maxRooms
  }

  /** Counts a room, unless the limit is reached. */
  enterRoom(weight: number): boolean {
    if (!this.mayEnterRooms(weight)) return false
    this.rooms += weight
    return true
  }

  leaveRoom(weight: number): void {
    this.rooms -= weight
  }

  /** Whether the client speaks protocol 4, which connects to namespaces in another way. */
  get isLegacy(): boolean {
    return this.session.revision === 3
  }

  /**
   * The session is open. A client of protocol 4 is in the default namespace without asking for it.
   */
  onOpen(): void {
    if (this.isLegacy) this.connectTo("/", noAuth)
  }

  onMessage(packet: string): void {
    const unread = packet.length < LARGE ? undefined : this.unread(packet, 1, packet.length)
    this.onDecoded(unread ?? this.decoder.text(packet, 1), packet.length)
  }

  onBinary(bytes: Uint8Array): void {
    const size = bytes.byteLength
    const unread = size < LARGE ? undefined : this.unread(bytes, 0, size)
    this.onDecoded(unread ?? this.decoder.binary(bytes), size)
  }

  onPing(): void {
    // It says nothing of messages that were not sent.
    if (this.isSilent) return
    const ping = this.receipts?.onPing()
    if (ping !== undefined) for (const member of this.members.all()) member.onPing(ping)
  }

  onPong(): void {
    const ping = this.receipts?.onPong()
    if (ping !== undefined) for (const member of this.members.all()) member.onPong(ping)
  }

  onClose(close: SessionClose): void {
    const { observer, wheel } = this.environment
    wheel.cancel(this)
    if (this.departure !== undefined) wheel.cancel(this.departure)
    this.lazyBacklog?.close()
    if (this.attachments !== undefined) wheel.cancel(this.attachments)
    if (this.openings !== undefined) wheel.cancel(this.openings)
    if (close.description !== undefined) {
      const annotations = { session: this.session.id, reason: close.reason, description: close.description }
      observer.debug("connection", "connection closed", annotations, this)
    }
    // The connection counts as one of its sockets, so that it is not released between two of them.
    this.leaving++
    this.endAll(close.reason)
    this.onReleased()
  }

  // ---------------------------------------------------------------- departure

  /** Whether the client is one of this library: it understands more than the protocol. */
  get isOurs(): boolean {
    const fx = this.session.details.query.get("fx")
    return fx === OUR_CLIENT || fx === TRACED_CLIENT
  }

  /** Whether the client takes trace contexts, and the server has some. */
  get isTraced(): boolean {
    return this.environment.observer.tracing !== undefined && this.session.details.query.get("fx") === TRACED_CLIENT
  }

  /** Whether nothing is sent to its sockets any more, as the client moves to another server. */
  get isSilent(): boolean {
    return this.departure !== undefined && (this.departure.isSilent || !this.session.isOpen)
  }

  get inFlight(): number {
    return this.lazyBacklog?.size ?? 0
  }

  onLeaving(within: number, leave: () => void): void {
    this.departure = new Departure(this, leave)
    this.departure.start(within)
  }

  onLeft(end: () => void): void {
    this.departure!.onLeft(end)
  }

  abandonAcks(): void {
    for (const member of this.members.all()) member.abandonAcks()
  }

  /** Whether it is in one of these namespaces, or on the way into it. */
  isIn(concerns: (namespace: string) => boolean): boolean {
    return this.members.all().some(({ namespace }) => concerns(namespace.name))
  }

  /** A socket that has ended holds nothing any more. */
  onReleased(): void {
    this.leaving--
    this.holder?.onReleased()
  }

  /** Whether it has ended, and its sockets have released everything. */
  get isReleased(): boolean {
    return !this.session.isAlive && this.leaving === 0
  }

  /** No namespace was joined in time. */
  onDeadline(): void {
    this.session.closeUnsafe("connect timeout")
  }

  /** A dynamic namespace opens for one of its sockets. */
  onOpening(): void {
    ;(this.openings ??= new OpeningLimiter(this.session, this.environment)).onOpening()
  }

  /** A socket was admitted to its namespace. */
  onAdmitted(): void {
    this.environment.wheel.cancel(this)
  }

  /** The client is about to connect to a namespace. */
  add(member: Member, authBytes: number): void {
    this.left?.delete(hashOf(member.namespace.name))
    this.authBytes += authBytes
    this.members.add(member)
  }

  /** The client leaves a namespace while the connection stays. */
  forget({ namespace }: Member): void {
    if (this.members.remove(namespace.name)) this.remember(namespace.name)
  }

  /** The sockets that are connected, the oldest first. */
  get connectedMembers(): ReadonlyArray<Member> {
    return this.members.all().filter((member) => member.isConnected)
  }

  /** Leaves every namespace on behalf of the server, and closes. */
  disconnectAll(): void {
    for (const member of this.members.all()) if (member.isConnected) member.disconnectUnsafe(false)
    this.endAll("server namespace disconnect")
    this.session.closeUnsafe("forced close")
  }

  refuse(namespace: string, message: string, data?: unknown): void {
    const error = this.isLegacy ? (data ?? message) : data === undefined ? { message } : { message, data }
    this.session.sendUnsafe(this.environment.wire.connectError(namespace, error, data !== undefined))
  }

  /**
   * Tells a client of protocol 4 that it is in the default namespace, though no layer serves it:
   * some clients join others only then. There is no socket, and the client's packets for that
   * namespace are ignored.
   */
  enterUnserved(): void {
    this.onAdmitted()
    this.remember("/")
    this.session.sendUnsafe(this.environment.wire.connect("/", undefined))
  }

  private turnAway(namespace: string, message: string): void {
    this.remember(namespace)
    this.environment.observer.count(namespaceRefusals, { namespace: "" })
    // Clients of protocol 4 expect this one refusal in the form of protocol 5.
    this.refuse(namespace, message, this.isLegacy ? { message } : undefined)
  }

  private remember(namespace: string): void {
    const left = (this.left ??= new Set())
    if (left.size < MAX_LEFT && isMatchable(namespace)) left.add(hashOf(namespace))
  }

  private endAll(reason: DisconnectReason): void {
    const members = this.members.all()
    this.members.clear()
    for (const member of members) {
      try {
        member.end(reason)
      } catch (defect) {
        // The other sockets still end.
        this.session.onDefect(defect)
      }
    }
  }

  /** Returns a large packet without its payload, if it has no effect: it need not be parsed. */
  private unread(message: string | Uint8Array, offset: number, size: number): SocketPacket | undefined {
    if (this.decoder.pending > 0) return undefined
    const packet = this.environment.preview?.(message, offset)
    if (packet === undefined) return undefined
    const { data, namespace, type } = packet
    if (type === PacketType.CONNECT) return this.isBounded(namespace, size) ? undefined : packet
    const event = (data as ReadonlyArray<string>)[0]!
    return this.members.get(namespace)?.ignores(event) === true ? packet : undefined
  }

  /** Whether a CONNECT of this size may fit the limit of auth payloads. */
  private isBounded(namespace: string, size: number): boolean {
    return size <= namespace.length + this.environment.options.maxAuthBytes + CONNECT_OVERHEAD
  }

  /** A message was decoded. Its size is that of the packet, unless it was the last of several. */
  private onDecoded(packet: SocketPacket | ProtocolError | undefined, size: number): void {
    if (packet === undefined) return this.awaitAttachments()
    if (isProtocolError(packet)) return this.session.closeUnsafe("parse error", packet.message)
    if (this.departure?.onPacket(packet)) return
    if (packet.type === PacketType.CONNECT) return this.onConnect(packet, size)
    const member = this.members.get(packet.namespace)
    if (member !== undefined) return member.onPacket(packet)
    // The packet may have been on its way when the client was removed from the namespace.
    if (this.left !== undefined && isMatchable(packet.namespace) && this.left.has(hashOf(packet.namespace))) return
    this.session.closeUnsafe("parse error", `packet for "${packet.namespace}", which was not joined`)
  }

  private awaitAttachments(): void {
    const watch = (this.attachments ??= new AttachmentWatch(this, this.decoder))
    watch.progress++
    if (watch.bucket === IDLE) this.environment.wheel.schedule(watch, this.environment.options.attachmentTimeout)
  }

  /** Checks again later, as there has been progress. */
  rewatch(watch: AttachmentWatch): void {
    this.environment.wheel.schedule(watch, this.environment.options.attachmentTimeout)
  }

  private onConnect({ data, namespace }: SocketPacket, size: number): void {
    // The client asks its next server again.
    if (this.isSilent) return
    if (!this.isLegacy) {
      // The payload of a packet that exceeds the limit is not parsed.
      return this.connectTo(namespace, this.isBounded(namespace, size) ? ((data ?? noAuth) as Auth) : undefined)
    }
    // They send a query instead of an auth payload, and are in the default namespace already.
    const at = namespace.indexOf("?")
    const name = at < 0 ? namespace : namespace.slice(0, at)
    if (name === "/" && this.members.get(name) !== undefined) return
    if (at < 0) return this.connectTo(name, noAuth)
    const isBounded = namespace.length - at <= this.environment.options.maxAuthBytes
    this.connectTo(name, isBounded ? Object.fromEntries(queryOf(namespace.slice(at))) : undefined)
  }

  /**
   * The client asks again while it waits for the answer: official clients do so without a DISCONNECT
   * in between, if the application disconnects and connects them, or connects them twice. The last
   * payload counts, and there is one answer.
   */
  private startOver(member: Member): void {
    this.forget(member)
    // A session that it has asked for waits for it.
    member.end("session resumed")
  }

  /** Connects to a namespace. `undefined` stands for an auth payload that is too large. */
  private connectTo(namespace: string, auth: Auth | undefined): void {
    const member = this.members.get(namespace)
    if (member?.isConnected === true) {
      return this.session.closeUnsafe("parse error", `second CONNECT to "${namespace}"`)
    }
    if (member !== undefined) this.startOver(member)
    if (this.members.size >= this.environment.options.maxNamespaces || this.leaving >= MAX_LEAVING) {
      return this.turnAway(namespace, "Too many namespaces")
    }
    const entrance = this.directory.find(namespace)
    if (entrance === undefined) {
      // A refusal would be final. After a lost connection clients come back.
      if (this.directory.mayCome(namespace)) return this.session.closeUnsafe("server shutting down")
      if (this.isLegacy && namespace === "/") return this.enterUnserved()
      return this.turnAway(namespace, "Invalid namespace")
    }
    const authBytes = auth === undefined || auth === noAuth ? 0 : costOf(auth)
    if (auth === undefined || this.authBytes + authBytes > this.environment.options.maxAuthBytes) {
      entrance.forgetIfUnused()
      return this.turnAway(namespace, "Auth payload too large")
    }
    entrance.connect(this, auth, authBytes)
  }
}

/**
 * Ends a connection whose announced attachments do not come. It checks the connection once per
 * timeout instead of setting a timer for every packet, so the next attachment may take between one
 * and two timeouts.
 */
class AttachmentWatch implements WheelEntry {
  bucket: number = IDLE
  /** Counts the messages that came while attachments were awaited. */
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

/** Pauses reading from a client that opens dynamic namespaces too fast. */
class OpeningLimiter implements WheelEntry {
  bucket: number = IDLE
  private readonly tokens: TokenBucket
  private readonly session: EngineSession
  private readonly wheel: TimerWheel

  constructor(session: EngineSession, { options, wheel }: Environment) {
    this.tokens = new TokenBucket(options.openingRate)
    this.session = session
    this.wheel = wheel
  }

  onOpening(): void {
    const missing = this.tokens.spend(this.wheel.now())
    if (missing > 0) this.wait(missing)
  }

  onDeadline(): void {
    // Packets that had already been read may have opened more meanwhile.
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

/**
 * A client's sockets by the names of their namespaces. Most clients have one, which needs no map.
 */
class FewMembers {
  private first: Member | undefined
  private others: Map<string, Member> | undefined

  get size(): number {
    return (this.first === undefined ? 0 : 1) + (this.others?.size ?? 0)
  }

  get(name: string): Member | undefined {
    const { first } = this
    return first !== undefined && first.namespace.name === name ? first : this.others?.get(name)
  }

  /** Adds a member of a namespace that has none here. */
  add(member: Member): void {
    if (this.size === 0) this.first = member
    else (this.others ??= new Map<string, Member>()).set(member.namespace.name, member)
  }

  /** Returns whether there was one. */
  remove(name: string): boolean {
    if (this.first?.namespace.name !== name) return this.others?.delete(name) === true
    this.first = undefined
    return true
  }

  /** All of them, the oldest first. */
  all(): Array<Member> {
    const others = this.others === undefined ? [] : Array.from(this.others.values())
    return this.first === undefined ? others : [this.first, ...others]
  }

  clear(): void {
    this.first = this.others = undefined
  }
}
