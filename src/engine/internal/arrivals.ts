import type { Pacer } from "../EngineRequest.ts"
import { microtask } from "./microtask.ts"

/**
 * The number of packets that are handled at once. The packets of a larger request take turns with
 * other work.
 */
const FEW = 24

/** The size in bytes or characters from which a packet may take long by itself. */
const LARGE = 16 * 1024

/**
 * The packets from the requests of a session, on their way to it: in the order of their arrival,
 * not while reading is paused, and a few at a time if there are many.
 */
export class Arrivals {
  private readonly handle: (packet: string | Uint8Array) => void
  private packets: Array<string | Uint8Array> | undefined
  private at = 0
  private onDone: (() => void) | undefined
  /** Set from the first request with more than a few packets. */
  private pacer: Pacer | undefined
  private isPaused = false
  /** Reading is never paused from now on. */
  private isUnstoppable = false
  /** Other work has its turn. */
  private isYielding = false

  constructor(handle: (packet: string | Uint8Array) => void) {
    this.handle = handle
  }

  /** Decodes a body of this size. The time of a large one counts like that of packets. */
  decode<A>(size: number, makePacer: (() => Pacer) | undefined, run: () => A): A {
    if (size < LARGE) return run()
    this.pacer ??= makePacer?.()
    this.pacer?.mayGoOn(LARGE)
    const decoded = run()
    this.pacer?.rest()
    return decoded
  }

  /**
   * Handles the packets of a request, and then calls back. No other request may be in progress.
   */
  take(packets: Array<string | Uint8Array>, makePacer: (() => Pacer) | undefined, onDone: () => void): void {
    this.packets = packets
    this.at = 0
    this.onDone = onDone
    if (packets.length > FEW || packets.some(({ length }) => length >= LARGE)) this.pacer ??= makePacer?.()
    this.goOn()
  }

  pause(): void {
    this.isPaused = !this.isUnstoppable
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    // The caller may be in the middle of a dispatch.
    if (this.packets !== undefined) microtask(() => this.goOn())
  }

  /** Whether received packets are still unhandled. */
  get isPending(): boolean {
    return this.packets !== undefined
  }

  /** Packets that come from now on do not wait for `resume`. */
  stopPausing(): void {
    this.isUnstoppable = true
    this.isPaused = false
  }

  /** Handles the rest, whether reading is paused or not, and then calls back. */
  drain(onDrained: () => void): void {
    this.stopPausing()
    if (this.packets === undefined) return onDrained()
    const { onDone } = this
    this.onDone = () => {
      onDone?.()
      onDrained()
    }
    this.goOn()
  }

  /** Forgets the rest: the session has ended. */
  drop(): void {
    this.packets = this.onDone = undefined
    this.pacer?.rest()
  }

  private goOn(): void {
    const { packets, pacer } = this
    if (packets === undefined || this.isYielding) return
    while (this.at < packets.length) {
      if (this.isPaused) return pacer?.rest()
      const packet = packets[this.at]!
      if (pacer !== undefined && !pacer.mayGoOn(packet.length)) return this.yield(pacer)
      // A handled packet need not stay in memory until the last one is handled.
      packets[this.at++] = ""
      this.handle(packet)
      if (this.packets !== packets) return
    }
    if (pacer !== undefined) {
      pacer.rest()
      if (pacer.isDue) return this.yield(pacer)
    }
    const { onDone } = this
    this.packets = this.onDone = undefined
    onDone?.()
  }

  private yield(pacer: Pacer): void {
    this.isYielding = true
    pacer.yield(() => {
      this.isYielding = false
      this.goOn()
    })
  }
}
