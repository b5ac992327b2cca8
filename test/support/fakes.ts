/**
 * A platform in memory, for the engine under a clock that the test moves.
 */
import type { BodyFailure, EngineRequest, HttpExchange, RequestBody } from "../../src/engine/EngineRequest.ts"
import type { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import type { WebSocketChannel, WebSocketFailure, WebSocketReceiver } from "../../src/engine/Transport.ts"

/** Where a request comes from. */
export interface Sender {
  readonly address?: string
  readonly headers?: Record<string, string>
}

export const fakeRequest = (
  query: Record<string, string>,
  method = "GET",
  { address = "test", headers = {} }: Sender = {}
): EngineRequest => ({
  method,
  query: new Map(Object.entries({ EIO: "4", ...query })),
  address,
  header: (name) => headers[name],
  details: () => ({ headers: {}, query: new Map(), url: "/", address, secure: false, issued: 0 })
})

export interface FakeExchange extends HttpExchange {
  readonly responses: ReadonlyArray<{ readonly status: number; readonly body: string }>
  /** The headers of each of them. */
  readonly headers: ReadonlyArray<Readonly<Record<string, string>>>
  /** The client goes. */
  readonly abort: () => void
}

export const fakeExchange = (
  query: Record<string, string>,
  method = "GET",
  body = "",
  sender?: Sender
): FakeExchange => {
  const responses: Array<{ status: number; body: string }> = []
  const sent: Array<Readonly<Record<string, string>>> = []
  const aborts: Array<() => void> = []
  return {
    request: fakeRequest(query, method, sender),
    responses,
    headers: sent,
    abort: () => {
      for (const abort of aborts.splice(0)) abort()
    },
    addHeaders: () => {},
    respond: (status, headers, body) => {
      responses.push({ status, body: String(body) })
      sent.push(headers)
      return Buffer.byteLength(body)
    },
    readBody: (_maxBytes: number, onBody: (body: RequestBody) => void, _onFailure: (failure: BodyFailure) => void) =>
      onBody({ size: body.length, text: () => body, bytes: () => Buffer.from(body) }),
    onAbort: (callback) => void aborts.push(callback)
  }
}

export class FakeChannel implements WebSocketChannel {
  receiver: WebSocketReceiver = { onText() {}, onBinary() {}, onClose() {} }
  readonly sent: Array<string | Uint8Array> = []
  buffered = 0
  bytesReceived = 0
  bytesSent = 0
  state: "open" | "closing" | "terminated" = "open"
  onWritten: (() => void) | undefined
  paused = false
  closeCode: number | undefined
  isEnded = false
  private held: Array<string | Uint8Array> = []

  sendText(text: string): void {
    this.send(text)
  }

  sendBinary(bytes: Uint8Array): void {
    this.send(bytes)
  }

  sendShared({ attachments, text }: OutboundMessage): void {
    if (text !== undefined) this.send(text)
    for (const attachment of attachments ?? []) this.send(attachment)
  }

  /** The peer has sent this; it has no frames around it. */
  receive(message: string | Uint8Array): void {
    this.bytesReceived += Buffer.byteLength(message)
    if (this.paused) this.held.push(message)
    else this.deliver(message)
  }

  private deliver(message: string | Uint8Array): void {
    if (typeof message === "string") this.receiver.onText(message)
    else this.receiver.onBinary(message)
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    for (const message of this.held.splice(0)) this.receive(message)
  }

  /** The peer has taken all but so many bytes of what the socket has. */
  drain(buffered = 0): void {
    this.buffered = buffered
    this.onWritten?.()
  }

  close(code?: number): void {
    if (this.state !== "open") return
    this.state = "closing"
    this.closeCode = code
  }

  terminate(): void {
    this.state = "terminated"
    this.end()
  }

  /** The connection is gone. */
  end(failure?: WebSocketFailure): void {
    this.isEnded = true
    this.receiver.onClose(failure)
  }

  /** Takes what was sent. */
  take(): ReadonlyArray<string | Uint8Array> {
    return this.sent.splice(0)
  }

  private send(message: string | Uint8Array): void {
    this.bytesSent += Buffer.byteLength(message)
    this.sent.push(message)
  }
}
