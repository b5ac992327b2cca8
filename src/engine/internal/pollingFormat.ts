import { encodeBinaryText } from "../../protocol/EnginePacket.ts"
import { encodeBinaryText as encodeBinaryTextV3 } from "../../protocol/EnginePacketV3.ts"
import { decodePayload, encodePayload } from "../../protocol/EnginePayload.ts"
import * as V3 from "../../protocol/EnginePayloadV3.ts"
import { make, type ProtocolError } from "../../protocol/ProtocolError.ts"
import type { EngineRequest, RequestBody } from "../EngineRequest.ts"
import { ownBytes } from "./ownBytes.ts"

export interface PollResponse {
  readonly contentType: string
  readonly body: string | Uint8Array
}

const TEXT = "text/plain; charset=UTF-8"

/**
 * The form of a long-polling session's packets in bodies. Packets are text with their type digit,
 * or binary messages.
 */
export interface PollingFormat {
  readonly encode: (packets: ReadonlyArray<string | Uint8Array>, request: EngineRequest) => PollResponse
  readonly decode: (
    body: RequestBody,
    request: EngineRequest,
    limits: { readonly maxPackets: number },
    onText: (packet: string) => void,
    onBinary: (bytes: Uint8Array) => void
  ) => ProtocolError | undefined
}

const asText = (
  packets: ReadonlyArray<string | Uint8Array>,
  encodeBinary: (bytes: Uint8Array) => string
): ReadonlyArray<string> => {
  // Most payloads are only text.
  if (packets.every((packet) => typeof packet === "string")) return packets as ReadonlyArray<string>
  return packets.map((packet) => (typeof packet === "string" ? packet : encodeBinary(packet)))
}

/**
 * Returns a payload as a script, for pages that cannot read other responses (JSONP, the `j`
 * parameter).
 */
const response = (payload: string, request: EngineRequest): PollResponse => {
  const index = request.query.get("j")
  return index === undefined
    ? { contentType: TEXT, body: payload }
    : { contentType: "text/javascript; charset=UTF-8", body: V3.jsonpBody(index, payload) }
}

/** Returns the text of a body, or the content of its field if a page has sent a form. */
const textOf = (body: RequestBody, request: EngineRequest): string | undefined =>
  request.query.has("j") ? V3.decodeJsonpForm(body.text()) : body.text()

const isBinary = (request: EngineRequest): boolean => request.header("content-type") === "application/octet-stream"

const noForm = make("invalid payload", "a form without its field")

/** Engine.IO protocol 4. */
export const format4: PollingFormat = {
  encode: (packets, request) => response(encodePayload(asText(packets, encodeBinaryText)), request),
  decode: (body, request, limits, onText) => {
    if (isBinary(request)) return make("invalid payload", "binary request body")
    const text = textOf(body, request)
    return text === undefined ? noForm : decodePayload(text, limits, onText)
  }
}

/** Engine.IO protocol 3; binary as base64 for clients that cannot read bytes. */
export const format3 = (base64: boolean): PollingFormat => ({
  encode: (packets, request) => {
    if (!base64 && !request.query.has("j") && packets.some((packet) => typeof packet !== "string")) {
      return { contentType: "application/octet-stream", body: V3.encodeBinaryPayload(packets) }
    }
    return response(V3.encodePayload(asText(packets, encodeBinaryTextV3)), request)
  },
  decode: (body, request, limits, onText, onBinary) => {
    if (isBinary(request)) {
      return V3.decodeBinaryPayload(body.bytes(), limits, (packet) =>
        typeof packet === "string" ? onText(packet) : onBinary(ownBytes(packet))
      )
    }
    const text = textOf(body, request)
    return text === undefined ? noForm : V3.decodePayload(text, limits, onText)
  }
})
