import type * as Random from "effect/Random"

/**
 * Pseudo-random numbers: the same for the same seed and stream (sfc32, seeded by splitmix32).
 * Streams of one seed are independent of each other.
 */
export class Seeded {
  private a: number
  private b: number
  private c: number
  private counter = 1

  constructor(seed: number, stream: number) {
    // Both halves of the seed count.
    let state = (seed ^ Math.floor(seed / 0x1_0000_0000) ^ Math.imul(stream + 1, 0x9e37_79b9)) | 0
    const next = () => {
      state = (state + 0x9e37_79b9) | 0
      let z = Math.imul(state ^ (state >>> 16), 0x21f0_aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a_2d97)
      return (z ^ (z >>> 15)) | 0
    }
    this.a = next()
    this.b = next()
    this.c = next()
    for (let i = 0; i < 12; i++) this.next()
  }

  /** Any 32 bits. */
  next(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0
    this.counter = (this.counter + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** A whole number from 0 to below `bound`. */
  below(bound: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * bound)
  }

  /** From 0 to below 1. */
  double(): number {
    return ((this.next() >>> 5) * 0x400_0000 + (this.next() >>> 6)) / 0x20_0000_0000_0000
  }

  /** The same numbers as Effect's `Random` service. */
  get random(): (typeof Random.Random)["Service"] {
    return {
      nextDoubleUnsafe: () => this.double(),
      nextIntUnsafe: () => Math.floor((this.double() * 2 - 1) * Number.MAX_SAFE_INTEGER)
    }
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.next() & 255
  }
}
