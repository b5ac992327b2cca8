import type { RequestEncoded } from "effect/rpc/RpcMessage"

import type { ClientFrame, RequestId } from "./frames.ts"

/** The characters of an id, of a name, and of an id for tracing. */
const MAX_ID = 64
const MAX_TAG = 256

/** The headers of one request, and their characters together. */
const MAX_HEADERS = 100
const MAX_HEADER_CHARACTERS = 16_384

/** A frame that breaks a rule. */
export interface Refused {
  readonly _tag: "Refused"
  readonly message: string
  /** The id of a request, which gets an answer. */
  readonly id: RequestId | undefined
}

const refused = (message: string, id?: RequestId): Refused => ({ _tag: "Refused", message, id })

const isId = (value: unknown): value is RequestId =>
  typeof value === "string" ? value.length <= MAX_ID : Number.isSafeInteger(value)

const isTraceId = (value: unknown): value is string =>
  typeof value === "string" && value.length > 0 && value.length <= MAX_ID

/** The headers of a request, which may leave them out; `undefined` if they are none. */
const readHeaders = (value: unknown): RequestEncoded["headers"] | undefined => {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || value.length > MAX_HEADERS) return undefined
  let characters = 0
  for (const header of value) {
    if (!Array.isArray(header) || header.length !== 2) return undefined
    for (const part of header) {
      if (typeof part !== "string") return undefined
      characters += part.length
    }
  }
  return characters > MAX_HEADER_CHARACTERS ? undefined : (value as Array<[string, string]>)
}

/**
 * Reads a request. The result is new: `RpcServer` changes its requests, and others may read the
 * event's arguments.
 */
const readRequest = (frame: Readonly<Record<string, unknown>>): RequestEncoded | Refused => {
  const isNotification = frame["isNotification"] === true
  const { id, payload, sampled, spanId, tag, traceId } = frame
  if (!isNotification && !isId(id)) return refused("a request needs an id: a whole number, or a text of up to 64")
  const ownId = isNotification ? undefined : (id as RequestId)
  if (typeof tag !== "string" || tag.length > MAX_TAG) return refused("a request needs the tag of an Rpc", ownId)
  const headers = readHeaders(frame["headers"])
  if (headers === undefined) {
    return refused("headers are up to 100 pairs of texts, of up to 16,384 characters together", ownId)
  }
  const isTraced = isTraceId(traceId) && isTraceId(spanId)
  return {
    _tag: "Request",
    id: ownId ?? "",
    tag,
    // JSON has no `undefined`: an absent payload is that of an Rpc without one.
    payload: payload ?? null,
    headers,
    ...(isNotification && { isNotification }),
    ...(frame["discard"] === true && { discard: true }),
    ...(isTraced && { traceId, spanId, sampled: sampled !== false })
  }
}

/** Reads a frame of a client, of which nothing is known. */
export const readFrame = (value: unknown): ClientFrame | Refused => {
  if (typeof value !== "object" || value === null) return refused("a frame is an object")
  const frame = value as Readonly<Record<string, unknown>>
  const { _tag, question, requestId, total } = frame
  switch (_tag) {
    case "Request":
      return readRequest(frame)
    case "Ack":
    case "Interrupt":
      if (!isId(requestId)) return refused(`${_tag} needs a requestId`)
      if (_tag === "Interrupt") return { _tag, requestId }
      if (total === undefined) return { _tag, requestId }
      return Number.isSafeInteger(total) ? { _tag, requestId, total: total as number } : refused("total is no number")
    case "Eof":
    case "Ping":
      return { _tag }
    case "Resume":
      if (!Number.isSafeInteger(question)) return refused("Resume needs a question: a whole number")
      return { _tag, question: question as number }
    default:
      return refused("a frame has the _tag Request, Ack, Interrupt, Ping, Eof or Resume")
  }
}
