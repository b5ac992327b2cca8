/**
 * A hostile server: its sessions open as they should, and then it sends what an entrance says, as much
 * as the client takes.
 */
import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"

/** What a server does to its client. */
export interface Malice {
  /** Messages over WebSocket, or the bodies of polls, in turns. */
  readonly messages: ReadonlyArray<string | Buffer>
  readonly isPolling?: boolean
  /** The bodies of polls come in chunks of one byte. */
  readonly isTrickled?: boolean
  /** The messages are frames already. */
  readonly areFrames?: boolean
}

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

const OPEN = `0${JSON.stringify({ sid: "s", upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000 })}`

const JOINED = ["", "/chat,"].map((namespace) => `40${namespace}{"sid":"x"}`)

/** The head of the response that accepts a WebSocket. */
export const acceptance = (request: IncomingMessage): string => {
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${GUID}`).digest("base64")
  return `HTTP/1.1 101 A\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
}

/** The frame of a server: without a mask. */
export const serverFrame = (opcode: number, data: Buffer | string, isLast = true): Buffer => {
  const payload = Buffer.from(data)
  const { length } = payload
  const head = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const bytes = Buffer.alloc(head + length)
  bytes[0] = (isLast ? 0x80 : 0) | opcode
  bytes[1] = head === 2 ? length : head === 4 ? 126 : 127
  if (head === 4) bytes.writeUInt16BE(length, 2)
  if (head === 10) bytes.writeUInt32BE(length, 6)
  bytes.set(payload, head)
  return bytes
}

/** A text message in frames of one byte. */
export const serverFragments = (message: string): Buffer =>
  Buffer.concat(Array.from(message, (letter, i) => serverFrame(i === 0 ? 1 : 0, letter, i === message.length - 1)))

const CHUNK = 65_536

/** Frames that make a chunk of what is written. */
const poured = ({ areFrames = false, messages }: Malice): Buffer => {
  const all = Buffer.concat(
    messages.map((message) =>
      areFrames ? Buffer.from(message) : serverFrame(typeof message === "string" ? 1 : 2, message)
    )
  )
  return Buffer.concat(Array.from({ length: Math.ceil(CHUNK / all.length) }, () => all))
}

export class HostileServer {
  /** How often a session was opened. */
  lives = 0
  private readonly http: Server
  private readonly open = new Set<Socket>()
  private readonly joined = new Set<Socket>()
  private readonly held = new Set<ServerResponse>()
  private malice: Malice | undefined
  private closedBytes = 0
  private polls = 0
  private n = 0

  constructor() {
    this.http = createServer((request, response) => {
      const url = request.url!
      if (request.method === "POST") {
        request.resume().on("end", () => response.end("ok"))
        return
      }
      if (!url.includes("sid=")) {
        this.lives++
        this.polls = 0
        return void response.end(OPEN)
      }
      if (this.polls++ === 0) return void response.end(JOINED.join("\u001e"))
      if (this.malice === undefined) {
        this.held.add(response)
        return void response.once("close", () => this.held.delete(response))
      }
      this.respond(response)
    })
    this.http.on("connection", (socket) => {
      this.open.add(socket)
      socket
        .on("error", () => {})
        .once("close", () => {
          this.open.delete(socket)
          this.closedBytes += written(socket)
        })
    })
    this.http.on("upgrade", (request, socket) => {
      socket.write(
        Buffer.concat([Buffer.from(acceptance(request)), ...[OPEN, ...JOINED].map((packet) => serverFrame(1, packet))])
      )
      socket.resume()
      this.lives++
      this.joined.add(socket as Socket)
      socket.once("close", () => this.joined.delete(socket as Socket))
      this.pour(socket as Socket)
    })
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => {
      this.http.listen(0, "127.0.0.1", resolve)
    })
    return (this.http.address() as AddressInfo).port
  }

  /** Sends from now on; `undefined`: no more. */
  send(malice: Malice | undefined): void {
    this.malice = malice
    if (malice === undefined) return
    for (const socket of this.joined) this.pour(socket)
    for (const response of this.held) this.respond(response)
  }

  close(): void {
    this.http.close()
    for (const socket of this.open) socket.destroy()
  }

  /** Whether a client is there to be sent to. */
  get hasClient(): boolean {
    return this.joined.size + this.held.size > 0
  }

  /** The bytes that were given to the kernel. */
  get sent(): number {
    let bytes = this.closedBytes
    for (const socket of this.open) bytes += written(socket)
    return bytes
  }

  get port(): number {
    return (this.http.address() as AddressInfo).port
  }

  private pour(socket: Socket): void {
    const { malice } = this
    if (malice === undefined) return
    const bytes = poured(malice)
    const send = () => {
      if (this.malice !== malice) return void socket.off("drain", send)
      while (socket.writable && socket.write(bytes)) continue
    }
    socket.on("drain", send)
    send()
  }

  private respond(response: ServerResponse): void {
    const { isTrickled, messages } = this.malice!
    const body = messages[this.n++ % messages.length]!
    this.held.delete(response)
    if (isTrickled !== true) return void response.end(body)
    // Node would write each chunk by itself.
    const { socket } = response
    socket!.write("HTTP/1.1 200 A\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
    socket!.end(`${Array.from(String(body), (letter) => `1\r\n${letter}\r\n`).join("")}0\r\n\r\n`)
  }
}

const written = (socket: Socket): number => socket.bytesWritten - socket.writableLength
