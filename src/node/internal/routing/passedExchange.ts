import type {
  BodyFailure,
  ConnectionDetails,
  EngineRequest,
  HttpExchange,
  RequestBody,
  ResponseWatcher
} from "../../../engine/EngineRequest.ts"
import type { Headers } from "../../../engine/HttpHeaders.ts"
import { keepHeaders, queryOf, RequestDetails } from "../../../engine/RequestDetails.ts"
import { Chunks } from "../../../internal/chunks.ts"
import { Body, Exchange, type ExchangeSettings } from "../exchange.ts"
import { readOffHeap } from "../offHeap.ts"
import { atTurnEnd } from "../../../internal/turn.ts"
import * as Frames from "./frames.ts"
import { encodeResponse, type RequestHead } from "./heads.ts"

/** A request that another server has passed on. */
export class PassedEngineRequest implements EngineRequest {
  readonly query: ReadonlyMap<string, string>
  private readonly head: RequestHead

  constructor(head: RequestHead) {
    this.head = head
    this.query = queryOf(head.url)
  }

  get method(): string {
    return this.head.method
  }

  get address(): string {
    return this.head.address
  }

  header(name: string): string | undefined {
    const { headers } = this.head
    if (!Object.hasOwn(headers, name)) return undefined
    const value = headers[name]!
    return typeof value === "string" ? value : value.join(", ")
  }

  details(): ConnectionDetails {
    const { address, headers, secure, url } = this.head
    const joined: Record<string, string> = {}
    const names = Object.keys(headers)
    for (const name of names) joined[name] = this.header(name)!
    return new RequestDetails(keepHeaders(joined, names.length), url, address, secure, Date.now())
  }
}

/** A body that is being read, up to `max` bytes. */
interface Reading {
  readonly chunks: Chunks
  readonly max: number
  readonly onEnd: (body: Uint8Array) => void
  readonly onFailure: (failure: BodyFailure) => void
}

/** A request of another server, and its response. */
export class PassedExchange extends Exchange<PassedEngineRequest> implements HttpExchange {
  private readonly id: number
  private readonly writer: Frames.FrameWriter
  /** Forgets the exchange: nothing more will come for it. */
  private readonly forget: () => void
  private isOver = false
  private watcher: ResponseWatcher | undefined
  private onAborted: (() => void) | undefined
  private onReleased: (() => void) | undefined
  /** The body that is being read. */
  private body: Reading | undefined

  constructor(
    request: PassedEngineRequest,
    id: number,
    writer: Frames.FrameWriter,
    extraHeaders: Headers,
    settings: ExchangeSettings,
    forget: () => void
  ) {
    super(request, extraHeaders, settings)
    this.id = id
    this.writer = writer
    this.forget = forget
  }

  protected send(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void {
    const bytes = typeof body === "string" ? Buffer.from(body) : body
    const all: Record<string, string | number | Array<string>> = { ...this.extraHeaders, ...headers }
    if (status !== 204) all["content-length"] = bytes.byteLength
    const head = encodeResponse({ status, headers: all })
    const { id, writer } = this
    if (bytes.byteLength <= Frames.PART) {
      writer.write(Frames.frame(Frames.RESPONSE, id, Buffer.concat([head, bytes])))
    } else {
      writer.write(Frames.frame(Frames.RESPONSE_BEGIN, id, head))
      for (let at = 0; at < bytes.byteLength; at += Frames.PART) {
        const end = at + Frames.PART
        const type = end < bytes.byteLength ? Frames.RESPONSE_PART : Frames.RESPONSE_END
        writer.write(Frames.frame(type, id, bytes.subarray(at, end)))
      }
    }
  }

  watch(watcher: ResponseWatcher): void {
    if (this.isOver) return watcher.onGone()
    this.watcher = watcher
    // It counts as unread until the other server has written it: that one does not know the limits
    // of the session.
    watcher.onWaiting()
  }

  destroy(): void {
    if (this.isOver) return
    this.writer.write(Frames.frame(Frames.RESET, this.id))
    this.forget()
    // The caller does not expect to be told at once: with a connection of its own it is not.
    atTurnEnd({ onTurnEnd: () => this.onOver(), onDefect: (defect) => this.onDefect(defect) })
  }

  onDefect(defect: unknown): void {
    this.destroy()
    this.settings.report("a response could not be sent", defect)
  }

  readBody(max: number, onBody: (body: RequestBody) => void, onFailure: (failure: BodyFailure) => void): void {
    if (Number(this.request.header("content-length")) > max) return onFailure("too large")
    this.body = { chunks: new Chunks(), onEnd: (bytes) => onBody(new Body(bytes)), onFailure, max }
  }

  onAbort(callback: () => void): void {
    this.onAborted = callback
  }

  onRelease(callback: () => void): void {
    this.onReleased = callback
  }

  // The frames of the other server.

  onBodyPart(chunk: Buffer): void {
    const { body } = this
    if (body === undefined) return
    body.chunks.add(chunk)
    if (body.chunks.size <= body.max) return
    this.body = undefined
    body.onFailure("too large")
  }

  onBodyEnd(): void {
    const { body } = this
    this.body = undefined
    if (body === undefined) return
    readOffHeap(body.chunks.size)
    body.onEnd(body.chunks.join())
  }

  release(): void {
    this.onReleased?.()
  }

  /** The client has left, or its response has left. */
  onOver(): void {
    if (this.isOver) return
    const { body, onAborted, responded, watcher } = this
    this.isOver = this.responded = true
    this.body = this.onAborted = this.onReleased = this.watcher = undefined
    body?.onFailure("aborted")
    if (!responded) onAborted?.()
    watcher?.onGone()
  }
}
