import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"

import type * as Namespace from "../../Namespace.ts"
import type { NamespaceHandle } from "../../server/NamespaceHandle.ts"
import * as PresenceMetrics from "../PresenceMetrics.ts"
import type { PresenceShape, PresentSocket } from "../PresenceModel.ts"
import { Cluster, type ClusterOptions, type ReadMeta } from "./cluster.ts"
import { type Room, Rooms } from "./members.ts"
import { Readers } from "./readers.ts"
import { StateQueue } from "./stateQueue.ts"
import { Tracker, type TrackerOptions } from "./tracker.ts"
import { diffOf, stateOf } from "./wire.ts"

/** The ticks of a period: each one looks for work that is due. */
const TICKS = 4

/** The options of a presence: durations in milliseconds. */
export interface Resolved extends TrackerOptions, ClusterOptions {
  /** The id of the service. */
  readonly name: string
  /** The beginning of the events' names. */
  readonly event: string
  /** Whether the namespace's clients know these events. */
  readonly tellsClients: boolean
  readonly read: ReadMeta
}

/** The parts of the layer's context that it uses. */
interface Surroundings {
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
  /** Runs an effect in the layer's scope. */
  readonly run: (effect: Effect.Effect<void>) => void
}

interface Metrics {
  readonly context: Context.Context<never>
  readonly members: Metric.Metric<number, unknown>
  readonly refused: Metric.Metric<number, unknown>
}

/** The presence of one namespace on this server. */
export class PresenceRuntime {
  private readonly io: NamespaceHandle<Namespace.Untyped>
  private readonly options: Resolved
  private readonly clock: Clock.Clock
  private readonly run: (effect: Effect.Effect<void>) => void
  private readonly rooms: Rooms
  private readonly states = new StateQueue()
  private readonly readers: Readers
  private readonly cluster: Cluster
  private readonly tracker: Tracker
  private readonly metrics: Metrics
  /**
   * The rooms of which a message is being sent: the next one waits, however slow the clients are.
   */
  private readonly telling = new Set<Room>()
  /** The states that were made since the last tick. */
  private readonly made = new Map<Room, ReturnType<typeof stateOf>>()
  private ticks = 0
  /** The others have been told that the members of this server are not there any more. */
  private isEnded = false

  constructor(io: NamespaceHandle<Namespace.Untyped>, options: Resolved, server: string, surroundings: Surroundings) {
    this.io = io
    this.options = options
    this.rooms = new Rooms(options.period)
    this.readers = new Readers(this.rooms)
    this.clock = surroundings.clock
    this.run = surroundings.run
    const attributes = { presence: options.name }
    this.metrics = {
      context: surroundings.context,
      members: Metric.withAttributes(PresenceMetrics.members, attributes),
      refused: Metric.withAttributes(PresenceMetrics.refused, attributes)
    }
    this.cluster = new Cluster(server, this.rooms, options, options.read)
    this.tracker = new Tracker(io.name, this.rooms, this.cluster, options, {
      now: () => this.now,
      changed: (room, except) => this.changed(room, except),
      show: (socket, room) => this.show(socket, room),
      ended: (socket) => this.states.forget(socket),
      run: surroundings.run
    })
  }

  private get now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  /** The name of the frames between servers. */
  private get frames(): string {
    return `~fx:presence:${this.options.event}`
  }

  /** Runs until the scope closes. */
  get start(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      yield* Effect.addFinalizer(() =>
        Effect.suspend(() => {
          this.isEnded = true
          this.readers.end()
          return this.io.serverSideEmit(this.frames, this.cluster.own.bye)
        })
      )
      yield* this.io.onServerSide(this.frames, (frame) => Effect.sync(() => this.receive(frame)))
      this.cluster.start(this.now)
      this.send()
      const tick = Effect.sync(() => this.tick()).pipe(
        Effect.catchCause((cause) => Effect.logError("presence: a tick has failed", cause))
      )
      yield* Effect.sleep(this.options.period / TICKS).pipe(
        Effect.andThen(tick),
        Effect.forever,
        Effect.forkScoped({ startImmediately: true })
      )
    })
  }

  // ---------------------------------------------------------------- the application's side

  readonly service: PresenceShape<any> = {
    track: (socket, member) => this.tracker.track(socket, member),
    untrack: (socket, room) => Effect.sync(() => this.tracker.untrack(socket, room)),
    watch: (socket, room) =>
      Effect.andThen(
        this.tracker.enter(socket, room),
        Effect.sync(() => this.show(socket, room))
      ),
    list: (room) =>
      Effect.sync(() => {
        const keys = Array.from(this.rooms.get(room)?.keys ?? [])
        return new Map(keys.map(([key, members]) => [key, Array.from(members, ({ version }) => version.meta)])) as never
      }),
    count: (room) =>
      Effect.sync(() => {
        const found = this.rooms.get(room)
        return { keys: found?.keys.size ?? 0, connections: found?.connections ?? 0 }
      }),
    changes: (room) => this.readers.changes(room),
    servers: Effect.sync(() => this.cluster.states)
  }

  /**
   * An own member has changed. The one whose socket `except` has is about to get the whole state.
   */
  private changed(room: Room, except?: string): void {
    const { now } = this
    this.publish(room, now, except)
    this.cluster.tell(now)
    this.send()
  }

  // ---------------------------------------------------------------- to clients

  /**
   * Sends the state of a room to a socket, or lets it wait for the next tick. A socket whose
   * builder is at work gets it at the end of the turn: many sockets that come at once share its
   * encoded form, and those that have left by then cost nothing. Later it comes before the answer
   * to the event that is being handled.
   */
  private show(socket: PresentSocket, name: string): void {
    if (!this.options.tellsClients || !socket.connected) return
    const isFirst = !this.states.isAsked
    this.states.ask(socket, name)
    if (socket.ready !== false) return this.showAsked()
    if (isFirst) queueMicrotask(this.showAsked)
  }

  /** Sends the states that were asked for, but for those that wait for the next tick. */
  private readonly showAsked = (): void => {
    if (!this.states.isAsked) return
    for (const [name, ids] of this.states.atOnce(this.sizeOf)) this.run(this.stateTo(ids, name))
  }

  private readonly sizeOf = (name: string): number => this.rooms.get(name)?.connections ?? 0

  private stateTo(ids: ReadonlySet<string>, name: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { event } = this.options
      return this.io.to(Array.from(ids)).local.emit(`${event}_state`, this.stateOf(this.rooms.get(name)), name)
    })
  }

  private stateOf(room: Room | undefined): ReturnType<typeof stateOf> {
    let state = room && this.made.get(room)
    if (state === undefined) {
      state = stateOf(room)
      if (room !== undefined) this.made.set(room, state)
    }
    return state
  }

  /** Publishes the changes of a room, if it is time. */
  private publish(room: Room, now: number, except?: string): void {
    if (this.telling.has(room)) return
    // A state comes before the differences that it does not contain.
    if (this.states.isAsked && room.changed.size > 0 && now >= room.dueAt) this.showAsked()
    const difference = this.rooms.publish(room, now)
    if (difference === undefined) return
    this.made.delete(room)
    this.readers.publish(room, difference)
    if (!this.options.tellsClients) return
    const all = this.io.to(room.name).local
    const recipients = except === undefined ? all : all.except(except)
    const tell = Effect.flatMap(recipients.size, (size) =>
      size === 0 ? Effect.void : recipients.emit(`${this.options.event}_diff`, diffOf(difference), room.name)
    )
    this.tell(room, tell)
  }

  /** Sends the states of rooms for which sockets wait. */
  private showWaiting(): void {
    for (const [name, ids] of this.states.next(this.sizeOf)) {
      const room = this.rooms.get(name)
      const state = this.stateTo(ids, name)
      if (room === undefined) this.run(state)
      else this.tell(room, state)
    }
  }

  private tell(room: Room, effect: Effect.Effect<void>): void {
    this.telling.add(room)
    this.run(
      Effect.ensuring(
        effect,
        Effect.sync(() => this.telling.delete(room))
      )
    )
  }

  // ---------------------------------------------------------------- between servers

  private receive(frame: unknown): void {
    const { cluster, now } = this
    cluster.receive(frame, now)
    this.publishTouched(now)
    this.send()
  }

  private publishTouched(now: number): void {
    const { touched } = this.cluster
    for (const room of touched) this.publish(room, now)
    touched.clear()
  }

  private send(): void {
    const { outbox } = this.cluster
    if (outbox.length === 0) return
    const frames = outbox.splice(0)
    if (this.isEnded) return
    for (const frame of frames) this.run(this.io.serverSideEmit(this.frames, frame))
  }

  private tick(): void {
    const { cluster, now, rooms } = this
    this.tracker.tick(now)
    cluster.tick(now)
    cluster.touched.clear()
    this.send()
    for (const room of rooms.changed) this.publish(room, now)
    rooms.sweep(now)
    this.showWaiting()
    this.made.clear()
    if (++this.ticks % TICKS === 0) this.tracker.endPeriod()
    this.report()
  }

  private report(): void {
    const { cluster, metrics } = this
    metrics.members.updateUnsafe(cluster.size, metrics.context)
    if (cluster.refused > 0) metrics.refused.updateUnsafe(cluster.refused, metrics.context)
    cluster.refused = 0
  }
}

/** Makes the presence of a namespace, and runs it until the scope closes. */
export const makeRuntime = Effect.fnUntraced(function* (
  io: NamespaceHandle<Namespace.Untyped>,
  options: Resolved,
  server: string
): Effect.fn.Return<PresenceShape<any>, never, Scope.Scope> {
  const context = yield* Effect.context<never>()
  const scope = yield* Effect.scope
  const fork = Effect.runForkWith(context)
  const run = (effect: Effect.Effect<void>): void => {
    const fiber = fork(
      Effect.catchCause(effect, (cause) => Effect.logError("presence: a message could not be sent", cause))
    )
    // It waits only where the outbox policy makes it wait for slow clients.
    if (fiber.pollUnsafe() === undefined) Fiber.runIn(fiber, scope)
  }
  const runtime = new PresenceRuntime(io, options, server, { clock: yield* Clock.Clock, context, run })
  yield* runtime.start
  return runtime.service
})
