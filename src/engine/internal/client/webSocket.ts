import type { ClientPlatformShape, ClientWebSocket, WebSocketRequest } from "../../ClientPlatform.ts"
import type { ClientTransport, ClientTransportSink } from "./transport.ts"

/** The WebSocket transport: one frame per packet (Engine.IO protocol 4, "WebSocket"). */
export class ClientWebSocketTransport implements ClientTransport {
  readonly name = "websocket"
  readonly #platform: ClientPlatformShape
  readonly #request: WebSocketRequest
  #sink: ClientTransportSink
  #socket: ClientWebSocket | undefined
  #state: "connecting" | "open" | "closed" = "connecting"

  constructor(platform: ClientPlatformShape, request: WebSocketRequest, sink: ClientTransportSink) {
    this.#platform = platform
    this.#request = request
    this.#sink = sink
  }

  get writable(): boolean {
    return this.#state === "open"
  }

  /** Its packets go somewhere else from now on. */
  useSink(sink: ClientTransportSink): void {
    this.#sink = sink
  }

  open(onOpened: () => void): void {
    try {
      this.#socket = this.#platform.openWebSocket(this.#request, {
        onOpen: () => {
          if (this.#state !== "connecting") return
          this.#state = "open"
          onOpened()
        },
        onText: (text) => {
          if (this.#state !== "open") return
          if (text === "") return this.#end("parse error", "empty packet")
          this.#sink.onPacket(text)
        },
        onBinary: (bytes) => {
          if (this.#state === "open") this.#sink.onBinary(bytes)
        },
        onClose: (description) => {
          if (this.#state === "open" && description === undefined) this.#end("transport close", "closed by the server")
          else this.#end("transport error", description ?? "the connection was not accepted")
        }
      })
    } catch (cause) {
      // An address or a header that the platform does not take.
      queueMicrotask(() => this.#end("transport error", String(cause)))
    }
  }

  write(packets: ReadonlyArray<string | Uint8Array | Blob>): void {
    for (const packet of packets) this.#socket!.send(packet)
  }

  close(): void {
    if (this.#state === "closed") return
    this.#state = "closed"
    this.#socket?.close()
  }

  #end(reason: "transport close" | "transport error" | "parse error", description: string): void {
    if (this.#state !== "closed") this.#sink.onEnd({ reason, description })
  }
}
