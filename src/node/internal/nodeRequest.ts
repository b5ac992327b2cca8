import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http"

import type {
  BodyFailure,
  ConnectionDetails,
  EngineRequest,
  HttpExchange,
  RequestBody,
  ResponseWatcher
} from "../../engine/EngineRequest.ts"
import type { Headers } from "../../engine/HttpHeaders.ts"
import { keepHeaders, queryOf, RequestDetails } from "../../engine/RequestDetails.ts"
import { Chunks } from "../../internal/chunks.ts"
import { discard, onChunk } from "./bodyChunks.ts"
import { Body, Exchange, type ExchangeSettings } from "./exchange.ts"
import { readOffHeap } from "./offHeap.ts"
import { addressOf, type Trust } from "../../engine/TrustedProxies.ts"
import { atTurnEnd, type TurnTask } from "../../internal/turn.ts"

/**
 * The kept requests that opened sessions, by their headers. A session keeps the same headers object
 * as its request.
 */
const kept = new WeakMap<object, IncomingMessage>()

/** Returns the request that has these headers, if it was kept. */
export const keptRequest = (headers: object): IncomingMessage | undefined => kept.get(headers)

/** A Node request for the engine's path. */
export class NodeRequest implements EngineRequest {
  readonly method: string
  readonly query: ReadonlyMap<string, string>
  /** The Node request. */
  readonly incoming: IncomingMessage
  private readonly trust: Trust | undefined
  private readonly isKept: boolean

  /** `isKept`: whether a session that this request opens keeps it. */
  constructor(incoming: IncomingMessage, trust?: Trust, isKept = false) {
    this.incoming = incoming
    this.trust = trust
    this.isKept = isKept
    this.method = incoming.method ?? "GET"
    this.query = queryOf(incoming.url!)
  }

  get address(): string {
    const { incoming, trust } = this
    const peer = incoming.socket.remoteAddress ?? ""
    return trust === undefined ? peer : addressOf(peer, this.header("x-forwarded-for"), trust)
  }

  header(name: string): string | undefined {
    const value = this.incoming.headers[name]
    return Array.isArray(value) ? value.join(", ") : value
  }

  /** Whether the connection to this server is encrypted. */
  get secure(): boolean {
    const { socket } = this.incoming
    return "encrypted" in socket && socket.encrypted === true
  }

  details(): ConnectionDetails {
    const { rawHeaders, url } = this.incoming
    const headers = joined(this.incoming.headers)
    if (this.isKept) kept.set(headers, this.incoming)
    // A kept request has its headers anyway, and is found by them.
    const head = this.isKept ? headers : keepHeaders(headers, rawHeaders.length / 2)
    return new RequestDetails(head, url!, this.address, this.secure, Date.now())
  }
}

/**
 * Returns the headers with one value each. It uses the request's own object if that has this form,
 * as nothing else uses it.
 */
const joined = (headers: IncomingHttpHeaders): Readonly<Record<string, string>> => {
  // Node returns several values as a list for this header only.
  if (headers["set-cookie"] === undefined) return headers as Record<string, string>
  return { ...(headers as Record<string, string>), "set-cookie": headers["set-cookie"].join(", ") }
}

/** A Node request and its response. */
export class NodeExchange extends Exchange<NodeRequest> implements HttpExchange, TurnTask {
  private readonly incoming: IncomingMessage
  private readonly response: ServerResponse
  /** The response to write at the end of the turn. */
  private status = 0
  private headers: Record<string, number | string | Array<string>> | undefined
  private body: string | Uint8Array | undefined
  private watcher: ResponseWatcher | undefined

  constructor(
    request: NodeRequest,
    incoming: IncomingMessage,
    response: ServerResponse,
    extraHeaders: Headers | undefined,
    settings: ExchangeSettings
  ) {
    super(request, extraHeaders, settings)
    this.incoming = incoming
    this.response = response
  }

  protected send(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string | Uint8Array,
    size: number
  ): void {
    this.status = status
    this.headers = { ...this.extraHeaders, ...headers }
    if (status !== 204) this.headers["content-length"] = size
    this.body = body
    atTurnEnd(this)
  }

  onTurnEnd(): void {
    const { body, headers, incoming, response, status } = this
    this.headers = this.body = undefined
    if (!response.destroyed && !response.headersSent) {
      response.writeHead(status, headers)
      response.end(body)
      discard(incoming)
    }
    if (this.watcher !== undefined) this.report(this.watcher)
  }

  /**
   * Tells the watcher whether the response was sent: most responses leave as soon as they are
   * written.
   */
  private report(watcher: ResponseWatcher): void {
    this.watcher = undefined
    const { response } = this
    const { socket } = response
    // A response that waits for an earlier one of its connection has no socket yet.
    if (response.destroyed || (socket !== null && socket.writableLength === 0)) return watcher.onGone()
    watcher.onWaiting()
    let isOver = false
    const onOver = () => {
      if (isOver) return
      isOver = true
      watcher.onGone()
    }
    response.once("finish", onOver).once("close", onOver)
  }

  watch(watcher: ResponseWatcher): void {
    this.watcher = watcher
  }

  destroy(): void {
    this.incoming.socket.destroy()
  }

  onDefect(defect: unknown): void {
    // The peer sees the end of its connection.
    this.response.destroy()
    this.settings.report("a response could not be sent", defect)
  }

  readBody(maxBytes: number, onBody: (body: RequestBody) => void, onFailure: (failure: BodyFailure) => void): void {
    const { incoming } = this
    const announced = Number(incoming.headers["content-length"])
    if (announced > maxBytes) return onFailure("too large")
    const chunks = new Chunks()
    let done = false
    const finish = () => {
      done = true
      incoming.off("data", onData)
      incoming.off("end", onEnd)
      incoming.off("close", onClose)
    }
    const onData = (chunk: Buffer) => {
      chunks.add(chunk)
      onChunk(incoming, chunk.length)
      if (chunks.size <= maxBytes) return
      finish()
      onFailure("too large")
    }
    const onEnd = () => {
      finish()
      readOffHeap(chunks.size)
      // The body is decoded as a whole: a character may be split between chunks.
      onBody(new Body(chunks.join()))
    }
    const onClose = () => {
      if (done) return
      finish()
      onFailure("aborted")
    }
    incoming.on("data", onData)
    incoming.on("end", onEnd)
    incoming.on("close", onClose)
  }

  onAbort(callback: () => void): void {
    if (this.request.method !== "POST") discard(this.incoming)
    this.response.on("close", () => {
      if (!this.responded) {
        this.responded = true
        callback()
      }
    })
  }
}
