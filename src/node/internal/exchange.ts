/**
 * The parts that all exchanges share, whether their requests come from clients or from other
 * servers.
 */
import * as Zlib from "node:zlib"

import type { EngineRequest, RequestBody } from "../../engine/EngineRequest.ts"
import { type Headers, negotiateCoding } from "../../engine/HttpHeaders.ts"
import { PacedExchange } from "../../engine/PacedExchange.ts"

/** The settings that all exchanges of a server share. */
export interface ExchangeSettings {
  /** The size in bytes from which responses are compressed. */
  readonly threshold: number
  /** Logs a defect. */
  readonly report: (message: string, defect: unknown) => void
}

/** A request and its one response, which is compressed where that pays. */
export abstract class Exchange<Request extends EngineRequest> extends PacedExchange<Request> {
  protected readonly settings: ExchangeSettings

  constructor(request: Request, extraHeaders: Headers | undefined, settings: ExchangeSettings) {
    super(request, extraHeaders)
    this.settings = settings
  }

  respond(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string | Uint8Array,
    isCompressible = false
  ): number {
    const size = typeof body === "string" ? Buffer.byteLength(body) : body.byteLength
    if (this.responded) return size
    this.responded = true
    const coding = isCompressible && size >= this.settings.threshold ? codingOf(this.request) : undefined
    if (coding === undefined) this.send(status, headers, body, size)
    else {
      compress(coding, body, (compressed) => {
        if (compressed === undefined) return this.send(status, headers, body, size)
        this.send(status, { ...headers, "content-encoding": coding }, compressed, compressed.byteLength)
      })
    }
    return size
  }

  /** Sends the response, with the extra headers. `size` is that of the body in bytes. */
  protected abstract send(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string | Uint8Array,
    size: number
  ): void
}

const CODINGS = ["gzip", "deflate", "identity"] as const

const compressors = { gzip: Zlib.gzip, deflate: Zlib.deflate } as const

/** A content coding other than the plain form. */
type Coding = keyof typeof compressors

/** The coding of the response to a request; `undefined` for the plain form. */
const codingOf = (request: EngineRequest): Coding | undefined => {
  const coding = negotiateCoding(request.header("accept-encoding"), CODINGS)
  return coding === "identity" ? undefined : coding
}

/** Compresses a body, and calls back. There is no result if zlib fails. */
const compress = (
  coding: Coding,
  body: string | Uint8Array,
  onCompressed: (compressed: Buffer | undefined) => void
): void => compressors[coding](body, (error, compressed) => onCompressed(error === null ? compressed : undefined))

export class Body implements RequestBody {
  private readonly buffer: Buffer

  constructor(bytes: Uint8Array) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get size(): number {
    return this.buffer.length
  }

  text(): string {
    return this.buffer.toString()
  }

  bytes(): Uint8Array {
    return this.buffer
  }
}
