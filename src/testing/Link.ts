/**
 * A connection in memory: two ends, and what is on its way between them.
 *
 * A link knows nothing of what it carries. How and when something arrives is up to its
 * {@link Deliver}; whatever that does, each direction of a link keeps its order, as TCP does.
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
  /** The bytes of it; 0 for the news of an end. */
  readonly size: number
  /**
   * Lets it arrive. What was sent before it on the same link arrives before it: a message waits for
   * those in front of it. A second call does nothing.
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
 * How transmissions come to the other end: it is called for each in the order in which they are
 * sent, and calls `arrive` later, never within the call. What never arrives holds back everything
 * behind it: that direction is dead from then on.
 *
 * `later` is how they come by default: `(transmission, later) => later(transmission.arrive)`, in
 * the order in which they are sent over all links.
 *
 * @since 0.1.0
 * @category models
 */
export type Deliver = (transmission: Transmission, later: Later) => void

/** Tasks that run in one turn before everything else in the process has its own. */
const MAX_TASKS = 1_000

/**
 * Makes a queue of tasks that are run in the order in which they were given, in a task of their own
 * that `schedule` is given; what they give rise to follows in the same task.
 *
 * With a dispatcher of Effect's `Scheduler` this is deterministic: there is one queue, nothing in
 * it depends on time or I/O, and a dispatcher runs what it is given in order. It is what a
 * `TestClock` waits for, too: a message that a fiber sends which the clock has woken, and what is
 * sent in return, arrives before time goes on. That an endless exchange does not lock up the
 * process, no more than 1,000 tasks run in one turn.
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
      // Also behind a task that has thrown: it takes none of the others with it.
      if (tasks.length > 0) schedule(run)
    }
  }
  return (task) => {
    tasks.push(task)
    // Once for each, though one will do: a clock that waits for what is scheduled now does not wait
    // for what was scheduled before.
    if (!isRunning) schedule(run)
  }
}

/**
 * How an end of a link came to its end: `closed` by either side behind everything that was sent, or
 * `cut` before.
 *
 * @since 0.1.0
 * @category models
 */
export type LinkEnding = "closed" | "cut"

/**
 * Where what arrives at an end goes.
 *
 * @since 0.1.0
 * @category models
 */
export interface LinkReceiver<In> {
  onMessage(message: In): void
  /** The end has ended, whoever ended it. Called exactly once, and nothing after it. */
  onEnd(ending: LinkEnding): void
}

/**
 * One end of a link. Its methods do not throw; after the end they do nothing, and nothing is called
 * back within them.
 *
 * @since 0.1.0
 * @category models
 */
export interface LinkEnd<In, Out> {
  receiver: LinkReceiver<In>
  /** The bytes that were sent and have not arrived. */
  readonly buffered: number
  /** If it is set, called whenever something of what was sent has arrived. */
  onArrived: (() => void) | undefined
  send(message: Out, size: number): void
  /** Closes the link behind what was sent; it has ended when the other side has closed it, too. */
  close(): void
  /** Ends it at once. The other side hears of it behind what was sent; what it has sent is lost. */
  abort(): void
}

/** What ends of a link need of it. */
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
  /** What is on its way to the other end. */
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

  /** Everything that is on its way is lost. */
  lose(): void {
    this.outbox = []
    this.buffered = 0
  }

  end(ending: LinkEnding): void {
    if (this.state === "ended") return
    this.state = "ended"
    this.tellEnded(ending)
  }

  /** Brings the other end what has arrived. */
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
    // Closing is answered, behind what was sent here.
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
 * A link, for whoever holds it: `Up` is what the client sends, `Down` what the server does.
 *
 * @since 0.1.0
 * @category models
 */
export interface Link<Up, Down> {
  readonly client: LinkEnd<Down, Up>
  readonly server: LinkEnd<Up, Down>
  /**
   * Breaks it: what is on its way is lost, and both ends end within the call, the client's first.
   */
  cut(): void
  /** Holds everything that would arrive, either way, from now on. */
  stall(): void
  /** Lets arrive what was held, in order, within the call, and what comes behind it. */
  resume(): void
}

/**
 * Makes a link. `onEnded` is called when both of its ends have ended, `onArrived` with every
 * message, and every `{ ending: LinkEnding }`, right before it is taken.
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
