import type { BunWebSocket } from "../WebSocketChannel.ts"
import { type ChannelSettings, WebChannel } from "./webChannel.ts"

/** The data of a WebSocket of Bun: the function that opens its session, and then its channel. */
export interface Opening {
  readonly open: (socket: BunWebSocket) => void
  channel: BunChannel | undefined
}

/** The connection has ended without a close frame (RFC 6455, 7.4.1). */
const ABNORMAL = 1006

/** The words with which Bun tells of a peer's fault. */
const TOO_BIG = "Received too big message"
const FAULT = "Received "

/** A WebSocket of Bun, which sends everything of one turn together by itself. */
export class BunChannel extends WebChannel {
  onWritten: (() => void) | undefined
  /** Each has memory of its own. */
  protected readonly bytesWeight = 2
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
    if (this.receiver.isClosed === true) this.letGo()
    this.resume()
    this.socket.close(code)
  }

  terminate(): void {
    this.socket.terminate()
    this.letGo()
  }

  protected drop(): void {
    this.socket.terminate()
  }

  onClosed(code: number, reason: string): void {
    // A peer may close with any other code and reason.
    if (code === ABNORMAL && reason.startsWith(FAULT)) {
      this.failure ??= { kind: reason === TOO_BIG ? "too large" : "invalid frame", message: reason }
    }
    this.onClose()
  }
}
