/**
 * Copying a smaller chunk is cheaper than keeping it: as an object it keeps its whole read in
 * memory.
 */
const SMALL = 2 * 1024

/** The size in bytes of a block that small chunks are copied to. */
const BLOCK = 16 * 1024

const nothing = new Uint8Array(0)

/**
 * The bytes of a request's body, as they arrive. The peer chooses the size of the chunks, down to
 * one byte each. Small chunks are joined, so that the memory is in proportion to the bytes.
 */
export class Chunks {
  size = 0
  private readonly whole: Array<Uint8Array> = []
  private block: Uint8Array | undefined
  private used = 0

  add(chunk: Uint8Array): void {
    this.size += chunk.length
    // Most bodies are one chunk.
    if (chunk.length >= SMALL || this.size === chunk.length) {
      this.closeBlock()
      this.whole.push(chunk)
      return
    }
    this.block ??= new Uint8Array(BLOCK)
    this.block.set(chunk, this.used)
    this.used += chunk.length
    // The next small chunk may not fit.
    if (this.used > BLOCK - SMALL) this.closeBlock()
  }

  /** The whole body. */
  join(): Uint8Array {
    this.closeBlock()
    const [first = nothing, ...more] = this.whole
    if (more.length === 0) return first
    const joined = new Uint8Array(this.size)
    let at = 0
    for (const chunk of this.whole) {
      joined.set(chunk, at)
      at += chunk.length
    }
    return joined
  }

  private closeBlock(): void {
    // A block between large chunks may be almost empty, so only its used part is kept.
    if (this.block !== undefined) this.whole.push(this.block.slice(0, this.used))
    this.block = undefined
    this.used = 0
  }
}
