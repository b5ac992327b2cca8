/** A smaller chunk costs more as an object than it costs to copy, and keeps all that was read with it. */
const SMALL = 2 * 1024

/** What small chunks are copied to. */
const BLOCK = 16 * 1024

const nothing = Buffer.alloc(0)

/**
 * The bytes of a request's body, as they come. A peer decides how: a byte at a time, each is a chunk of its own. Small ones are
 * put together, so that what is held is in proportion to what has come.
 */
export class Chunks {
  size = 0
  private readonly whole: Array<Buffer> = []
  private block: Buffer | undefined
  private used = 0

  add(chunk: Buffer): void {
    this.size += chunk.length
    // Most bodies are one chunk.
    if (chunk.length >= SMALL || this.size === chunk.length) {
      this.closeBlock()
      this.whole.push(chunk)
      return
    }
    this.block ??= Buffer.allocUnsafeSlow(BLOCK)
    this.used += chunk.copy(this.block, this.used)
    // Another small one may not fit.
    if (this.used > BLOCK - SMALL) this.closeBlock()
  }

  /** All of it. */
  join(): Buffer {
    this.closeBlock()
    const [first = nothing, ...more] = this.whole
    return more.length === 0 ? first : Buffer.concat(this.whole, this.size)
  }

  private closeBlock(): void {
    // Between large chunks there may be little in it.
    if (this.block !== undefined) this.whole.push(Buffer.from(this.block.subarray(0, this.used)))
    this.block = undefined
    this.used = 0
  }
}
