/** Lets a limited number of tasks run at once, the others in the order of their arrival. Synchronous: no fibers wait. */
export class Gate {
  private readonly limit: number
  private readonly waiting: Array<(leave: () => void) => void> = []
  private running = 0
  private draining = false

  constructor(limit: number) {
    this.limit = limit
  }

  /** Starts the task now or later. It calls `leave` once, when it is done. */
  enter(task: (leave: () => void) => void): void {
    this.waiting.push(task)
    this.drain()
  }

  private readonly leave = () => {
    this.running--
    this.drain()
  }

  private drain(): void {
    // A task that is done at once leaves from within: the loop below goes on, instead of growing the stack.
    if (this.draining) return
    this.draining = true
    let started = 0
    while (this.running < this.limit && started < this.waiting.length) {
      this.running++
      this.waiting[started++]!(this.leave)
    }
    this.waiting.splice(0, started)
    this.draining = false
  }
}
