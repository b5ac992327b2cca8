import type { ClientPlatformShape, ClientWebSocket, WebSocketRequest } from "../../ClientPlatform.ts"
import { microtask } from "../microtask.ts"
import { TOO_LARGE } from "./constants.ts"
import type { ClientTransport, TransportEnd } from "./transport.ts"

/**
 * The WebSocket transport: one frame per packet (Engine.IO protocol 4, "WebSocket"). After `onEnd`
 * the session closes it, and nothing is called any more.
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
  const end: TransportEnd = (reason, description, details) => {
    if (!isClosed) onEnd(reason, description, details)
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
          onClose: (description, details) =>
            end(
              details?.closeCode === TOO_LARGE
                ? "payload too large"
                : isOpen && description === undefined
                  ? "transport close"
                  : "transport error",
              description ?? (isOpen ? "closed by the server" : "not accepted"),
              details
            )
        })
      } catch (cause) {
        // The platform does not take the address or a header.
        microtask(() => end("transport error", String(cause), { cause }))
      }
    },
    write: (packets, raw) => {
      for (const packet of packets) socket!.send(packet, !raw?.has(packet))
    },
    close: () => {
      if (isClosed) return
      isClosed = true
      socket?.close()
    }
  }
}
