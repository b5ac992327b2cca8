import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { EngineSession, SessionClose, SessionHandler } from "../../engine/EngineSession.ts"
import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { Decoder } from "../../protocol/PacketParser.ts"
import { isProtocolError, type ProtocolError } from "../../protocol/ProtocolError.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import { AttachmentWatch } from "./attachmentWatch.ts"
import { Backlog } from "./backlog.ts"
import { Departure } from "./departure.ts"
import type { Environment } from "./environment.ts"
import { type Entrances, joinDefault, type Joining, mayFit, onConnect } from "./joining.ts"
import { type Member, Members } from "./members.ts"
import { OpeningLimiter } from "./openingLimiter.ts"
import { Receipts } from "./receipts.ts"
import type { RoomCount } from "./roomLimit.ts"

/** The size from which a message's beginning is checked first, in bytes or characters. */
const LARGE = 16 * 1024

/** The application's form of a connection, as the connection uses it. */
export interface ConnectionHolder {
  /** A socket of the connection, or the connection itself, has released everything. */
  onReleased(): void
}

/**
 * One engine session, and the namespaces that its client has joined over it (Socket.IO protocol 5;
 * for clients of Engine.IO 3, Socket.IO protocol 4).
 */
export class Connection implements SessionHandler, Joining, RoomCount, WheelEntry {
  readonly session: EngineSession
  bucket: number = IDLE
  readonly environment: Environment
  readonly entrances: Entrances<Connection>
  private readonly decoder: Decoder
  readonly members = new Members()
  /** Made when an event has to wait for the first time, or its handler does. */
  private lazyBacklog: Backlog | undefined
  /** Watches announced attachments. Made with the first packet that has some. */
  private attachments: AttachmentWatch | undefined
  /** The acknowledgements that its client owes. */
  owedAcks = 0
  /** The rooms of its sockets, as {@link RoomCount} says. */
  rooms = 0
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
  /** Made when a drain moves the client to another server. */
  private departure: Departure | undefined

  constructor(session: EngineSession, environment: Environment, entrances: Entrances<Connection>) {
    this.session = session
    this.environment = environment
    this.entrances = entrances
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

  /** Whether the client speaks protocol 4, which connects to namespaces in another way. */
  get isLegacy(): boolean {
    return this.session.revision === 3
  }

  /**
   * The session is open. A client of protocol 4 is in the default namespace without asking for it.
   */
  onOpen(): void {
    if (this.isLegacy) joinDefault(this)
  }

  onMessage(packet: string): void {
    const unread = packet.length < LARGE ? undefined : this.unread(packet, 1, packet.length)
    this.onDecoded(unread ?? this.decoder.text(packet, 1), packet.length)
  }

  onBinary(bytes: Uint8Array): void {
    const size = bytes.byteLength
    const unread = size < LARGE ? undefined : this.unread(bytes, 0, size)
    const packet = unread ?? this.decoder.binary(bytes)
    if (packet !== undefined) this.attachments?.onComplete()
    this.onDecoded(packet, size)
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
    this.lazyBacklog?.keepPlace()
    this.onReleased()
  }

  // ---------------------------------------------------------------- departure

  /**
   * What the client takes beyond the protocol, as it says in the parameter `fx`: `0` or `1`, where
   * `1` says that it moves when it is asked to, and `.trace` if it takes trace contexts. Others pay
   * no parsed query each time they join a namespace.
   */
  private get extras(): string {
    const { details } = this.session
    const fx = details.url.includes("fx=") ? (details.query.get("fx") ?? "") : ""
    return /^[01](\.trace)?$/.test(fx) ? fx : ""
  }

  /** Whether the client is one of this library: it understands more than the protocol. */
  get isOurs(): boolean {
    return this.extras !== ""
  }

  /** Whether the client moves to another server when it is asked to. */
  get canMove(): boolean {
    return this.extras.startsWith("1")
  }

  /** Whether the client takes trace contexts, and the server has some. */
  get isTraced(): boolean {
    return this.environment.observer.tracing !== undefined && this.extras.endsWith(".trace")
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
    this.authBytes += authBytes
    this.members.add(member)
  }

  /** The client leaves a namespace while the connection stays. */
  forget({ namespace }: Member): void {
    this.members.leave(namespace.name)
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
    if (type === PacketType.CONNECT) return mayFit(this, namespace, size) ? undefined : packet
    const event = (data as ReadonlyArray<string>)[0]!
    return this.members.get(namespace)?.ignores(event) === true ? packet : undefined
  }

  /** A message was decoded. Its size is that of the packet, unless it was the last of several. */
  private onDecoded(packet: SocketPacket | ProtocolError | undefined, size: number): void {
    if (packet === undefined) return (this.attachments ??= new AttachmentWatch(this, this.decoder)).onProgress(size)
    if (isProtocolError(packet)) return this.session.closeUnsafe("parse error", packet.message)
    if (this.departure?.onPacket(packet)) return
    if (packet.type === PacketType.CONNECT) return onConnect(this, packet, size)
    const member = this.members.get(packet.namespace)
    if (member !== undefined) return member.onPacket(packet)
    // The packet may have been on its way when the client was removed from the namespace.
    if (this.members.hasLeft(packet.namespace)) return
    this.session.closeUnsafe("parse error", `packet for "${packet.namespace}", which was not joined`)
  }
}
