/** What exchanges share, whether their requests come from clients or from other servers. */
import * as Zlib from "node:zlib"

import type { EngineRequest, RequestBody } from "../../engine/EngineRequest.ts"
import { negotiateCoding } from "../../engine/HttpHeaders.ts"

/** The settings that all exchanges of a server share. */
export interface ExchangeSettings {
  /** The size in bytes from which responses are compressed. */
  readonly threshold: number
  /** Logs a defect. */
  readonly report: (message: string, defect: unknown) => void
}

const CODINGS = ["gzip", "deflate", "identity"] as const

const compressors = { gzip: Zlib.gzip, deflate: Zlib.deflate } as const

/** A content coding other than the plain form. */
export type Coding = keyof typeof compressors

/** The coding of the response to a request; `undefined` for the plain form. */
export const codingOf = (request: EngineRequest): Coding | undefined => {
  const coding = negotiateCoding(request.header("accept-encoding"), CODINGS)
  return coding === "identity" ? undefined : coding
}

/** Compresses a body, and calls back. There is no result if zlib fails. */
export const compress = (
  coding: Coding,
  body: string | Uint8Array,
  onCompressed: (compressed: Buffer | undefined) => void
): void => compressors[coding](body, (error, compressed) => onCompressed(error === null ? compressed : undefined))

/** The body of a request. */
export class Body implements RequestBody {
  private readonly buffer: Buffer

  constructor(buffer: Buffer) {
    this.buffer = buffer
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
