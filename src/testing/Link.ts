/**
 * A connection in memory: two ends, and the data on its way between them.
 *
 * A link does not look at its data. Its {@link Deliver} decides how and when something arrives.
 * Each direction of a link always keeps its order, as TCP does.
 *
 * @since 0.1.0
 */

/**
 * Something on its way: a message, or the news that the other end has closed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transmission {
  /** The link's number: links are counted from 0, in the order in which they are made. */
  readonly link: number
  readonly direction: "to server" | "to client"
  /** The size in bytes; 0 for the news of an end. */
  readonly size: number
  /**
   * Lets the transmission arrive. It waits for earlier transmissions of the same link and
   * direction. A second call does nothing.
   */
  readonly arrive: () => void
}

/**
 * Runs tasks later, in their order.
 *
 * @since 0.1.0
 * @category models
 */
export type Later = (task: () => void) => void

/**
 * Decides how transmissions come to the other end. It is called for each transmission in the order
 * of sending, and calls `arrive` later, never within the call. A transmission that never arrives
 * blocks everything after it: that direction is dead from then on.
 *
 * The default is `(transmission, later) => later(transmission.arrive)`: everything arrives in the
 * order of sending, over all links.
 *
 * @since 0.1.0
 * @category models
 */
export type Deliver = (transmission: Transmission, later: Later) => void

/** The tasks that may run in one turn before the rest of the process has its turn. */
const MAX_TASKS = 1_000

/**
 * Makes a queue of tasks. They run in order, within one task that is given to `schedule`. Tasks
 * that they add follow in the same task.
 *
 * With a dispatcher of Effect's `Scheduler` this is deterministic: there is one queue, nothing in
 * it depends on time or I/O, and a dispatcher runs its tasks in order. A `TestClock` waits for it,
 * too: if the clock wakes a fiber that sends a message, then the message and its replies arrive
 * before time goes on. At most 1,000 tasks run in one turn, so that an endless exchange does not
 * lock up the process.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeLater = (schedule: Later): Later => {
  const tasks: Array<() => void> = []
  let isRunning = false
  const run = () => {
    isRunning = true
    try {
      for (let done = 0; tasks.length > 0 && done < MAX_TASKS; done++) tasks.shift()!()
    } finally {
      isRunning = false
      // This also runs after a task that has thrown, so that the other tasks are not lost.
      if (tasks.length > 0) schedule(run)
    }
  }
  return (task) => {
    tasks.push(task)
    // It schedules once for each task, though one would do: a clock that waits for tasks scheduled
    // now does not wait for earlier ones.
    if (!isRunning) schedule(run)
  }
}

/**
 * How an end of a link ended: `closed` by either side after everything was sent, or `cut` before
 * that.
 *
 * @since 0.1.0
 * @category models
 */
export type LinkEnding = "closed" | "cut"

/**
 * The receiver of everything that arrives at an end.
 *
 * @since 0.1.0
 * @category models
 */
export interface LinkReceiver<In> {
  onMessage(message: In): void
  /**
   * The end has ended, by whichever side. It is called exactly once, and nothing is called after
   * it.
   */
  onEnd(ending: LinkEnding): void
}

/**
 * One end of a link. Its methods do not throw. After the end they do nothing. They never call back
 * within the call.
 *
 * @since 0.1.0
 * @category models
 */
export interface LinkEnd<In, Out> {
  receiver: LinkReceiver<In>
  /** The bytes that were sent and have not arrived. */
  readonly buffered: number
  /** If it is set, it is called whenever a part of the sent data has arrived. */
  onArrived: (() => void) | undefined
  send(message: Out, size: number): void
  /**
   * Closes the link after everything that was sent. It has ended when the other side has closed it,
   * too.
   */
  close(): void
  /**
   * Ends the link at once. The other side learns of it after everything that was sent; data from
   * the other side is lost.
   */
  abort(): void
}

/** The parts of a link that its ends use. */
interface Wires {
  readonly id: number
  readonly deliver: Deliver
  readonly later: Later
  isStalled: boolean
  onArrived(direction: Transmission["direction"], content: unknown): void
  onEnded(): void
}

interface Item<Out> {
  readonly content: { readonly message: Out } | LinkEnding
  readonly size: number
  arrived: boolean
}

class End<In, Out> implements LinkEnd<In, Out> {
  receiver: LinkReceiver<In> = { onMessage() {}, onEnd() {} }
  onArrived: (() => void) | undefined
  buffered = 0
  state: "open" | "closing" | "ended" = "open"
  peer!: End<Out, In>
  private readonly wires: Wires
  private readonly direction: Transmission["direction"]
  /** The items on their way to the other end. */
  private outbox: Array<Item<Out>> = []
  private isDelivering = false

  constructor(wires: Wires, direction: Transmission["direction"]) {
    this.wires = wires
    this.direction = direction
  }

  send(message: Out, size: number): void {
    if (this.state === "open") this.transmit({ message }, size)
  }

  close(): void {
    if (this.state !== "open") return
    this.state = "closing"
    this.transmit("closed", 0)
  }

  abort(): void {
    if (this.state === "ended") return
    this.state = "ended"
    this.transmit("cut", 0)
    this.wires.later(() => this.tellEnded("cut"))
  }

  /** Loses everything that is on its way. */
  lose(): void {
    this.outbox = []
    this.buffered = 0
  }

  end(ending: LinkEnding): void {
    if (this.state === "ended") return
    this.state = "ended"
    this.tellEnded(ending)
  }

  /** Brings arrived items to the other end. */
  bring(): void {
    if (this.isDelivering) return
    this.isDelivering = true
    try {
      while (this.outbox[0]?.arrived === true && !this.wires.isStalled) {
        const { content, size } = this.outbox.shift()!
        this.buffered -= size
        this.wires.onArrived(this.direction, typeof content === "object" ? content.message : { ending: content })
        this.peer.take(content)
        this.onArrived?.()
      }
    } finally {
      this.isDelivering = false
    }
  }

  private take(content: Item<In>["content"]): void {
    if (this.state === "ended") return
    if (typeof content === "object") return this.receiver.onMessage(content.message)
    // A close is answered, after everything that was sent here.
    if (content === "closed") this.close()
    this.end(content)
  }

  private tellEnded(ending: LinkEnding): void {
    this.receiver.onEnd(ending)
    this.wires.onEnded()
  }

  private transmit(content: Item<Out>["content"], size: number): void {
    const item: Item<Out> = { content, size, arrived: false }
    this.outbox.push(item)
    this.buffered += size
    const arrive = () => {
      item.arrived = true
      this.bring()
    }
    const { deliver, id: link, later } = this.wires
    deliver({ link, direction: this.direction, size, arrive }, later)
  }
}

/**
 * A link, for its owner: `Up` is the type of the client's messages, `Down` of the server's.
 *
 * @since 0.1.0
 * @category models
 */
export interface Link<Up, Down> {
  readonly client: LinkEnd<Down, Up>
  readonly server: LinkEnd<Up, Down>
  /**
   * Breaks the link: everything on its way is lost, and both ends end within the call, the client's
   * first.
   */
  cut(): void
  /** Holds everything that would arrive, in either direction, from now on. */
  stall(): void
  /** Lets the held data arrive, in order, within the call, and the data after it. */
  resume(): void
}

/**
 * Makes a link. `onEnded` is called when both ends have ended. `onArrived` is called with every
 * message, and every `{ ending: LinkEnding }`, right before its receiver gets it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Up, Down>(options: {
  readonly id: number
  readonly deliver: Deliver
  readonly later: Later
  readonly onEnded: () => void
  readonly onArrived?: ((direction: Transmission["direction"], content: unknown) => void) | undefined
}): Link<Up, Down> => {
  let ended = 0
  const wires: Wires = {
    id: options.id,
    deliver: options.deliver,
    later: options.later,
    isStalled: false,
    onArrived: options.onArrived ?? (() => {}),
    onEnded: () => {
      if (++ended === 2) options.onEnded()
    }
  }
  const client = new End<Down, Up>(wires, "to server")
  const server = new End<Up, Down>(wires, "to client")
  client.peer = server
  server.peer = client
  return {
    client,
    server,
    cut: () => {
      client.lose()
      server.lose()
      client.end("cut")
      server.end("cut")
    },
    stall: () => {
      wires.isStalled = true
    },
    resume: () => {
      wires.isStalled = false
      client.bring()
      server.bring()
    }
  }
}
