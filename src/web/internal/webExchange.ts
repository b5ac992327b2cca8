import type { BodyFailure, HttpExchange, RequestBody } from "../../engine/EngineRequest.ts"
import type { Headers as EngineHeaders } from "../../engine/HttpHeaders.ts"
import { PacedExchange } from "../../engine/PacedExchange.ts"
import { Chunks } from "../../internal/chunks.ts"
import type { WebRequest } from "./webRequest.ts"

const encoder = new TextEncoder()

/** Node reads bodies in the same way: invalid UTF-8 is replaced, and a byte order mark stays. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Headers in the form of the fetch API. */
export const headersOf = (...all: ReadonlyArray<EngineHeaders | undefined>): Headers => {
  const headers = new Headers()
  for (const some of all) {
    for (const name in some) {
      const value = some[name]!
      if (typeof value === "string") headers.set(name, value)
      else for (const one of value) headers.append(name, one)
    }
  }
  return headers
}

/** A request of the fetch API and its response. */
export class WebExchange extends PacedExchange<WebRequest> implements HttpExchange {
  /** The response, once there is one. */
  readonly response: Promise<Response>
  private readonly resolve: (response: Response) => void
  private readonly report: (message: string, defect: unknown) => void
  private body: ReadableStreamDefaultReader<Uint8Array> | undefined

  constructor(request: WebRequest, extraHeaders: EngineHeaders, report: (message: string, defect: unknown) => void) {
    super(request, extraHeaders)
    this.report = report
    const { promise, resolve } = Promise.withResolvers<Response>()
    this.response = promise
    this.resolve = resolve
  }

  respond(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): number {
    const bytes = typeof body === "string" ? encoder.encode(body) : body
    if (this.responded) return bytes.byteLength
    this.responded = true
    try {
      const init = { status, headers: headersOf(this.extraHeaders, headers) }
      // A typed array may be a view of shared memory, which is none here.
      this.resolve(new Response(status === 204 ? null : (bytes as Uint8Array<ArrayBuffer>), init))
    } catch (defect) {
      this.onDefect(defect)
    }
    return bytes.byteLength
  }

  readBody(maxBytes: number, onBody: (body: RequestBody) => void, onFailure: (failure: BodyFailure) => void): void {
    const { request } = this.request
    const announced = this.request.header("content-length")
    if (announced !== undefined && Number(announced) > maxBytes) return onFailure("too large")
    // HTTP ends the body at its announced length. Reading it at once is cheaper.
    const reading = announced === undefined ? this.readChunks(maxBytes) : request.arrayBuffer().then(viewOf)
    const take = (bytes: Uint8Array | undefined) => {
      if (bytes === undefined || bytes.byteLength > maxBytes) return onFailure("too large")
      onBody({ size: bytes.byteLength, text: () => decoder.decode(bytes), bytes: () => bytes })
    }
    reading.then(take, () => onFailure("aborted")).catch((defect) => this.onDefect(defect))
  }

  /** Reads a body of unknown size. Returns `undefined` if it has more bytes. */
  private async readChunks(maxBytes: number): Promise<Uint8Array | undefined> {
    const chunks = new Chunks()
    const { body } = this.request.request
    if (body === null) return chunks.join()
    const reader = (this.body = body.getReader())
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return chunks.join()
      chunks.add(value)
      if (chunks.size > maxBytes) {
        // Its outcome is of no interest.
        reader.cancel().catch(() => {})
        return undefined
      }
    }
  }

  onAbort(callback: () => void): void {
    const { signal } = this.request.request
    const onAbort = () => {
      if (this.responded) return
      this.drop()
      callback()
    }
    if (signal.aborted) queueMicrotask(onAbort)
    else signal.addEventListener("abort", onAbort, { once: true })
  }

  destroy(): void {
    this.body?.cancel().catch(() => {})
    this.drop()
  }

  protected onDefect(defect: unknown): void {
    this.report("a request failed", defect)
    this.drop()
  }

  /** Nobody waits for the response, or there can be none: the platform closes the connection. */
  private drop(): void {
    this.responded = true
    this.resolve(new Response(null, { status: 500, headers: { connection: "close" } }))
  }
}

const viewOf = (buffer: ArrayBuffer): Uint8Array => new Uint8Array(buffer)
