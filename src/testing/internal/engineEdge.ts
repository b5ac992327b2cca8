import type { EngineServer } from "../../engine/EngineServer.ts"
import type {
  BodyFailure,
  ConnectionDetails,
  EngineRequest,
  HttpExchange,
  RequestBody
} from "../../engine/EngineRequest.ts"
import { HandshakeError, headersOf } from "../../engine/HandshakeError.ts"
import { type Headers, merge } from "../../engine/HttpHeaders.ts"
import { queryOf } from "../../engine/RequestDetails.ts"
import { RequestDetails } from "../../engine/RequestDetails.ts"
import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import type { WebSocketChannel, WebSocketFailure, WebSocketReceiver } from "../../engine/Transport.ts"
import type { Later, LinkEnding } from "../Link.ts"
import { type ClientRequest, type FromClient, type ServerEnd, sizeOf } from "../Network.ts"

/** Serves connections from links with an engine, as a platform does with its sockets. */
export const serve =
  (engine: EngineServer, now: () => number, later: Later) =>
  (end: ServerEnd, head: ClientRequest): void => {
    const request = new MemoryRequest(head, now)
    if (head.upgrade) return upgrade(engine, end, request, later)
    const exchange = new MemoryExchange(request, head.body, end, engine.responseHeaders(request), later)
    end.receiver = { onMessage() {}, onEnd: () => exchange.onGone() }
    engine.handleRequest(exchange)
  }

const upgrade = (engine: EngineServer, end: ServerEnd, request: MemoryRequest, later: Later): void => {
  let gone = false
  let giveUp: (() => void) | undefined
  // Before the decision only early frames of a client can come. The protocol does not allow them.
  end.receiver = {
    onMessage: () => end.abort(),
    onEnd: () => {
      gone = true
      giveUp?.()
    }
  }
  giveUp = engine.handleUpgrade(request, (decision) => {
    if (gone) return
    if (decision instanceof HandshakeError) {
      const headers = { ...engine.responseHeaders(request), ...headersOf(decision), "content-type": "text/html" }
      end.send({ status: decision.status ?? 400, headers, body: decision.message }, sizeOf(decision.message))
      return end.close()
    }
    end.send({ status: 101, headers: decision.headers ?? {}, body: "" }, 0)
    const channel = new MemoryChannel(end, engine, later)
    end.receiver = channel
    decision.accept(channel)
  })
}

class MemoryRequest implements EngineRequest {
  readonly method: string
  readonly query: ReadonlyMap<string, string>
  private readonly head: ClientRequest
  private readonly now: () => number

  constructor(head: ClientRequest, now: () => number) {
    this.head = head
    this.now = now
    this.method = head.method
    this.query = queryOf(head.url)
  }

  header(name: string): string | undefined {
    return Object.hasOwn(this.head.headers, name) ? this.head.headers[name] : undefined
  }

  get address(): string {
    return this.head.address
  }

  details(): ConnectionDetails {
    const { address, headers, secure, url } = this.head
    return new RequestDetails({ ...headers }, url, address, secure, this.now())
  }
}

class MemoryExchange implements HttpExchange {
  readonly request: MemoryRequest
  readonly defer: Later
  private readonly body: string | Uint8Array
  private readonly end: ServerEnd
  private extraHeaders: Headers | undefined
  private isDone = false
  private onGoneEarly: (() => void) | undefined

  constructor(
    request: MemoryRequest,
    body: string | Uint8Array,
    end: ServerEnd,
    extraHeaders: Headers | undefined,
    defer: Later
  ) {
    this.request = request
    this.body = body
    this.end = end
    this.extraHeaders = extraHeaders
    this.defer = defer
  }

  addHeaders(headers: Headers): void {
    this.extraHeaders = merge(this.extraHeaders, headers)
  }

  respond(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): number {
    const size = sizeOf(body)
    if (this.isDone) return size
    this.isDone = true
    this.end.send({ status, headers: { ...this.extraHeaders, ...headers }, body: copyOf(body) }, size)
    this.end.close()
    return size
  }

  readBody(maxBytes: number, onBody: (body: RequestBody) => void, onFailure: (failure: BodyFailure) => void): void {
    const { body } = this
    const size = sizeOf(body)
    if (size > maxBytes) return onFailure("too large")
    onBody({
      size,
      text: () => (typeof body === "string" ? body : new TextDecoder().decode(body)),
      bytes: () => (typeof body === "string" ? new TextEncoder().encode(body) : body)
    })
  }

  onAbort(callback: () => void): void {
    this.onGoneEarly = callback
  }

  onGone(): void {
    if (this.isDone) return
    this.isDone = true
    this.onGoneEarly?.()
  }
}

/**
 * The time limit for a peer to close its side of a WebSocket, in milliseconds: the same as in Node.
 */
const CLOSE_TIMEOUT = 30_000

/**
 * The server's end of a WebSocket. Nothing is compressed, and there are no frames around what is
 * sent.
 */
class MemoryChannel implements WebSocketChannel, WheelEntry {
  receiver: WebSocketReceiver = { onText() {}, onBinary() {}, onClose() {} }
  bytesReceived = 0
  bytesSent = 0
  private readonly end: ServerEnd
  private readonly engine: EngineServer
  private failure: WebSocketFailure | undefined
  private state: "open" | "closing" | "ended" = "open"
  private isPaused = false
  /** The messages that have come while the session paused. */
  private held: Array<string | Uint8Array> = []
  bucket: number = IDLE

  private readonly later: Later

  constructor(end: ServerEnd, engine: EngineServer, later: Later) {
    this.end = end
    this.engine = engine
    this.later = later
  }

  get buffered(): number {
    return this.end.buffered
  }

  get onWritten(): (() => void) | undefined {
    return this.end.onArrived
  }

  set onWritten(onWritten: (() => void) | undefined) {
    this.end.onArrived = onWritten
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    // Only after this turn: the caller may be in the middle of a dispatch.
    if (this.held.length > 0) this.later(() => this.deliver())
  }

  private deliver(): void {
    while (!this.isPaused && this.held.length > 0) {
      const message = this.held.shift()!
      if (typeof message === "string") this.receiver.onText(message)
      else this.receiver.onBinary(message)
    }
  }

  sendText(text: string): void {
    const size = sizeOf(text)
    this.bytesSent += size
    this.end.send(text, size)
  }

  sendBinary(bytes: Uint8Array): void {
    this.bytesSent += bytes.byteLength
    this.end.send(copyOf(bytes), bytes.byteLength)
  }

  sendShared({ attachments, text }: OutboundMessage): void {
    if (text !== undefined) this.sendText(text)
    for (const attachment of attachments ?? []) this.sendBinary(attachment)
  }

  close(): void {
    if (this.state !== "open") return
    this.state = "closing"
    this.end.close()
    this.engine.wheel.schedule(this, CLOSE_TIMEOUT)
  }

  /** The other side has not closed in time. */
  onDeadline(): void {
    this.end.abort()
  }

  terminate(): void {
    this.end.abort()
  }

  onMessage(message: FromClient): void {
    // After a message that was too large, nothing more is read.
    if (this.failure !== undefined) return
    const size = sizeOf(message)
    this.bytesReceived += size
    if (size > this.engine.options.maxPayload) {
      this.failure = { kind: "too large", message: "Max payload size exceeded" }
      return this.close()
    }
    this.held.push(message as string | Uint8Array)
    this.deliver()
  }

  onEnd(_ending: LinkEnding): void {
    // Messages that came before the end are delivered before it, unless the session has paused.
    this.deliver()
    this.state = "ended"
    this.engine.wheel.cancel(this)
    this.receiver.onClose(this.failure)
  }
}

/** A copy, because the sender may change its bytes afterwards. */
const copyOf = <A extends string | Uint8Array>(data: A): A =>
  (typeof data === "string" ? data : new Uint8Array(data)) as A
