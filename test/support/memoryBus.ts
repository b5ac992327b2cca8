/**
 * A bus in memory, for the servers of a cluster in one process: messages are copies, take their time, and are lost as those of a broker
 * are. All time is the Clock's, and all chance comes from a seed.
 *
 * It is a broker with two lines for each server, one to it and one from it. Both keep their order. What a server sends is numbered, as
 * real links do it, so that the others know what they have missed.
 */
import { Clock, Duration, Effect, Latch, type Scope } from "effect"

import type { ClusterLink, ClusterReceiver, LinkFactory } from "../../src/adapter/ClusterLink.ts"
import type { ClusterAnswer, ClusterMessage, Sender } from "../../src/adapter/ClusterMessage.ts"
import type { ClusterMonitor, DropReason } from "../../src/adapter/ClusterStatus.ts"
import { Sequences } from "../../src/adapter/Sequences.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"

export interface BusOptions {
  readonly seed?: number
  /** The time that a message needs to or from the broker, in milliseconds. Default: none. */
  readonly latency?: readonly [min: number, max: number]
  /** A server is silent for so long before it tells its last numbers, in milliseconds. */
  readonly beatAfter?: number
  /** For so long after an outage, a server does not believe the number of servers, in milliseconds. */
  readonly settleFor?: number
  /** Whether the bus tells the others that a server is dead, when it has noticed it. */
  readonly tellsDeaths?: boolean
  /** The time until the broker notices that a server is dead or cut off, in milliseconds. Default: none. */
  readonly noticesAfter?: number
  /** The messages that a server keeps while it is cut off. Default: 1,000. */
  readonly maxOutbox?: number
}

export interface ServerOptions {
  /**
   * Behaves as the servers of the official packages: it knows neither pings nor cancellations, and passes on the first argument of an
   * acknowledgement alone. An `anonymous` one does not even say who it is.
   */
  readonly official?: "named" | "anonymous"
}

/** A message on its way. */
export type Body =
  | { readonly _tag: "Message"; readonly message: ClusterMessage }
  | { readonly _tag: "Answer"; readonly answer: ClusterAnswer }
  | { readonly _tag: "Beat"; readonly lanes: ReadonlyArray<readonly [to: string, lane: string, last: number]> }
  | { readonly _tag: "Goodbye" }

interface Post {
  readonly from: BusLink
  /** The server that it is for; `undefined` if it is for all others. */
  readonly to: string | undefined
  readonly body: Body
  number: number | undefined
}

/** Takes what happens on the bus, for models of it. */
export interface BusObserver {
  /** A message arrives, before the adapter gets it. */
  readonly onArrival?: (to: BusServer, from: BusServer, body: Body) => void
  /** A server has counted the servers, if it could; `began` is the tick at which it began. */
  readonly onCount?: (server: BusServer, counted: ReadonlyArray<BusServer> | undefined, began: number) => void
  /** A server sends a message, or drops it. It is for all others, or for the one with an id. */
  readonly onPost?: (from: BusServer, to: string | undefined, body: Body, isDropped: boolean) => void
}

/** The monitor of a server in tests: it counts. */
export class CountingMonitor implements ClusterMonitor {
  readonly losses = new Map<string, number>()
  readonly drops: Record<DropReason, number> = { overflow: 0, expired: 0, failed: 0 }
  readonly refusals: Array<string> = []
  readonly incompletes: Array<number> = []
  outages = 0
  readonly status = undefined as never

  connected(isConnected: boolean): void {
    if (!isConnected) this.outages++
  }

  lost(count: number, _namespace: string, uid: string): void {
    this.losses.set(uid, (this.losses.get(uid) ?? 0) + count)
  }

  dropped(count: number, reason: DropReason): void {
    this.drops[reason] += count
  }

  refused(_namespace: string, problem: string): void {
    this.refusals.push(problem)
  }

  incomplete(_namespace: string, missing: number): void {
    this.incompletes.push(missing)
  }
}

/** One server of the cluster: a process with its line to the broker. */
export class BusServer {
  readonly name: string
  readonly monitor = new CountingMonitor()
  readonly clock: Clock.Clock
  readonly options: ServerOptions
  readonly links = new Set<BusLink>()
  state: "up" | "cut" | "dead" = "up"
  /** The part of the cluster that it is in. Between parts, nothing passes. */
  part = 0
  isPaused = false
  /** Whether the broker counts it. */
  isCounted = true
  believesSince = 0
  /** When the last message on each line arrives. */
  readonly line = { up: 0, down: 0 }
  /** Messages on these lines are lost with them: a new connection has a new number. */
  connection = 0
  keepsOutbox = true
  readonly outbox: Array<Post> = []
  private readonly bus: MemoryBus
  private readonly inbox: Array<() => void> = []
  private readonly awake = Latch.makeUnsafe(true)

  constructor(bus: MemoryBus, name: string, options: ServerOptions) {
    this.bus = bus
    this.name = name
    this.options = options
    const { awake } = this
    const base = bus.clock
    // A process that is paused does not wake up either.
    this.clock = {
      currentTimeMillisUnsafe: () => base.currentTimeMillisUnsafe(),
      currentTimeMillis: base.currentTimeMillis,
      currentTimeNanosUnsafe: () => base.currentTimeNanosUnsafe(),
      currentTimeNanos: base.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => base.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: base.monotonicTimeNanos,
      sleep: (duration) => Effect.andThen(base.sleep(duration), awake.await)
    }
  }

  /** Opens links of this server. */
  readonly open: LinkFactory = (namespace, receiver) => {
    const link = new BusLink(this.bus, this, namespace, receiver)
    return Effect.acquireRelease(
      Effect.sync(() => {
        this.bus.enter(link)
        return link
      }),
      () => Effect.sync(() => this.bus.leave(link))
    )
  }

  /** The line to the broker is lost. Its own messages wait or are dropped meanwhile; those of others do not arrive. */
  cut(outbox: "keep" | "drop" = "keep"): void {
    if (this.state !== "up") return
    this.state = "cut"
    this.connection++
    this.keepsOutbox = outbox === "keep"
    this.monitor.connected(false)
    this.bus.notice(this)
  }

  restore(): void {
    if (this.state !== "cut") return
    this.state = "up"
    this.isCounted = true
    this.line.up = this.line.down = 0
    this.believesSince = this.bus.now + this.bus.settleFor
    this.monitor.connected(true)
    for (const post of this.outbox.splice(0)) this.bus.upload(post)
    this.bus.beatSoon()
  }

  /** The process ends without a word. */
  kill(): void {
    if (this.state === "dead") return
    this.state = "dead"
    this.isPaused = true
    this.awake.closeUnsafe()
    this.bus.notice(this)
  }

  /** The process hangs: it takes nothing, sends nothing, and its timers do not run. */
  pause(): void {
    this.isPaused = true
    this.awake.closeUnsafe()
  }

  resume(): void {
    if (this.state === "dead") return
    this.isPaused = false
    // Timers run first, then what has come meanwhile.
    this.awake.openUnsafe()
    this.bus.at(this.bus.now, () => {
      for (const run of this.inbox.splice(0)) run()
    })
  }

  run(task: () => void): void {
    if (this.isPaused || this.inbox.length > 0) this.inbox.push(task)
    else task()
  }

  /** The messages of another server that have not come to this one, as it has noticed. */
  lostFrom(other: BusServer): number {
    let lost = 0
    for (const { uid } of other.links) lost += this.monitor.losses.get(uid) ?? 0
    return lost
  }

  get dropped(): number {
    const { expired, failed, overflow } = this.monitor.drops
    return expired + failed + overflow
  }
}

const ALL = "*"

/** One namespace of a server. */
export class BusLink implements ClusterLink {
  readonly uid: string
  readonly namespace: string
  readonly server: BusServer
  readonly servers: Effect.Effect<number | undefined>
  readonly rooms = new Set<string>()
  private readonly bus: MemoryBus
  private readonly receiver: ClusterReceiver
  private readonly sequences = new Sequences()
  private readonly lanes = new Set<string>()
  private isBeating = false
  private isClosed = false

  constructor(bus: MemoryBus, server: BusServer, namespace: string, receiver: ClusterReceiver) {
    this.bus = bus
    this.server = server
    this.namespace = namespace
    this.receiver = receiver
    this.uid = `${server.name}-${bus.nextUid()}`
    // On the same line as the messages: a server that is counted gets what was sent before.
    this.servers = Effect.callback<number | undefined>((resume) => {
      const began = bus.tick()
      bus.count(this, (counted) => {
        bus.observer.onCount?.(server, counted, began)
        resume(Effect.succeed(counted?.length))
      })
    })
  }

  get isOfficial(): boolean {
    return this.server.options.official !== undefined
  }

  private get sender(): Sender {
    const { official } = this.server.options
    return { uid: official === "anonymous" ? undefined : this.uid, native: official === undefined }
  }

  // ---------------------------------------------------------------- from the adapter

  send(message: ClusterMessage): void {
    if (!this.isOfficial) return this.post(undefined, { _tag: "Message", message: structuredClone(message) })
    if (message._tag === "Ping" || message._tag === "Cancel") return
    this.post(undefined, { _tag: "Message", message: structuredClone(asOfficialMessage(message)) })
  }

  answer(to: Sender, answer: ClusterAnswer): void {
    const said = this.isOfficial ? asOfficialAnswer(answer) : answer
    if (said !== undefined) this.post(to.uid, { _tag: "Answer", answer: structuredClone(said) })
  }

  onRoomCreated(room: string): void {
    this.rooms.add(room)
  }

  onRoomDeleted(room: string): void {
    this.rooms.delete(room)
  }

  private post(to: string | undefined, body: Body): void {
    const { server } = this
    if (server.state === "dead" || this.isClosed) return
    const post: Post = { from: this, to, body, number: undefined }
    const isFull = server.outbox.length >= this.bus.maxOutbox
    const isDropped = server.state === "cut" && (!server.keepsOutbox || isFull)
    this.bus.observer.onPost?.(server, to, body, isDropped)
    if (server.state === "up") this.bus.upload(post)
    else if (!isDropped) server.outbox.push(post)
    else server.monitor.dropped(1, server.keepsOutbox ? "overflow" : "failed")
  }

  number(post: Post): void {
    if (this.isOfficial || post.body._tag === "Goodbye" || post.body._tag === "Beat") return
    const lane = post.to ?? ALL
    post.number = this.sequences.next(lane)
    this.lanes.add(lane)
    this.beatLater()
  }

  goodbye(): void {
    this.post(undefined, { _tag: "Goodbye" })
    this.isClosed = true
  }

  /** Tells the last numbers, after some silence. */
  beatLater(): void {
    if (this.isBeating || this.isOfficial) return
    this.isBeating = true
    this.bus.at(this.bus.now + this.bus.beatAfter, () => {
      this.isBeating = false
      if (this.server.state !== "up" || this.isClosed) return
      this.server.run(() => this.beat())
    })
  }

  private beat(): void {
    if (this.server.state !== "up" || this.isClosed) return
    const lanes = Array.from(this.lanes, (lane) => [lane, lane, this.sequences.last(lane)] as const)
    this.bus.upload({ from: this, to: undefined, body: { _tag: "Beat", lanes }, number: undefined })
  }

  /** Where the lanes of the others are when this server comes. */
  meet(other: BusLink): void {
    if (other.isOfficial || this.isOfficial) return
    this.sequences.settle(other.uid, ALL, other.sequences.last(ALL))
    this.sequences.settle(other.uid, this.uid, 0)
  }

  // ---------------------------------------------------------------- from the bus

  take(post: Post): void {
    if (this.isClosed) return
    const { body, from, number } = post
    if (number !== undefined && !this.isOfficial) {
      const missed = this.sequences.observe(from.uid, post.to ?? ALL, number)
      if (missed > 0) this.server.monitor.lost(missed, this.namespace, from.uid)
    }
    if (body._tag !== "Beat") this.bus.observer.onArrival?.(this.server, from.server, body)
    switch (body._tag) {
      case "Beat":
        for (const [to, lane, last] of body.lanes) {
          if (this.isOfficial || (to !== ALL && to !== this.uid)) continue
          const missed = this.sequences.settle(from.uid, lane, last)
          if (missed > 0) this.server.monitor.lost(missed, this.namespace, from.uid)
        }
        return
      case "Goodbye":
        this.left(from.uid, false)
        return
      case "Answer":
        if (this.isOfficial && asOfficialAnswer(body.answer) === undefined) return
        return this.receiver.onAnswer(from.sender, structuredClone(body.answer))
      case "Message": {
        const message = structuredClone(body.message)
        if (!this.isOfficial) return this.receiver.onMessage(from.sender, message)
        if (message._tag === "Ping" || message._tag === "Cancel") return
        return this.receiver.onMessage(from.sender, asOfficialMessage(message))
      }
    }
  }

  left(uid: string, isDead: boolean): void {
    this.sequences.forgetSender(uid)
    if (!this.isOfficial) this.receiver.onServerLeft(uid, isDead)
  }
}

/** Official servers know no count of sockets, and put a time limit on acknowledgements. */
const asOfficialMessage = (message: ClusterMessage): ClusterMessage => {
  if (message._tag !== "Question") return message
  const { question } = message
  if (question._tag === "Count") return { ...message, question: { _tag: "Fetch", selection: question.selection } }
  if (question._tag === "Ask") return { ...message, question: { ...question, timeout: question.timeout ?? 5_000 } }
  return message
}

const asOfficialAnswer = (answer: ClusterAnswer): ClusterAnswer | undefined => {
  switch (answer._tag) {
    case "Alive":
    case "RecipientLeft":
    case "Counted":
      return undefined
    case "Answered":
      return answer.args === undefined ? undefined : { ...answer, args: answer.args.slice(0, 1) }
    case "Acknowledged":
      return { ...answer, acknowledgement: { sid: undefined, args: answer.acknowledgement.args.slice(0, 1) } }
    default:
      return answer
  }
}

/** The clock has nanoseconds, and fractions of milliseconds are not exact. */
const PRECISION = 0.001

interface Due {
  readonly at: number
  readonly run: () => void
}

export class MemoryBus {
  readonly clock: Clock.Clock
  readonly beatAfter: number
  readonly settleFor: number
  readonly maxOutbox: number
  readonly servers: Array<BusServer> = []
  observer: BusObserver = {}
  latency: readonly [min: number, max: number]
  /** The numbered messages that did not arrive, by the sender and the receiver. */
  private readonly undelivered = new Map<BusServer, Map<BusServer, number>>()
  private readonly links = new Set<BusLink>()
  private readonly agenda: Array<Due> = []
  private readonly wanted = Latch.makeUnsafe(false)
  private readonly random: Seeded
  private readonly tellsDeaths: boolean
  private readonly noticesAfter: number
  /** The first thing that was thrown. */
  defect: unknown
  private uids = 0
  private ticks = 0

  constructor(clock: Clock.Clock, options: BusOptions) {
    const { beatAfter = 1_000, latency = [0, 0], maxOutbox = 1_000, noticesAfter = 0, seed = 0 } = options
    const { settleFor = 200, tellsDeaths = false } = options
    this.clock = clock
    this.beatAfter = beatAfter
    this.settleFor = settleFor
    this.maxOutbox = maxOutbox
    this.latency = latency
    this.noticesAfter = noticesAfter
    this.tellsDeaths = tellsDeaths
    this.random = new Seeded(seed, 7)
  }

  /** Adds a server to the cluster. */
  server(name: string, options: ServerOptions = {}): BusServer {
    const server = new BusServer(this, name, options)
    this.servers.push(server)
    return server
  }

  /** Splits the cluster. Both parts still count all servers, and what one part says does not reach the other. */
  partition(...parts: ReadonlyArray<ReadonlyArray<BusServer>>): void {
    for (const [index, part] of parts.entries()) for (const server of part) server.part = index
  }

  heal(): void {
    for (const server of this.servers) server.part = 0
    this.beatSoon()
  }

  /** The numbered messages of one server that did not arrive at another. */
  undeliveredTo(to: BusServer, from: BusServer): number {
    return this.undelivered.get(from)?.get(to) ?? 0
  }

  /** The messages that are on their way, and all that will happen. */
  get pending(): number {
    return this.agenda.length
  }

  get now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  // ---------------------------------------------------------------- for its parts

  nextUid(): string {
    return (this.uids++).toString(36)
  }

  enter(link: BusLink): void {
    for (const other of this.linksOf(link.namespace)) {
      link.meet(other)
      other.meet(link)
    }
    this.links.add(link)
    link.server.links.add(link)
    if (link.server.state === "up") link.server.monitor.connected(true)
  }

  leave(link: BusLink): void {
    const { server } = link
    if (server.state === "up") {
      link.goodbye()
      return
    }
    if (server.state === "cut") server.monitor.dropped(server.outbox.splice(0).length, "failed")
    this.links.delete(link)
  }

  /** Counts the servers at the broker, after what is on the way to it. */
  count({ namespace, server }: BusLink, onCount: (counted: ReadonlyArray<BusServer> | undefined) => void): void {
    const { connection } = server
    const isUp = () => server.state === "up" && server.connection === connection
    const answer = (counted: ReadonlyArray<BusServer> | undefined) =>
      server.run(() => onCount(isUp() && this.now >= server.believesSince ? counted : undefined))
    if (!isUp()) return answer(undefined)
    this.at((server.line.up = Math.max(server.line.up, this.now + this.delay())), () => {
      const counted = Array.from(this.linksOf(namespace), (link) => link.server).filter(({ isCounted }) => isCounted)
      this.at((server.line.down = Math.max(server.line.down, this.now + this.delay())), () => answer(counted))
    })
  }

  /** A number for what happens now: what happens later has a higher one. */
  tick(): number {
    return this.ticks++
  }

  /** The broker sees that a server is not there any more. */
  notice(server: BusServer): void {
    const { connection } = server
    this.at(this.now + this.noticesAfter, () => {
      if (server.state === "up" || server.connection !== connection) return
      server.isCounted = false
      if (server.state !== "dead") return
      for (const link of server.links) {
        this.links.delete(link)
        if (!this.tellsDeaths) continue
        for (const other of this.linksOf(link.namespace)) this.deliver(other, () => other.left(link.uid, true))
      }
    })
  }

  /** All tell their last numbers soon. */
  beatSoon(): void {
    for (const link of this.links) link.beatLater()
  }

  upload(post: Post): void {
    const { from } = post
    const { server } = from
    from.number(post)
    const { connection } = server
    this.at((server.line.up = Math.max(server.line.up, this.now + this.delay())), () => {
      const isLost = server.connection !== connection
      for (const link of this.linksOf(from.namespace)) {
        if (link === from || (post.to !== undefined && link.uid !== post.to)) continue
        if (isLost || link.server.part !== server.part) this.lose(post, link)
        else this.download(post, link)
      }
      if (post.body._tag === "Goodbye") this.links.delete(from)
    })
  }

  private download(post: Post, link: BusLink): void {
    if (link.server.state === "up")
      this.deliver(
        link,
        () => link.take(post),
        () => this.lose(post, link)
      )
    else this.lose(post, link)
  }

  private deliver({ server }: BusLink, arrive: () => void, onLost?: () => void): void {
    const { connection } = server
    this.at((server.line.down = Math.max(server.line.down, this.now + this.delay())), () => {
      if (server.connection !== connection) onLost?.()
      else if (server.state === "up") server.run(arrive)
    })
  }

  private lose({ from, number }: Post, to: BusLink): void {
    if (number === undefined) return
    let lost = this.undelivered.get(from.server)
    if (lost === undefined) this.undelivered.set(from.server, (lost = new Map()))
    lost.set(to.server, (lost.get(to.server) ?? 0) + 1)
  }

  private *linksOf(namespace: string): Iterable<BusLink> {
    for (const link of this.links) if (link.namespace === namespace) yield link
  }

  private delay(): number {
    const [min, max] = this.latency
    return max === 0 ? 0 : min + this.random.below(max - min + 1)
  }

  // ---------------------------------------------------------------- time

  /** Does something at a time. Tasks of the same time keep their order. */
  at(at: number, run: () => void): void {
    const { agenda } = this
    let index = agenda.length
    while (index > 0 && agenda[index - 1]!.at > at) index--
    agenda.splice(index, 0, { at, run })
    if (index === 0) this.wanted.openUnsafe()
  }

  private perform({ run }: Due): void {
    try {
      run()
    } catch (defect) {
      this.defect ??= defect
    }
  }

  get work(): Effect.Effect<never> {
    return Effect.forever(
      Effect.suspend(() => {
        this.wanted.closeUnsafe()
        const next = this.agenda[0]
        if (next === undefined) return this.wanted.await
        const wait = next.at - this.now
        if (wait > PRECISION) return Effect.timeoutOption(this.wanted.await, Duration.millis(wait))
        while (this.agenda[0] !== undefined && this.agenda[0].at <= this.now + PRECISION) {
          this.perform(this.agenda.shift()!)
        }
        return Effect.void
      })
    )
  }
}

/** Makes a bus that works until the scope closes. */
export const make = (options: BusOptions = {}): Effect.Effect<MemoryBus, never, Scope.Scope> =>
  Effect.gen(function* () {
    const bus = new MemoryBus(yield* Clock.Clock, options)
    yield* Effect.forkScoped(bus.work)
    return bus
  })
