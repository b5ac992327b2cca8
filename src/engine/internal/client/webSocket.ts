import type { ClientPlatformShape, ClientWebSocket, WebSocketRequest } from "../../ClientPlatform.ts"
import { microtask } from "../microtask.ts"
import type { ClientTransport, TransportEnd } from "./transport.ts"

/**
 * The WebSocket transport: one frame per packet (Engine.IO protocol 4, "WebSocket"). `onEnd` is told why it cannot go on; who hears it
 * closes it, and nothing is called any more.
 */
export const makeWebSocket = (
  platform: ClientPlatformShape,
  request: WebSocketRequest,
  onOpen: () => void,
  onPacket: (packet: string) => void,
  onBinary: (bytes: Uint8Array) => void,
  onEnd: TransportEnd
): ClientTransport => {
  let socket: ClientWebSocket | undefined
  let isOpen = false
  let isClosed = false
  const end: TransportEnd = (reason, description) => {
    if (!isClosed) onEnd(reason, description)
  }
  return {
    open: () => {
      try {
        socket = platform.openWebSocket(request, {
          onOpen: () => {
            isOpen = true
            if (!isClosed) onOpen()
          },
          onText: (text) => {
            if (!isClosed) onPacket(text)
          },
          onBinary: (bytes) => {
            if (!isClosed) onBinary(bytes)
          },
          onClose: (description) =>
            isOpen && description === undefined
              ? end("transport close", "closed by the server")
              : end("transport error", description ?? "the connection was not accepted")
        })
      } catch (cause) {
        // An address or a header that the platform does not take.
        microtask(() => end("transport error", String(cause)))
      }
    },
    write: (packets) => {
      for (const packet of packets) socket!.send(packet)
    },
    close: () => {
      if (isClosed) return
      isClosed = true
      socket?.close()
    }
  }
}
