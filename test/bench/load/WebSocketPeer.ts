/**
 * A client's WebSocket over a bare TCP socket: as cheap as it can be, so that the load generator is not the limit. It checks no
 * more than the scenarios need.
 */
import * as Net from "node:net"

import { fail } from "./channel.ts"
import { Opcode, text } from "./frames.ts"

/** Where the server is, and from which address to connect. */
export interface Address {
  readonly port: number
  readonly localAddress?: string
}

/** Takes a frame. Of a large one that came in several chunks the bytes are not kept: `start` and `end` are 0 then. */
export type OnFrame = (peer: WebSocketPeer, opcode: number, bytes: Buffer, start: number, end: number) => void

/** The headers that a browser sends, without those of single requests. */
export const HEADERS =
  "Host: 127.0.0.1\r\n" +
  "Pragma: no-cache\r\nCache-Control: no-cache\r\n" +
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n" +
  "Origin: http://127.0.0.1\r\nAccept-Language: en-US,en;q=0.9\r\n" +
  "Cookie: theme=dark; uid=2f8b0a4e7c\r\n"

const UPGRADE =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

/** One buffer for all sockets: chunks are taken in the turn in which they arrive. */
export const shared = Buffer.allocUnsafeSlow(256 * 1024)

/** Of an incomplete frame that is shorter the bytes are kept until the rest is there. */
const LARGE = 4096

const PONG = text("3")
const PING_CODE = 50

export const ignore = (): void => {}

export class WebSocketPeer {
  onFrame: OnFrame = ignore
  /** A chunk was taken: all its frames have been handed over. */
  onChunk: () => void = ignore
  /** The pings of Engine.IO that were answered. */
  pings = 0
  private readonly socket: Net.Socket
  private readonly onOpen: (peer: WebSocketPeer) => void
  private isOpen = false
  /** The beginning of a frame, or of the response's head. */
  private tail: Buffer | undefined
  /** The rest of a large frame, in bytes. */
  private rest = 0
  private opcode = 0

  constructor(address: Address, path: string, onOpen: (peer: WebSocketPeer) => void = ignore) {
    this.onOpen = onOpen
    this.socket = Net.connect({
      ...address,
      host: "127.0.0.1",
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (length, buffer) => {
          this.take(buffer as Buffer, length)
          this.onChunk()
          return true
        }
      }
    })
    this.socket.on("error", fail)
    this.socket.on("close", () => fail("a connection was closed by the server"))
    const key = Buffer.alloc(16, address.port).toString("base64")
    this.socket.write(`GET ${path} HTTP/1.1\r\n${HEADERS}${UPGRADE}Sec-WebSocket-Key: ${key}\r\n\r\n`)
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Resets the connection, so that it leaves nothing behind in the kernel. */
  destroy(): void {
    this.socket.removeAllListeners("close")
    this.socket.resetAndDestroy()
  }

  private take(chunk: Buffer, length: number): void {
    let bytes = chunk
    let end = length
    if (this.tail !== undefined) {
      bytes = Buffer.concat([this.tail, chunk.subarray(0, length)])
      end = bytes.length
      this.tail = undefined
    }
    let at = 0
    if (!this.isOpen) {
      at = this.takeHead(bytes, end)
      if (at === 0) return
    }
    if (this.rest > 0) {
      const taken = Math.min(this.rest, end - at)
      this.rest -= taken
      at += taken
      if (this.rest > 0) return
      this.onFrame(this, this.opcode, bytes, 0, 0)
    }
    this.takeFrames(bytes, at, end)
  }

  /** Gives the place after the response's head, or 0 if it is not complete. */
  private takeHead(bytes: Buffer, end: number): number {
    const at = bytes.subarray(0, end).indexOf("\r\n\r\n")
    if (at < 0) {
      this.tail = Buffer.from(bytes.subarray(0, end))
      return 0
    }
    const head = bytes.toString("latin1", 0, at)
    if (!head.startsWith("HTTP/1.1 101")) fail(`the upgrade was refused: ${head.slice(0, 60)}`)
    if (/permessage-deflate/i.test(head)) fail("the server compresses")
    this.isOpen = true
    this.onOpen(this)
    return at + 4
  }

  private takeFrames(bytes: Buffer, from: number, end: number): void {
    let at = from
    while (at < end) {
      let head = 2
      let length = -1
      if (end - at >= 2) {
        length = bytes[at + 1]! & 127
        if (length === 126) {
          head = 4
          length = end - at >= 4 ? bytes.readUInt16BE(at + 2) : -1
        } else if (length === 127) {
          head = 10
          length = end - at >= 10 ? bytes.readUInt32BE(at + 6) : -1
        }
      }
      const start = at + head
      const isComplete = length >= 0 && start + length <= end
      if (length < 0 || (!isComplete && length < LARGE)) {
        this.tail = Buffer.from(bytes.subarray(at, end))
        return
      }
      const opcode = bytes[at]! & 15
      if (!isComplete) {
        this.opcode = opcode
        this.rest = length - (end - start)
        return
      }
      at = start + length
      if (length === 1 && bytes[start] === PING_CODE && opcode === Opcode.text) {
        this.pings++
        this.socket.write(PONG)
      } else if (opcode === Opcode.close) fail("the server has sent a close frame")
      else this.onFrame(this, opcode, bytes, start, at)
    }
  }
}
