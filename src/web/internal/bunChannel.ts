import type { BunWebSocket } from "../WebSocketChannel.ts"
import { type ChannelSettings, WebChannel } from "./webChannel.ts"

/** What a WebSocket of Bun carries: the function that opens its session, and then its channel. */
export interface Opening {
  readonly open: (socket: BunWebSocket) => void
  channel: BunChannel | undefined
}

/** A message or a frame was larger than `maxPayloadLength`. */
const TOO_LARGE = 1009

/** A WebSocket of Bun, which sends everything of one turn together by itself. */
export class BunChannel extends WebChannel {
  onWritten: (() => void) | undefined
  private readonly socket: BunWebSocket

  constructor(socket: BunWebSocket, settings: ChannelSettings) {
    super(settings)
    this.socket = socket
  }

  get buffered(): number {
    return this.socket.getBufferedAmount()
  }

  protected send(data: string | Uint8Array): void {
    // A typed array may be a view of shared memory, which is none here.
    this.socket.send(data as string | Uint8Array<ArrayBuffer>, false)
  }

  close(code?: number): void {
    this.resume()
    this.socket.close(code)
  }

  terminate(): void {
    this.socket.terminate()
  }

  protected drop(): void {
    this.terminate()
  }

  onClosed(code: number, reason: string): void {
    if (code === TOO_LARGE) this.failure ??= { kind: "too large", message: reason }
    this.onClose()
  }
}
