/** The digits of positions. */
const BASE = 36

const digits = Array.from({ length: BASE }, (_, digit) => digit.toString(BASE))

/**
 * The offsets of one namespace: its epoch, which is another one in each process, and a position.
 */
export class Offsets {
  private readonly epoch: string
  /** The last position that ends in 0, and its offset without that. */
  private base = 0
  private prefix: string

  constructor(epoch: string) {
    this.epoch = this.prefix = `${epoch}.`
  }

  /** The offset of a position. */
  at(position: number): string {
    const digit = position - this.base
    // To write a number takes long, and positions follow each other.
    if (digit >= 0 && digit < BASE) return this.prefix + digits[digit]!
    this.base = position - (position % BASE)
    this.prefix = this.base === 0 ? this.epoch : this.epoch + (this.base / BASE).toString(BASE)
    return this.prefix + digits[position - this.base]!
  }

  /** The position of a client's offset, up to `head`; `undefined` if it is none of this epoch. */
  positionOf(offset: unknown, head: number): number | undefined {
    const { epoch } = this
    if (typeof offset !== "string" || offset.length > epoch.length + 11 || !offset.startsWith(epoch)) return undefined
    const position = Number.parseInt(offset.slice(epoch.length), BASE)
    if (!(position >= 0 && position <= head) || epoch + position.toString(BASE) !== offset) return undefined
    return position
  }
}

/** Whether a text is an offset of a process like this one. */
export const isOffset = (offset: unknown): boolean =>
  typeof offset === "string" && /^[\w-]{6}\.[0-9a-z]{1,11}$/.test(offset)
