import type { IncomingMessage } from "node:http"

import { WebSocket } from "ws"

import {
  type ClientWebSocket,
  type ClientWebSocketEvents,
  type ConnectionDetails,
  messageOf
} from "../../engine/ClientPlatform.ts"
import { explain } from "./clientRequest.ts"
import { readOffHeap } from "./offHeap.ts"

/** Smaller messages are not worth compressing. */
const THRESHOLD = 1_024

const sizeOf = (data: string | Uint8Array | Blob): number => (data instanceof Blob ? data.size : data.length)

/** The characters of a refusal that are kept. */
const MAX_BODY = 1_000

/**
 * The beginning of a response's body. A server that does not get on with it is not waited for
 * beyond the client's `connectTimeout`.
 */
const beginningOf = (response: IncomingMessage, onBody: (body: string) => void): void => {
  let body = ""
  const end = () => onBody(body.slice(0, MAX_BODY))
  response.setEncoding("utf8").on("data", (chunk: string) => {
    if (body.length >= MAX_BODY) return
    body += chunk
    if (body.length >= MAX_BODY) end()
  })
  for (const event of ["end", "close", "error"]) response.once(event, end)
}

/** A WebSocket of `ws` for a client. */
export const openWebSocket = (ws: WebSocket, events: ClientWebSocketEvents): ClientWebSocket => {
  let failure: (ConnectionDetails & { readonly description: string }) | undefined
  ws.on("open", () => events.onOpen())
  ws.on("message", (data: Buffer, isBinary: boolean) => {
    readOffHeap(data.length)
    if (isBinary) events.onBinary(data)
    else events.onText(data.toString())
  })
  ws.on("unexpected-response", (_, response) => {
    beginningOf(response, (body) => {
      const status = response.statusCode!
      failure ??= { description: `the server answered with status ${status}${messageOf(body)}`, status, body }
      ws.terminate()
    })
  })
  ws.on("error", (cause: Error & { readonly code?: string }) => {
    failure ??= {
      description: explain(cause).message,
      cause,
      // It is closed with this code, which is not what it was closed with by the server.
      ...(cause.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" ? { closeCode: 1009 } : {})
    }
  })
  ws.on("close", (closeCode: number, reason: Buffer) => {
    const { description, ...details } = failure ?? { closeCode, closeReason: reason.toString() }
    events.onClose(description, details)
  })
  return {
    send: (data, compress = true) => {
      if (ws.readyState !== WebSocket.OPEN) return
      // Without compression, which the server may not have agreed to, it makes no difference.
      ws.send(data, { binary: typeof data !== "string", compress: compress && sizeOf(data) >= THRESHOLD })
    },
    close: () => ws.close()
  }
}
