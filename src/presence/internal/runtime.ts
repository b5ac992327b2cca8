import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"

import { costOf } from "../../internal/cost.ts"
import type * as Namespace from "../../Namespace.ts"
import type { NamespaceHandle } from "../../server/NamespaceHandle.ts"
import * as PresenceMetrics from "../PresenceMetrics.ts"
import {
  type Membership as Handle,
  PresenceRefused,
  type PresenceShape,
  type PresentSocket,
  type RefusalReason,
  type Tracking
} from "../PresenceModel.ts"
import { Cluster, type Metadata, type ReadMeta } from "./cluster.ts"
import { type Room, Rooms, type Version } from "./members.ts"
import { type Membership, Memberships } from "./memberships.ts"
import { Readers } from "./readers.ts"
import { StateQueue } from "./stateQueue.ts"
import { diffOf, stateOf } from "./wire.ts"

/** The ticks of a period: so often it is looked for what is due. */
const TICKS = 4

/** The options of a presence: durations in milliseconds. */
export interface Resolved {
  /** The id of the service. */
  readonly name: string
  /** The beginning of the events' names. */
  readonly event: string
  /** Whether the namespace's clients know these events. */
  readonly tellsClients: boolean
  readonly period: number
  readonly down: number
  readonly forget: number
  readonly maxMembers: number
  readonly maxTotal: number
  readonly maxPerSocket: number
  readonly maxBytes: number
  /** Encodes metadata. Throws if their schema refuses them. */
  readonly encode: (meta: unknown) => Metadata
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
  private readonly rooms = new Rooms()
  private readonly memberships = new Memberships()
  private readonly states = new StateQueue()
  private readonly readers = new Readers(this.rooms)
  private readonly cluster: Cluster
  private readonly metrics: Metrics
  /** The rooms of which a message is being sent: the next one waits, however slow the clients are. */
  private readonly telling = new Set<Room>()
  /** The states that were made since the last tick. */
  private readonly made = new Map<Room, ReturnType<typeof stateOf>>()
  private ticks = 0

  constructor(io: NamespaceHandle<Namespace.Untyped>, options: Resolved, server: string, surroundings: Surroundings) {
    this.io = io
    this.options = options
    this.clock = surroundings.clock
    this.run = surroundings.run
    const attributes = { presence: options.name }
    this.metrics = {
      context: surroundings.context,
      members: Metric.withAttributes(PresenceMetrics.members, attributes),
      refused: Metric.withAttributes(PresenceMetrics.refused, attributes)
    }
    this.cluster = new Cluster(server, this.rooms, options, options.read)
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
          this.readers.end()
          return this.io.serverSideEmit(this.frames, this.cluster.own.bye)
        })
      )
      yield* this.io.onServerSide(this.frames, (frame) => Effect.sync(() => this.receive(frame)))
      this.cluster.start(this.now)
      this.send()
      const tick = Effect.sync(() => this.tick())
      yield* Effect.sleep(this.options.period / TICKS).pipe(
        Effect.andThen(tick),
        Effect.forever,
        Effect.forkScoped({ startImmediately: true })
      )
    })
  }

  // ---------------------------------------------------------------- the application's side

  readonly service: PresenceShape<any> = {
    track: (socket, member) => this.track(socket, member),
    untrack: (socket, room) =>
      Effect.sync(() => {
        for (const membership of this.memberships.inRoom(socket.id, room)) this.remove(membership)
      }),
    watch: (socket, room) =>
      Effect.andThen(
        this.enter(socket, room),
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

  private track(socket: PresentSocket, tracking: Tracking<unknown>) {
    const owner = {}
    return Effect.gen({ self: this }, function* () {
      const metadata = this.options.encode(tracking.meta)
      const reason = this.refusal(socket, tracking, metadata)
      if (reason !== undefined) return yield* new PresenceRefused({ room: tracking.room, reason })
      yield* this.enter(socket, tracking.room)
      const adding = Effect.tap(
        Effect.suspend(() => this.begin(socket, tracking, metadata, owner)),
        () => Effect.sync(() => this.show(socket, tracking.room))
      )
      const ending = (membership: Membership | undefined) => Effect.sync(() => this.end(membership, owner))
      const membership = yield* Effect.acquireRelease(adding, ending)
      yield* socket.onDisconnecting(() => ending(membership))
      return { update: (meta) => this.update(membership, owner, meta) } satisfies Handle<unknown>
    })
  }

  private enter(socket: PresentSocket, room: string): Effect.Effect<void> {
    return socket.namespace === this.io.name
      ? socket.join(room)
      : Effect.die(new Error(`presence of "${this.io.name}": the socket is in "${socket.namespace}"`))
  }

  /** The bound that a member would exceed. */
  private refusal(
    { id }: PresentSocket,
    { key, room }: Tracking<unknown>,
    { encoded }: Metadata
  ): RefusalReason | undefined {
    const { maxBytes, maxMembers, maxPerSocket } = this.options
    if (key === "" || key === "__proto__") return "InvalidKey"
    if (costOf([room, key, encoded]) > maxBytes) return "TooLarge"
    if (this.memberships.get(id, room, key) !== undefined) return undefined
    if (!this.memberships.hasCapacity(id, maxPerSocket)) return "SocketFull"
    if ((this.rooms.get(room)?.connections ?? 0) >= maxMembers) return "RoomFull"
    return this.cluster.isFull ? "ServerFull" : undefined
  }

  /** Adds a member, or takes it over from an earlier call. */
  private begin(
    socket: PresentSocket,
    tracking: Tracking<unknown>,
    metadata: Metadata,
    owner: object
  ): Effect.Effect<Membership | undefined, PresenceRefused> {
    if (!socket.connected) return Effect.succeed(undefined)
    // Others may have come while the socket joined the room.
    const reason = this.refusal(socket, tracking, metadata)
    const { key, room } = tracking
    if (reason !== undefined) return Effect.fail(new PresenceRefused({ room, reason }))
    const { own } = this.cluster
    const { encoded, meta } = metadata
    let membership = this.memberships.get(socket.id, room, key)
    if (membership === undefined) {
      membership = { sid: socket.id, member: own.add(room, key, own.version(meta, encoded)), owner }
      this.memberships.add(membership)
      this.changed(this.rooms.show(membership.member), socket.id)
    } else {
      membership.owner = owner
      this.replace(membership, own.version(meta, encoded, membership.member))
    }
    return Effect.succeed(membership)
  }

  private update(membership: Membership | undefined, owner: object, meta: unknown) {
    return Effect.suspend(() => {
      if (membership === undefined || !this.isCurrent(membership, owner)) return Effect.void
      const { key, room } = membership.member
      const { encoded } = this.options.encode(meta)
      if (costOf([room, key, encoded]) > this.options.maxBytes) {
        return Effect.fail(new PresenceRefused({ room, reason: "TooLarge" }))
      }
      this.replace(membership, this.cluster.own.version(meta, encoded, membership.member))
      return Effect.void
    })
  }

  private replace({ member }: Membership, version: Version): void {
    this.cluster.own.changed(member)
    this.changed(this.rooms.show(member, version))
  }

  private end(membership: Membership | undefined, owner: object): void {
    if (membership !== undefined && this.isCurrent(membership, owner)) this.remove(membership)
  }

  private isCurrent(membership: Membership, owner: object): boolean {
    const { member, sid } = membership
    return membership.owner === owner && this.memberships.get(sid, member.room, member.key) === membership
  }

  private remove(membership: Membership): void {
    if (!this.memberships.remove(membership)) return
    this.cluster.own.remove(membership.member)
    const room = this.rooms.hide(membership.member)
    if (room !== undefined) this.changed(room)
  }

  /** An own member has changed. The one whose socket `except` has is about to get the whole state. */
  private changed(room: Room, except?: string): void {
    const { now } = this
    this.publish(room, now, except)
    this.cluster.tell(now)
    this.send()
  }

  // ---------------------------------------------------------------- to clients

  /** Sends the state of a room to a socket, or lets it wait for the next tick. */
  private show(socket: PresentSocket, name: string): void {
    if (!this.options.tellsClients || !socket.connected) return
    const room = this.rooms.get(name)
    if (!this.states.take(socket, room?.connections ?? 0)) return this.states.wait(socket, name)
    this.run(this.stateTo(socket.id, name))
  }

  private stateTo(ids: string | ReadonlyArray<string>, name: string): Effect.Effect<void> {
    const { event } = this.options
    return this.io.to(ids).local.emit(`${event}_state`, this.stateOf(this.rooms.get(name)), name)
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
    const difference = this.rooms.publish(room, now, this.options.period)
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
    const next = this.states.next((name) => this.rooms.get(name)?.connections ?? 0)
    for (const [name, ids] of next) {
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
    const frames = this.cluster.outbox.splice(0)
    for (const frame of frames) this.run(this.io.serverSideEmit(this.frames, frame))
  }

  private tick(): void {
    const { cluster, now, rooms } = this
    cluster.tick(now)
    cluster.touched.clear()
    this.send()
    for (const room of rooms.changed) this.publish(room, now)
    rooms.sweep(now)
    this.showWaiting()
    this.made.clear()
    if (++this.ticks % TICKS === 0) this.memberships.endPeriod()
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
