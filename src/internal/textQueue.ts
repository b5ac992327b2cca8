import { isPlain, makeUtf8, writePlain, writeUtf8 } from "./utf8.ts"

/** The memory of a queue, in bytes, at the least. */
const LEAST = 512

/**
 * The memory of a queue, in the memory of its texts: when it has just got more or given some back,
 * and at most. It moves neither way while a bound drops an eighth of the texts now and then.
 */
const TIGHT = 1.25
const MORE = 1.5
const LOOSE = 2

const UNWRAPPED = -1

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/**
 * Texts that wait, the oldest first, as UTF-8 in memory outside of the heap. The collector would
 * copy a text on the heap twice, and look at it again and again. Half a surrogate pair becomes a
 * replacement character.
 *
 * It knows the size of all texts together. Callers that need the size of each text keep it.
 */
export class TextQueue {
  /** The memory of one byte of a text, in bytes, at the most. */
  static readonly memoryPerByte = LOOSE
  private bytes = makeUtf8(LEAST)
  /** The bytes of all texts. */
  private used = 0
  /** The place of the oldest text, and that of the next one. */
  private tail = 0
  private head = 0
  /** The place after which the texts go on at the beginning. */
  private end = UNWRAPPED

  /** The memory that it has, in bytes. */
  get capacity(): number {
    return this.bytes.length
  }

  /**
   * Adds a text. Returns its size in bytes; if it is beyond the most that is given, the text is not
   * added.
   */
  push(text: string, most: number): number {
    const room = 3 * text.length
    if (!this.fits(room)) this.move(Math.ceil(MORE * (this.used + room)))
    const size = writeUtf8(this.bytes, text, this.head)
    if (size <= most) {
      this.head += size
      this.used += size
    }
    return size
  }

  /**
   * Adds a text, or several as one, if it has a byte for each character, which is quicker. Returns
   * whether it has.
   */
  pushPlain(text: string): boolean {
    if (!isPlain(text)) return false
    const size = text.length
    if (!this.fits(size)) this.move(Math.ceil(MORE * (this.used + size)))
    writePlain(this.bytes, text, this.head)
    this.head += size
    this.used += size
    return true
  }

  /** Removes the oldest texts, of so many bytes. */
  drop(bytes: number): void {
    const { end } = this
    this.used -= bytes
    this.tail += bytes
    if (end !== UNWRAPPED && this.tail >= end) {
      this.tail -= end
      this.end = UNWRAPPED
    }
    if (this.bytes.length > Math.max(LEAST, LOOSE * this.used)) this.move(Math.ceil(TIGHT * this.used))
  }

  /** All texts, the oldest first, of the given sizes. */
  toArray(sizes: ReadonlyArray<number>): Array<string> {
    const { bytes, end } = this
    let { tail } = this
    return sizes.map((size) => {
      if (tail === end) tail = 0
      const from = tail
      tail += size
      return decoder.decode(bytes.subarray(from, tail))
    })
  }

  /**
   * Whether there are so many bytes in one piece at `head`, which may be at the beginning from then
   * on.
   */
  private fits(size: number): boolean {
    if (this.used === 0) {
      this.head = this.tail = 0
      this.end = UNWRAPPED
    }
    const { bytes, head, tail } = this
    if (this.end !== UNWRAPPED) return tail - head >= size
    if (bytes.length - head >= size) return true
    if (tail < size) return false
    this.end = head
    this.head = 0
    return true
  }

  /** Moves all texts to memory of another size. */
  private move(capacity: number): void {
    const { bytes, end, head, tail } = this
    const moved = makeUtf8(Math.max(LEAST, capacity))
    if (end === UNWRAPPED) moved.set(bytes.subarray(tail, head))
    else {
      moved.set(bytes.subarray(tail, end))
      moved.set(bytes.subarray(0, head), end - tail)
    }
    this.bytes = moved
    this.tail = 0
    this.head = this.used
    this.end = UNWRAPPED
  }
}
