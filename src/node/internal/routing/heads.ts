import type { OutgoingHttpHeaders } from "node:http"

/**
 * The head of a request that is passed on. The address and `secure` are those of the client, as the
 * server that it has reached knows them.
 */
export interface RequestHead {
  readonly method: string
  readonly url: string
  readonly address: string
  readonly secure: boolean
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string>>>
}

export interface ResponseHead {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
}

export const encodeRequest = ({ address, headers, method, secure, url }: RequestHead): string =>
  JSON.stringify([method, url, address, secure, headers])

/** Reads a head. Other bytes have none. */
export const decodeRequest = (bytes: Buffer): RequestHead | undefined => {
  const value = parsed(bytes)
  if (!Array.isArray(value)) return undefined
  const [method, url, address, secure, headers] = value as ReadonlyArray<unknown>
  if (typeof method !== "string" || typeof url !== "string" || typeof address !== "string") return undefined
  if (typeof secure !== "boolean" || !isHeaders(headers)) return undefined
  return { method, url, address, secure, headers: headers as RequestHead["headers"] }
}

/** A response's head with its length in front, as the beginning of a payload. */
export const encodeResponse = ({ headers, status }: ResponseHead): Buffer => {
  const text = JSON.stringify([status, headers])
  const size = Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(4 + size)
  bytes.writeUInt32BE(size, 0)
  bytes.write(text, 4)
  return bytes
}

/** Reads a response's head, and the bytes of the body after it. */
export const decodeResponse = (bytes: Buffer): { readonly head: ResponseHead; readonly body: Buffer } | undefined => {
  if (bytes.length < 4) return undefined
  const end = 4 + bytes.readUInt32BE(0)
  if (end > bytes.length) return undefined
  const value = parsed(bytes.subarray(4, end))
  if (!Array.isArray(value)) return undefined
  const [status, headers] = value as ReadonlyArray<unknown>
  if (!Number.isInteger(status) || (status as number) < 200 || (status as number) > 599) return undefined
  if (!isHeaders(headers)) return undefined
  return { head: { status: status as number, headers: headers as OutgoingHttpHeaders }, body: bytes.subarray(end) }
}

const parsed = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}

const isHeaders = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  for (const name in value) {
    const header = (value as Record<string, unknown>)[name]
    const isOne = typeof header === "string" || typeof header === "number"
    if (!isOne && !(Array.isArray(header) && header.every((value) => typeof value === "string"))) return false
  }
  return true
}
