import { WebSocket } from "ws"

import type { ClientWebSocket, ClientWebSocketEvents } from "../../engine/ClientPlatform.ts"
import { explain } from "./clientRequest.ts"
import { readOffHeap } from "./offHeap.ts"

/** Smaller messages are not worth compressing. */
const THRESHOLD = 1_024

const sizeOf = (data: string | Uint8Array | Blob): number => (data instanceof Blob ? data.size : data.length)

/** A WebSocket of `ws` for a client. */
export const openWebSocket = (ws: WebSocket, events: ClientWebSocketEvents): ClientWebSocket => {
  let failure: string | undefined
  ws.on("open", () => events.onOpen())
  ws.on("message", (data: Buffer, isBinary: boolean) => {
    readOffHeap(data.length)
    if (isBinary) events.onBinary(data)
    else events.onText(data.toString())
  })
  ws.on("error", (error) => (failure ??= explain(error).message))
  ws.on("close", () => events.onClose(failure))
  return {
    get buffered() {
      return ws.bufferedAmount
    },
    send: (data) => {
      if (ws.readyState !== WebSocket.OPEN) return
      // Without compression, which the server may not have agreed to, it makes no difference.
      ws.send(data, { binary: typeof data !== "string", compress: sizeOf(data) >= THRESHOLD })
    },
    close: () => ws.close()
  }
}
