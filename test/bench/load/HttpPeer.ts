/**
 * One keep-alive connection of HTTP/1.1 over a bare TCP socket; one request at a time.
 */
import * as Net from "node:net"

import { fail } from "./channel.ts"
import { type Address, HEADERS, shared } from "./WebSocketPeer.ts"

export const PATH = "/socket.io/?EIO=4&transport="

/** The poll of a session, or the handshake if it has none yet. */
export const get = (sid?: string): string =>
  `GET ${PATH}polling${sid === undefined ? "" : `&sid=${sid}`} HTTP/1.1\r\n${HEADERS}Connection: keep-alive\r\nAccept: */*\r\n\r\n`

export const post = (sid: string, body: string): string =>
  `POST ${PATH}polling&sid=${sid} HTTP/1.1\r\n${HEADERS}Connection: keep-alive\r\nAccept: */*\r\n` +
  `Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

export class HttpPeer {
  private readonly socket: Net.Socket
  private onBody: ((body: string) => void) | undefined
  private tail: Buffer | undefined

  constructor(address: Address) {
    this.socket = Net.connect({
      ...address,
      host: "127.0.0.1",
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (length, buffer) => {
          this.take((buffer as Buffer).subarray(0, length))
          return true
        }
      }
    })
    this.socket.on("error", fail)
    this.socket.on("close", () => {
      if (this.isBusy) fail("a connection was closed within a request")
    })
  }

  /** Whether a response is awaited. */
  get isBusy(): boolean {
    return this.onBody !== undefined
  }

  send(request: string, onBody: (body: string) => void): void {
    this.onBody = onBody
    this.socket.write(request)
  }

  destroy(): void {
    this.onBody = undefined
    this.socket.resetAndDestroy()
  }

  private take(chunk: Buffer): void {
    const bytes = this.tail === undefined ? chunk : Buffer.concat([this.tail, chunk])
    this.tail = undefined
    const response = bytes.toString("latin1")
    const head = response.indexOf("\r\n\r\n")
    const length = head < 0 ? undefined : /content-length: *(\d+)/i.exec(response)?.[1]
    if (head >= 0 && length === undefined) return fail(`a response without a length: ${response.slice(0, 200)}`)
    if (length === undefined || response.length < head + 4 + Number(length)) {
      this.tail = Buffer.from(bytes)
      return
    }
    if (!response.startsWith("HTTP/1.1 200")) return fail(response.slice(0, head + 80))
    const onBody = this.onBody!
    this.onBody = undefined
    onBody(response.slice(head + 4))
  }
}
