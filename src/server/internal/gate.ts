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
  private waiting: Array<Waiting> = []
  private head = 0
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
    while (this.running < this.limit && this.head < this.waiting.length) {
      this.running++
      const { cost, task } = this.waiting[this.head++]!
      this.backlog.leave(cost)
      task(this.leave)
    }
    // Started tasks are dropped now and then, so that a long queue costs no more per task.
    if (this.head === this.waiting.length || this.head > 1_000) {
      this.waiting = this.waiting.slice(this.head)
      this.head = 0
    }
    this.draining = false
  }
}
