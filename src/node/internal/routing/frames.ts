/**
 * The frames between two servers of a cluster, over one connection for all requests.
 *
 * HTTP would need a connection for each held poll: thousands of them between two servers, or polls
 * that wait for one another. Frames carry the id of their request instead.
 *
 * A frame is its length without these four bytes (32 bits), its type (8), the id of its request
 * (32), and a payload.
 */
import type { Socket } from "node:net"

import { atTurnEnd, type TurnTask } from "../../../internal/turn.ts"

/** To the owner: a request, as {@link RequestHead} in JSON. */
export const REQUEST = 1
/** To the owner: a part of the request's body, and its end. */
export const BODY = 2
export const BODY_END = 3
/** To the owner: the client has disconnected before the response. */
export const ABORT = 4
/** To the owner: the response has left, or will never. */
export const GONE = 5
/** To the owner: a held poll should be answered, because this server shuts down. */
export const RELEASE = 6
/** To the server of the client: the response's head (its length, and JSON), and the whole body. */
export const RESPONSE = 7
/**
 * To the server of the client: the same with the first part of the body, its parts, and the last
 * one.
 */
export const RESPONSE_BEGIN = 8
export const RESPONSE_PART = 9
export const RESPONSE_END = 10
/** To the server of the client: its connection must be closed. */
export const RESET = 11
/** A sign of life is asked for, and given. */
export const PING = 12
export const PONG = 13
/**
 * To the owner: a session must move, as its WebSocket passes through a server that is to end. The
 * id is the time for that in milliseconds, and the payload the session's.
 */
export const MOVE = 14

const HEADER = 9

/** Bodies are cut into parts of at most this many bytes. */
export const PART = 64 * 1024

/** The longest frame: the head of a request, whose size Node limits to 16 KiB by default. */
export const MAX_FRAME = 1024 * 1024

/** A frame with bytes or text in UTF-8 as its payload. */
export const frame = (type: number, id: number, payload?: Uint8Array | string): Buffer => {
  const size = payload === undefined ? 0 : typeof payload === "string" ? Buffer.byteLength(payload) : payload.byteLength
  const bytes = Buffer.allocUnsafe(HEADER + size)
  bytes.writeUInt32BE(HEADER - 4 + size, 0)
  bytes[4] = type
  bytes.writeUInt32BE(id, 5)
  if (typeof payload === "string") bytes.write(payload, HEADER)
  else if (payload !== undefined) bytes.set(payload, HEADER)
  return bytes
}

/** Takes frames. It must not throw. */
export type OnFrame = (type: number, id: number, payload: Buffer) => void

/** Cuts a connection's bytes into frames. */
export class FrameReader {
  private readonly onFrame: OnFrame
  private rest: Buffer | undefined

  constructor(onFrame: OnFrame) {
    this.onFrame = onFrame
  }

  /** The bytes after the last whole frame. */
  get remainder(): Buffer {
    return this.rest ?? Buffer.alloc(0)
  }

  /**
   * Adds bytes, and hands over the frames that are whole by then. Returns whether the bytes were
   * frames. `once`: ends after the first one.
   */
  push(chunk: Buffer, once = false): boolean {
    const bytes = this.rest === undefined ? chunk : Buffer.concat([this.rest, chunk])
    this.rest = undefined
    let at = 0
    while (bytes.length - at >= HEADER) {
      const length = bytes.readUInt32BE(at)
      if (length < HEADER - 4 || length > MAX_FRAME) return false
      if (bytes.length - at < length + 4) break
      const start = at
      at += length + 4
      this.onFrame(bytes[start + 4]!, bytes.readUInt32BE(start + 5), bytes.subarray(start + HEADER, at))
      if (once) break
    }
    if (at < bytes.length) this.rest = at === 0 ? bytes : bytes.subarray(at)
    return true
  }
}

/**
 * The size in bytes up to which the frames of a turn are joined, rather than written one by one.
 */
const JOINED = 64 * 1024

/** Above this many unsent bytes, bodies wait. */
const FULL = 1024 * 1024

/** Writes the frames of one turn of the event loop together. */
export class FrameWriter implements TurnTask {
  private readonly socket: Socket
  private frames: Array<Uint8Array> = []
  private size = 0

  constructor(socket: Socket) {
    this.socket = socket
  }

  write(...frames: ReadonlyArray<Uint8Array>): void {
    if (this.frames.length === 0) atTurnEnd(this)
    for (const frame of frames) {
      this.frames.push(frame)
      this.size += frame.byteLength
    }
  }

  /** Whether bodies have to wait until the peer has read. */
  get isFull(): boolean {
    return this.size + this.socket.writableLength >= FULL
  }

  onTurnEnd(): void {
    const { frames, size, socket } = this
    this.frames = []
    this.size = 0
    if (socket.destroyed) return
    if (frames.length === 1) socket.write(frames[0]!)
    else if (size <= JOINED) socket.write(Buffer.concat(frames, size))
    else {
      socket.cork()
      for (const frame of frames) socket.write(frame)
      socket.uncork()
    }
  }

  onDefect(): void {
    this.socket.destroy()
  }
}
