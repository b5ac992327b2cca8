import { countMessage, forget, Pace } from "./pace.ts"
import { now, setImmediate, setTimeout } from "./turn.ts"

/** The chunks of a body that are read in a row; then reading stops. Large bodies bring 32. */
export const CHUNKS_IN_A_ROW = 128

/**
 * Stops the reading of bodies that come in many small chunks, so that other connections get their
 * turn. A peer decides how a body is cut into chunks of HTTP, down to one byte each.
 */
export class ChunkPace {
  isHolding = false
  private readonly pace = new Pace()
  private readonly chunkTime: number
  private readonly onGoOn: () => void
  private readonly readsOn: boolean
  private count = 0
  private bytes = 0
  private began = 0

  /**
   * `chunkTime`: the least time that the platform takes for a chunk, in milliseconds. `readsOn`:
   * whether more chunks come in the turn in which reading stops; the rest of that turn counts then.
   */
  constructor(chunkTime: number, readsOn: boolean, onGoOn: () => void) {
    this.chunkTime = chunkTime
    this.readsOn = readsOn
    this.onGoOn = onGoOn
  }

  /** Counts a chunk that comes although reading has stopped: those of one read come together. */
  add(bytes: number): void {
    this.count++
    this.bytes += bytes
  }

  /**
   * Stops reading after this many chunks. Calls back after this turn of the event loop and a pause
   * (see `pace.ts`).
   */
  hold(count: number): void {
    this.isHolding = true
    this.count = count
    this.bytes = 0
    this.began = now()
    setImmediate(this.takePause)
  }

  private readonly takePause = (): void => {
    countMessage(this, this.bytes)
    const end = now()
    this.pace.took(Math.max(this.count * this.chunkTime, this.readsOn ? end - this.began : 0))
    const pause = this.pace.next(end)
    if (pause > 0) setTimeout(this.goOn, pause)
    else this.goOn()
  }

  private readonly goOn = (): void => {
    this.isHolding = false
    forget(this)
    this.onGoOn()
  }
}
