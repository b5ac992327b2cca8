import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import { PacedChannel } from "../../engine/PacedChannel.ts"
import type { WebSocketChannel } from "../../engine/Transport.ts"
import { utf8Length } from "../../internal/utf8.ts"

/** The settings that all channels of a server share. */
export interface ChannelSettings {
  /** The memory in bytes that messages may take while they wait for the session. */
  readonly maxHeld: number
  /** Logs a defect. */
  readonly report: (message: string, defect: unknown) => void
}

/** A message is too large, or the server is too busy for the client (RFC 6455, 7.4.1). */
const TOO_LARGE = 1009
const TRY_LATER = 1013

/** The objects of a waiting message, in bytes: a text, or bytes with their memory. */
const TEXT_OBJECTS = 96
const BYTES_OBJECTS = 280

/**
 * The messages that may come in one turn of the event loop. The platform reads for as long as there
 * is something to read: 400,000 messages that take 0.2 s, and longer if they are kept. Ten thousand
 * events that a client emits at once pass. A ping or pong of WebSocket counts as many: the platform
 * answers each ping with a system call.
 */
const MAX_TURN = 12_000
const PING = 16

/** The most memory that a waiting message takes, in bytes: a character takes up to two. */
const memoryOf = (data: string | Uint8Array): number =>
  typeof data === "string" ? TEXT_OBJECTS + 2 * data.length : BYTES_OBJECTS + data.byteLength

/**
 * A WebSocket of a platform that cannot stop reading: messages that wait for the session are held
 * in memory, up to a limit.
 */
export abstract class WebChannel extends PacedChannel<string | Uint8Array> implements WebSocketChannel {
  bytesReceived = 0
  bytesSent = 0
  abstract onWritten: (() => void) | undefined
  protected readonly settings: ChannelSettings
  /** The memory of the held messages, in bytes. */
  private pending = 0
  private isOver = false
  /** The messages of this turn, pings and bytes with their weights. */
  private inTurn = 0

  constructor(settings: ChannelSettings) {
    super()
    this.settings = settings
  }

  /** How many texts a binary message counts as: what its memory costs the platform. */
  protected abstract readonly bytesWeight: number
  abstract readonly buffered: number
  abstract close(code?: number): void
  abstract terminate(): void
  /** Sends a message of this many bytes. */
  protected abstract send(data: string | Uint8Array, size: number): void

  /** The platform has received a message. */
  take(data: string | Uint8Array): void {
    if (this.isOver) return
    this.bytesReceived += typeof data === "string" ? utf8Length(data) : data.byteLength
    this.onMessage(data, typeof data !== "string")
    this.count(typeof data === "string" ? 1 : this.bytesWeight)
  }

  override onPong(): void {
    if (this.isOver) return
    super.onPong()
    this.count(PING)
  }

  /** The platform has closed the connection. */
  override onClose(): void {
    if (this.isOver) return
    this.isOver = true
    super.onClose()
  }

  sendText(text: string): void {
    const size = utf8Length(text)
    this.bytesSent += size
    this.send(text, size)
  }

  sendBinary(bytes: Uint8Array): void {
    this.bytesSent += bytes.byteLength
    this.send(bytes, bytes.byteLength)
  }

  sendShared(message: OutboundMessage): void {
    const { attachments, byteLength, text } = message
    // The message knows its size, so the text is not measured for every recipient.
    this.bytesSent += byteLength
    let textSize = byteLength
    for (const attachment of attachments ?? []) textSize -= attachment.byteLength
    if (text !== undefined) this.send(text, textSize)
    for (const attachment of attachments ?? []) this.send(attachment, attachment.byteLength)
  }

  protected override onTurn(): void {
    this.inTurn = 0
  }

  /** Ends a connection that brings so much in a turn that others have none. */
  private count(messages: number): void {
    this.inTurn += messages
    if (this.inTurn <= MAX_TURN || this.isOver) return
    this.overflow(`more than ${MAX_TURN} messages came at once`)
  }

  protected override get heldBytes(): number {
    return this.pending
  }

  protected override hold(data: string | Uint8Array, isBinary: boolean): void {
    super.hold(data, isBinary)
    this.pending += memoryOf(data)
    // One message may be larger than the limit, as the largest message has a limit of its own.
    if (this.pending <= this.settings.maxHeld || this.heldCount === 1) return
    this.overflow(`more than ${this.settings.maxHeld} bytes waited to be handled`)
  }

  protected override onTaken(data: string | Uint8Array): void {
    this.pending -= memoryOf(data)
  }

  protected handOver(data: string | Uint8Array): void {
    if (typeof data === "string") this.receiver.onText(data)
    else this.receiver.onBinary(data)
  }

  // The platform reads on.
  protected stopReading(): void {}
  protected startReading(): void {}

  protected onDefect(defect: unknown): void {
    this.settings.report("a WebSocket has failed", defect)
    this.terminate()
  }

  protected override letGo(): void {
    this.pending = 0
    super.letGo()
  }

  /** Ends the connection, and drops what waits. */
  private overflow(message: string): void {
    this.letGo()
    this.fail("inbound overflow", message)
  }

  /** Ends the connection with a fault of the peer. The session learns of it now. */
  protected fail(kind: "inbound overflow" | "too large", message: string): void {
    this.failure ??= { kind, message }
    this.drop(kind === "too large" ? TOO_LARGE : TRY_LATER)
    this.onClose()
  }

  /** Ends the connection at once if the platform can, and otherwise with this code. */
  protected abstract drop(code: number): void
}
