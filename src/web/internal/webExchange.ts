import type { BodyFailure, HttpExchange, RequestBody, ResponseWatcher } from "../../engine/EngineRequest.ts"
import type { Headers as EngineHeaders } from "../../engine/HttpHeaders.ts"
import { PacedExchange } from "../../engine/PacedExchange.ts"
import { ChunkPace } from "../../internal/chunkPace.ts"
import { Chunks } from "../../internal/chunks.ts"
import { WatchedBody } from "./watchedBody.ts"
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

/** The time that these platforms take for a chunk of a body, in milliseconds: that of Deno. */
const CHUNK_TIME = 0.02

/**
 * The chunks of a body that are read in a row. They take as long as a long message (see `pace.ts`),
 * so that the bodies of all connections share a part of the time.
 */
const ROW = 64

/** A shorter body fits into the buffers of the connection, so that it counts as read. */
const WATCHED = 64 * 1024

/** The facts of the platform that exchanges depend on. */
export interface ExchangeSettings {
  /** Whether bodies of streams keep their `content-length`. */
  readonly keepsLength: boolean
  /** Logs a defect. */
  readonly report: (message: string, defect: unknown) => void
}

/** A request of the fetch API and its response. */
export class WebExchange extends PacedExchange<WebRequest> implements HttpExchange {
  /** The response, once there is one. */
  readonly response: Promise<Response>
  private readonly resolve: (response: Response) => void
  private readonly settings: ExchangeSettings
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  private body: WatchedBody | undefined
  private stopWaiting: (() => void) | undefined

  constructor(request: WebRequest, extraHeaders: EngineHeaders, settings: ExchangeSettings) {
    super(request, extraHeaders)
    this.settings = settings
    const { promise, resolve } = Promise.withResolvers<Response>()
    this.response = promise
    this.resolve = resolve
  }

  respond(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): number {
    const bytes = typeof body === "string" ? encoder.encode(body) : body
    const size = bytes.byteLength
    if (this.responded) return size
    try {
      const all = headersOf(this.extraHeaders, headers)
      if (size >= WATCHED) {
        this.body = new WatchedBody(bytes)
        all.set("content-length", String(size))
      }
      // A typed array may be a view of shared memory, which is none here.
      const content = this.body?.stream ?? (bytes as Uint8Array<ArrayBuffer>)
      this.answer(new Response(status === 204 ? null : content, { status, headers: all }))
    } catch (defect) {
      this.onDefect(defect)
    }
    return size
  }

  watch(watcher: ResponseWatcher): void {
    if (this.body === undefined) watcher.onGone()
    else this.body.watch(watcher)
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
    const abort = () => {
      onFailure("aborted")
      // The body may be broken while the peer still waits for the response.
      if (!this.responded) this.drop()
    }
    reading.then(take, abort).catch((defect) => this.onDefect(defect))
  }

  /**
   * Reads a body of unknown size. Returns `undefined` if it has more bytes. Other connections get
   * their turn while it comes in tiny chunks: the platform reads no further meanwhile.
   */
  private async readChunks(maxBytes: number): Promise<Uint8Array | undefined> {
    const chunks = new Chunks()
    const { body } = this.request.request
    if (body === null) return chunks.join()
    const reader = (this.reader = body.getReader())
    let rest: (() => Promise<void>) | undefined
    for (let count = 1; ; count++) {
      const { done, value } = await reader.read()
      if (done) return chunks.join()
      chunks.add(value)
      if (chunks.size > maxBytes) {
        // Its outcome is of no interest.
        reader.cancel().catch(() => {})
        return undefined
      }
      if (count % ROW === 0) await (rest ??= makeRest())()
    }
  }

  onAbort(callback: () => void): void {
    if (this.responded) return
    const { signal } = this.request.request
    const onAbort = () => {
      if (this.responded) return
      this.drop()
      callback()
    }
    if (signal.aborted) return queueMicrotask(onAbort)
    signal.addEventListener("abort", onAbort, { once: true })
    // Some platforms abort the signal of an answered request, too.
    this.stopWaiting = () => signal.removeEventListener("abort", onAbort)
  }

  destroy(): void {
    this.reader?.cancel().catch(() => {})
    if (this.body === undefined) this.drop()
    else this.body.drop(this.settings.keepsLength)
  }

  protected onDefect(defect: unknown): void {
    this.settings.report("a request failed", defect)
    this.drop()
  }

  /** Nobody waits for the response, or there can be none: the platform closes the connection. */
  private drop(): void {
    this.answer(new Response(null, { status: 500, headers: { connection: "close" } }))
  }

  private answer(response: Response): void {
    this.responded = true
    this.stopWaiting?.()
    this.resolve(response)
  }
}

/** Makes the function that waits for the next turn of a body that comes in many chunks. */
const makeRest = (): (() => Promise<void>) => {
  let goOn: () => void
  const pace = new ChunkPace(CHUNK_TIME, false, () => goOn())
  return () =>
    new Promise((resolve) => {
      goOn = resolve
      pace.hold(ROW)
    })
}

const viewOf = (buffer: ArrayBuffer): Uint8Array => new Uint8Array(buffer)
