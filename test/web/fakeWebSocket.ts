/** A WebSocket with the standard interface, whose other side is the test. */
export class FakeWebSocket {
  readyState = 0
  binaryType = "blob"
  bufferedAmount = 0
  /** The calls that the platform got. */
  readonly sent: Array<string | Uint8Array> = []
  closedWith: number | undefined
  private isStalled = false
  private readonly listeners = new Map<string, Array<(event: any) => void>>()

  addEventListener(type: string, listener: (event: any) => void): void {
    const listeners = this.listeners.get(type) ?? []
    this.listeners.set(type, [...listeners, listener])
  }

  private emit(type: string, event: object): void {
    for (const listener of this.listeners.get(type) ?? []) listener(event)
  }

  send(data: string | Uint8Array): void {
    this.sent.push(data)
    if (this.isStalled) this.bufferedAmount += data.length
  }

  close(code?: number): void {
    this.readyState = 2
    this.closedWith = code ?? 1005
  }

  /** The handshake is complete. */
  open(): void {
    this.readyState = 1
    this.emit("open", {})
  }

  receive(data: string | ArrayBuffer): void {
    this.emit("message", { data })
  }

  /** The peer stops reading, and the buffers of the kernel are full. */
  stall(): void {
    this.isStalled = true
  }

  /** The peer reads again. */
  release(): void {
    this.isStalled = false
    this.bufferedAmount = 0
  }

  /** The connection is closed. */
  end(code: number): void {
    this.readyState = 3
    this.emit("close", { code })
  }

  /** The connection fails: the event for that comes alone, as in Deno. */
  fail(message: string): void {
    this.readyState = 3
    this.emit("error", { message })
  }
}
