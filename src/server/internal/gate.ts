/** Lets a limited number of tasks run at once, the others in the order of their arrival. Synchronous: no fibers wait. */
export class Gate {
  private readonly limit: number
  private waiting: Array<(leave: () => void) => void> = []
  private head = 0
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
    while (this.running < this.limit && this.head < this.waiting.length) {
      this.running++
      this.waiting[this.head++]!(this.leave)
    }
    // What has started is dropped now and then, so that a long queue costs no more per task than a short one.
    if (this.head === this.waiting.length || this.head > 1_000) {
      this.waiting = this.waiting.slice(this.head)
      this.head = 0
    }
    this.draining = false
  }
}
