/**
 * Copying a smaller chunk is cheaper than keeping it: as an object it keeps its whole read in
 * memory.
 */
const SMALL = 2 * 1024

/** The size in bytes of a block that small chunks are copied to. */
const BLOCK = 16 * 1024

const nothing = Buffer.alloc(0)

/**
 * The bytes of a request's body, as they arrive. The peer chooses the size of the chunks, down to
 * one byte each. Small chunks are joined, so that the memory is in proportion to the bytes.
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
    // The next small chunk may not fit.
    if (this.used > BLOCK - SMALL) this.closeBlock()
  }

  /** The whole body. */
  join(): Buffer {
    this.closeBlock()
    const [first = nothing, ...more] = this.whole
    return more.length === 0 ? first : Buffer.concat(this.whole, this.size)
  }

  private closeBlock(): void {
    // A block between large chunks may be almost empty, so only its used part is kept.
    if (this.block !== undefined) this.whole.push(Buffer.from(this.block.subarray(0, this.used)))
    this.block = undefined
    this.used = 0
  }
}
