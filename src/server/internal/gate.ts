import { Deque } from "../../internal/deque.ts"
import type { Backlog } from "./backlog.ts"

/** A task that waits, and its cost meanwhile. It calls `leave` once, when it is done. */
interface Waiting {
  readonly cost: number
  readonly task: (leave: () => void) => void
}

/**
 * Lets a limited number of events run at once, and the others in the order of their arrival. It is
 * synchronous: no fibers wait. An event is in the connection's backlog while it waits here.
 */
export class Gate {
  private readonly limit: number
  private readonly backlog: Backlog
  private readonly waiting = new Deque<Waiting>()
  private running = 0
  private draining = false

  constructor(limit: number, backlog: Backlog) {
    this.limit = limit
    this.backlog = backlog
  }

  /** Starts the task now or later. */
  enter(cost: number, task: (leave: () => void) => void): void {
    this.waiting.push({ cost, task })
    this.backlog.enter(cost)
    this.drain()
  }

  private readonly leave = () => {
    this.running--
    this.drain()
  }

  private drain(): void {
    // A task that ends at once calls `leave` within the loop, which goes on, so the stack does not
    // grow.
    if (this.draining) return
    this.draining = true
    while (this.running < this.limit && this.waiting.size > 0) {
      this.running++
      const { cost, task } = this.waiting.shift()
      this.backlog.leave(cost)
      task(this.leave)
    }
    this.draining = false
  }
}
