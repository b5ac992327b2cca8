/**
 * The events of a WebSocket of `ws` and of its connection, which all connections share.
 */
import { Duplex } from "node:stream"

import * as Ws from "ws"

/** Takes the events of one peer. */
export interface PeerEvents {
  onMessage(data: Buffer, isBinary: boolean): void
  /** The peer's ping was answered. */
  onPing(): void
  onPong(): void
  onError(error: Error): void
  /** `ws` has sent a close frame, or was asked to. */
  onClosing(): void
  /** The connection is about to be dropped. */
  onTerminate(): void
  onClose(): void
  /** Takes a read in portions. Returns whether the stream takes more. */
  onLargeRead(chunk: Buffer): boolean
}

/** The property of an emitter that takes its events, so that all connections share listeners. */
const EVENTS = Symbol("events")

interface Emitter {
  [EVENTS]?: PeerEvents
}

/** Smaller reads empty the connection's buffer, or nearly so. */
const LARGE_READ = 16 * 1024

/**
 * A WebSocket that tells of the peer's pings. `ws` answers these by itself; the channel drops the
 * connection if the peer does not read the answers. A listener would cost memory for every
 * connection.
 */
export class Peer extends Ws.WebSocket {
  declare [EVENTS]?: PeerEvents

  override pong(data?: unknown, mask?: boolean, callback?: (error: Error) => void): void {
    super.pong(data, mask, callback)
    this[EVENTS]?.onPing()
  }

  override close(code?: number, data?: string | Buffer): void {
    super.close(code, data)
    this[EVENTS]?.onClosing()
  }

  override terminate(): void {
    this[EVENTS]?.onTerminate()
    super.terminate()
  }
}

function onMessage(this: Ws.WebSocket & Emitter, data: Buffer, isBinary: boolean): void {
  this[EVENTS]!.onMessage(data, isBinary)
}

function onPong(this: Ws.WebSocket & Emitter): void {
  this[EVENTS]!.onPong()
}

function onError(this: Ws.WebSocket & Emitter, error: Error): void {
  this[EVENTS]!.onError(error)
}

function onClose(this: Ws.WebSocket & Emitter): void {
  this[EVENTS]!.onClose()
}

/**
 * Replaces a socket's own `push`, with which Node hands over a read. Reads of so many bytes are
 * taken in portions, so that one peer's messages do not fill a turn. A listener for `data` would
 * see a read too late, because `ws` has one, too. A stream between the socket and `ws` would cost
 * memory for every connection and a copy of every read. Smaller reads pass after one comparison.
 */
const makePush = (least: number) =>
  function (this: Duplex & Emitter, chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (chunk === null || chunk.length < least) return Duplex.prototype.push.call(this, chunk, encoding)
    return this[EVENTS]!.onLargeRead(chunk)
  }

const push = makePush(LARGE_READ)

/** For a connection with TLS, whose reads are the peer's records: they may all be small. */
const pushRecord = makePush(0)

/** Lets events in. */
export const listen = (ws: Ws.WebSocket & Emitter, socket: Duplex & Emitter, events: PeerEvents): void => {
  ws[EVENTS] = socket[EVENTS] = events
  ws.on("message", onMessage).on("error", onError).on("close", onClose)
  socket.push = "encrypted" in socket ? pushRecord : push
}

/** Lets pongs in, too: a listener costs memory for every connection. */
export const watchPongs = (ws: Ws.WebSocket): void => void ws.on("pong", onPong)
