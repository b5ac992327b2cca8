import { Duplex } from "node:stream"

import { WebSocket } from "ws"

import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import { PacedChannel } from "../../engine/PacedChannel.ts"
import type { WebSocketChannel } from "../../engine/Transport.ts"
import { FrameBatch, framesOf } from "./frameBatch.ts"
import { readOffHeap } from "./offHeap.ts"
import { listen, type PeerEvents, watchPongs } from "./peer.ts"
import { discard } from "./unwanted.ts"
import * as Turn from "../../internal/turn.ts"

type SendOptions = { readonly binary: boolean; readonly compress: boolean }

const TEXT = { binary: false, compress: false }
const BINARY = { binary: true, compress: false }
const COMPRESSED_TEXT = { binary: false, compress: true }
const COMPRESSED_BINARY = { binary: true, compress: true }

/** Whether a text has at least this many bytes in UTF-8, in which a character has at most three. */
const isAtLeast = (text: string, bytes: number): boolean =>
  text.length >= bytes || (text.length * 3 >= bytes && Buffer.byteLength(text) >= bytes)

/** Unused batches: a connection has one only while it is sending. */
const batches: Array<FrameBatch> = []
const MAX_BATCHES = 1_024

/**
 * The bytes of large reads after which other connections have their turn. Otherwise Node reads on
 * while there is more, up to 2 MiB.
 */
const TURN_BYTES = 256 * 1024

/** The size in bytes of the first portion of a connection's large reads. */
const PORTION = 2 * 1024

/** A read of Node is no larger. */
const MAX_PORTION = 64 * 1024

/** If a portion holds fewer messages than this, the next one is twice as large. */
const FEW_MESSAGES = 16

/** After this many bytes in one turn, they are written before its end. */
const LARGE_WRITE = 256 * 1024

/**
 * The memory of a write that waits, beside its bytes: a buffer and its place in the socket.
 * Measured with V8 on 64 bits.
 */
const WRITE = 320

/** From this length on, `ws` gets the bytes of a text: it would count its characters. */
const LONG_TEXT = 512

/** The counters of a Node socket. */
interface Counted {
  readonly bytesRead: number
  readonly bytesWritten: number
}

/** The settings that all channels of a server share. */
export interface ChannelSettings {
  /**
   * The size in bytes from which messages are compressed. `ws` uses its own threshold only if the
   * context takeover is off.
   */
  readonly threshold: number
  /** Logs a defect. */
  readonly report: (message: string, defect: unknown) => void
}

/** Whether this module is dropping a connection at the moment. */
let isOurs = false

/**
 * A WebSocket of `ws`. Everything that is sent over it within one turn of the event loop leaves in
 * one system call.
 */
export class NodeWebSocketChannel extends PacedChannel<Buffer> implements WebSocketChannel, PeerEvents, Turn.TurnTask {
  private readonly ws: WebSocket
  private readonly socket: Duplex & Partial<Counted>
  /**
   * Whether the peer has agreed to compression (RFC 7692). `ws` then compresses asynchronously, and
   * keeps the order itself.
   */
  private readonly compresses: boolean
  /**
   * The output of this turn: shared frames of a broadcast as long as there is nothing else, and
   * otherwise a batch.
   */
  private shared: Buffer | undefined
  private batch: FrameBatch | undefined
  private readonly settings: ChannelSettings
  private readonly readBefore: number
  private readonly writtenBefore: number
  private isWaiting = false
  onWritten: (() => void) | undefined
  /**
   * The writes that the peer has not taken. What is written while nothing waits does not count:
   * most of it leaves at once.
   */
  private unread = 0
  /** Called when the peer has taken one of these writes. Made with the first one. */
  private onUnreadTaken: (() => void) | undefined
  /** The bytes of large reads in this turn. */
  private bytes = 0
  /** The size in bytes of the next portion of a large read; 0 before the first one. */
  private portion = 0

  constructor(ws: WebSocket, socket: Duplex & Partial<Counted>, settings: ChannelSettings) {
    super()
    this.ws = ws
    this.socket = socket
    this.settings = settings
    this.compresses = ws.extensions.includes("permessage-deflate")
    this.readBefore = socket.bytesRead ?? 0
    this.writtenBefore = socket.bytesWritten ?? 0
  }

  get bytesReceived(): number {
    return (this.socket.bytesRead ?? 0) - this.readBefore
  }

  get bytesSent(): number {
    return (this.socket.bytesWritten ?? 0) - this.writtenBefore
  }

  /** Lets messages in, once there is a receiver. */
  listen(): void {
    listen(this.ws, this.socket, this)
  }

  protected handOver(data: Buffer, isBinary: boolean): void {
    if (isBinary) this.receiver.onBinary(data)
    else this.receiver.onText(data.toString())
  }

  protected stopReading(): void {
    this.ws.pause()
  }

  protected startReading(): void {
    this.ws.resume()
  }

  protected override onTurn(): void {
    this.bytes = 0
  }

  /**
   * Splits a large read. When the turn of the connection is over, the stream keeps the rest: its
   * end, too. Portions grow while they hold few messages, and stay that large until the connection
   * has sent more messages than one turn allows.
   */
  onLargeRead(chunk: Buffer): boolean {
    this.beginTurn()
    this.bytes += chunk.length
    readOffHeap(chunk.length)
    if (this.bytes >= TURN_BYTES && !this.isHolding) this.yield()
    let takesMore = true
    // A connection that sends little is not watched for pongs: a listener costs memory.
    if (this.portion === 0) watchPongs(this.ws)
    if (this.portion === 0 || this.isHasty) this.portion = PORTION
    for (let at = 0; at < chunk.length;) {
      const before = this.messages
      const end = Math.min(at + this.portion, chunk.length)
      takesMore = Duplex.prototype.push.call(this.socket, chunk.subarray(at, end))
      const isWhole = end - at === this.portion
      at = end
      if (this.portion < MAX_PORTION && isWhole && !this.isHolding && this.messages - before < FEW_MESSAGES)
        this.portion *= 2
    }
    return takesMore
  }

  /** It is closing. After the peer's close frame, or a fault, `ws` takes nothing more. */
  onClosing(): void {
    if (this.socket.listenerCount("data") === 0) discard(this.socket)
  }

  /** The connection was dropped: by this module, or by `ws`. */
  onTerminate(): void {
    if (isOurs) return
    this.failure ??= { kind: "overflow", message: "the peer does not take the answers to its pings" }
  }

  onDefect(defect: unknown): void {
    this.settings.report("a WebSocket has failed", defect)
    this.terminate()
  }

  onError(error: Error & { readonly code?: string }): void {
    this.failure ??= {
      kind:
        error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH"
          ? "too large"
          : error.code?.startsWith("WS_ERR_")
            ? "invalid frame"
            : "error",
      message: error.message
    }
  }

  get buffered(): number {
    const waiting = this.unread * WRITE
    if (this.compresses) return waiting + this.ws.bufferedAmount
    return waiting + this.socket.writableLength + (this.shared?.length ?? 0) + (this.batch?.bytes ?? 0)
  }

  sendText(text: string, compress?: boolean): void {
    if (!this.isOpen) return
    this.flushLater()
    if (!this.compresses) {
      this.batched().text(text)
      return this.flushLarge()
    }
    this.sendByWs(text.length < LONG_TEXT ? text : Buffer.from(text), this.textOptions(text, compress))
  }

  sendBinary(bytes: Uint8Array, compress?: boolean): void {
    if (!this.isOpen) return
    this.flushLater()
    if (!this.compresses) {
      this.batched().binary(bytes)
      return this.flushLarge()
    }
    const isCompressed = compress !== false && bytes.byteLength >= this.settings.threshold
    this.sendByWs(bytes, isCompressed ? COMPRESSED_BINARY : BINARY)
  }

  sendShared(message: OutboundMessage): void {
    if (!this.isOpen) return
    if (this.compresses) {
      this.flushLater()
      const { compress, text } = message
      // All recipients hold the same text.
      if (text !== undefined) this.sendByWs(text, this.textOptions(text, compress))
      for (const attachment of message.attachments ?? []) this.sendBinary(attachment, message.compress)
      return
    }
    // A broadcast's message is framed once for all recipients.
    const bytes = (message.prepared ??= framesOf(message)) as Buffer
    if (this.isWaiting) this.batched().framed(bytes)
    else {
      this.flushLater()
      this.shared = bytes
    }
    this.flushLarge()
  }

  close(code?: number): void {
    if (this.receiver.isClosed === true) this.letGo()
    // `ws` writes the close frame, which must follow everything that was sent.
    this.flush()
    this.ws.close(code)
    // The closing handshake has to be read.
    this.resume()
  }

  terminate(): void {
    // The caller knows the reason.
    isOurs = true
    this.ws.terminate()
    isOurs = false
    this.letGo()
  }

  onTurnEnd(): void {
    this.flush()
  }

  /** Writes the output of this turn. */
  flush(): void {
    if (!this.isWaiting) return
    this.isWaiting = false
    const { batch, shared, socket } = this
    if (this.compresses) return socket.uncork()
    if (shared !== undefined) {
      this.shared = undefined
      if (!socket.writable) return
      if (socket.writableLength === 0) socket.write(shared, this.onWritten)
      else socket.write(shared, this.countUnread(1))
    }
    if (batch === undefined) return
    this.batch = undefined
    if (socket.writable) {
      if (socket.writableLength === 0) batch.writeTo(socket, this.onWritten)
      else this.unread += batch.writeWaiting(socket, this.countUnread(0))
    }
    batch.clear()
    if (batches.length < MAX_BATCHES) batches.push(batch)
  }

  private textOptions(text: string, compress: boolean | undefined): SendOptions {
    return compress !== false && isAtLeast(text, this.settings.threshold) ? COMPRESSED_TEXT : TEXT
  }

  /** `ws` makes two writes of a message, for which it calls back once. */
  private sendByWs(data: string | Uint8Array, options: SendOptions): void {
    const waits = this.ws.bufferedAmount > 0
    this.ws.send(data, options, waits ? this.countUnread(1) : this.onWritten)
  }

  /** So many writes wait for the peer. Returns the function to call for each that it has taken. */
  private countUnread(writes: number): () => void {
    this.unread += writes
    return (this.onUnreadTaken ??= () => {
      this.unread--
      this.onWritten?.()
    })
  }

  /** A large output gains nothing by waiting. */
  private flushLarge(): void {
    if ((this.batch?.bytes ?? this.shared?.length ?? 0) >= LARGE_WRITE) this.flush()
  }

  /** Returns the batch of this turn. Shared frames that were alone until now come first. */
  private batched(): FrameBatch {
    if (this.batch !== undefined) return this.batch
    this.batch = batches.pop() ?? new FrameBatch()
    if (this.shared !== undefined) {
      this.batch.framed(this.shared)
      this.shared = undefined
    }
    return this.batch
  }

  private get isOpen(): boolean {
    return this.ws.readyState === WebSocket.OPEN && this.socket.writable
  }

  private flushLater(): void {
    if (this.isWaiting) return
    this.isWaiting = true
    if (this.compresses) this.socket.cork()
    Turn.atTurnEnd(this)
  }
}
