import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

import type { DisconnectReason } from "../../DisconnectReason.ts"
import { costOf } from "../../internal/cost.ts"
import {
  type Membership as Handle,
  PresenceRefused,
  type PresentSocket,
  type RefusalReason,
  type Tracking
} from "../PresenceModel.ts"
import type { Cluster, Metadata } from "./cluster.ts"
import { isKey, type Member, type Room, type Rooms } from "./members.ts"
import { type Membership, Memberships, nameOf } from "./memberships.ts"

/** The ends of connections after which a client is likely to come back. */
const LOSSES: ReadonlySet<DisconnectReason> = new Set([
  "transport close",
  "transport error",
  "ping timeout",
  "session resumed",
  "auth expired",
  "server shutting down"
])

/** Bounds of the members of this server, and the form of their metadata. */
export interface TrackerOptions {
  /** For so long a member stays whose connection is lost, in milliseconds. */
  readonly linger: number
  readonly maxMembers: number
  readonly maxPerSocket: number
  readonly maxBytes: number
  /** Encodes metadata. Throws if their schema refuses them. */
  readonly encode: (meta: unknown) => Metadata
}

/** The surroundings of a tracker. */
export interface TrackerHost {
  /** The time in milliseconds. */
  readonly now: () => number
  /** A member of the room has changed. The socket `except` is about to get the whole state. */
  readonly changed: (room: Room, except?: string) => void
  /** Sends the state of a room to a socket. */
  readonly show: (socket: PresentSocket, room: string) => void
  /** A socket has ended. */
  readonly ended: (socket: PresentSocket) => void
  /** Runs an effect in the background. */
  readonly run: (effect: Effect.Effect<void>) => void
}

/**
 * Tracks the sockets of this server: the beginning, the changes and the end of their memberships.
 */
export class Tracker {
  private readonly namespace: string
  private readonly rooms: Rooms
  private readonly cluster: Cluster
  private readonly options: TrackerOptions
  private readonly host: TrackerHost
  private readonly memberships = new Memberships()
  /** The memberships whose connections are lost, and until when they stay, in that order. */
  private readonly lingering = new Map<Member, { readonly membership: Membership; readonly until: number }>()

  constructor(namespace: string, rooms: Rooms, cluster: Cluster, options: TrackerOptions, host: TrackerHost) {
    this.namespace = namespace
    this.rooms = rooms
    this.cluster = cluster
    this.options = options
    this.host = host
  }

  // Clients decide how often they join: these are plain functions and few effects, not generators.

  track(
    socket: PresentSocket,
    tracking: Tracking<unknown>
  ): Effect.Effect<Handle<unknown>, PresenceRefused, Scope.Scope> {
    return Effect.contextWith((context: Context.Context<Scope.Scope>) => {
      const { key, room } = tracking
      const metadata = this.options.encode(tracking.meta)
      const name = nameOf(room, key)
      const refusal = this.fault(tracking, metadata) ?? this.refusal(socket, room, name)
      if (refusal !== undefined) return Effect.fail(refused(room, refusal))
      const own = Effect.suspend(() => this.own(socket, tracking, name, metadata, Context.get(context, Scope.Scope)))
      return Effect.andThen(this.enter(socket, room), Effect.uninterruptible(own))
    })
  }

  /**
   * Begins a membership that belongs to a scope. All that it keeps there is in a scope of its own,
   * which closes with it: the one of a socket may see any number of memberships.
   */
  private own(
    socket: PresentSocket,
    tracking: Tracking<unknown>,
    name: string,
    metadata: Metadata,
    scope: Scope.Scope
  ): Effect.Effect<Handle<unknown>, PresenceRefused> {
    const owner = Scope.forkUnsafe(scope)
    const begun = this.begin(socket, tracking, name, metadata, owner)
    if (typeof begun === "string") {
      return Effect.andThen(Scope.close(owner, Exit.void), Effect.fail(refused(tracking.room, begun)))
    }
    // Both do their work when they are called: a handler that gives an exit takes no fiber.
    const onLoss = socket.onDisconnecting((reason) => {
      this.onLoss(socket, begun, owner, reason)
      return Effect.void
    })
    const onEnd = () => {
      this.end(begun, owner)
      return Effect.void
    }
    const watched = Effect.andThen(Scope.addFinalizerExit(owner, onEnd), Scope.provide(onLoss, owner))
    return Effect.flatMap(watched, () => {
      const handle: Handle<unknown> = { update: (meta) => this.update(begun, owner, meta) }
      // The socket may have disconnected before that.
      if (!socket.connected) return Effect.as(Scope.close(owner, Exit.void), handle)
      this.host.show(socket, tracking.room)
      return Effect.succeed(handle)
    })
  }

  untrack(socket: PresentSocket, room: string): void {
    for (const membership of this.memberships.inRoom(socket.id, room)) this.remove(membership)
  }

  enter(socket: PresentSocket, room: string): Effect.Effect<void> {
    return socket.namespace === this.namespace
      ? socket.join(room)
      : Effect.die(new Error(`presence of "${this.namespace}": the socket is in "${socket.namespace}"`))
  }

  /** Runs several times in a period. */
  tick(now: number): void {
    for (const { membership, until } of this.lingering.values()) {
      if (now < until) return
      this.remove(membership)
    }
  }

  endPeriod(): void {
    this.memberships.endPeriod()
  }

  /** The fault of a member that is none of the others. */
  private fault({ key, room }: Tracking<unknown>, { encoded }: Metadata): RefusalReason["_tag"] | undefined {
    if (!isKey(key)) return "InvalidKey"
    return costOf([room, key, encoded]) > this.options.maxBytes ? "TooLarge" : undefined
  }

  /** The bound that a member would exceed, together with the others. */
  private refusal({ id }: PresentSocket, room: string, name: string): RefusalReason["_tag"] | undefined {
    const { maxMembers, maxPerSocket } = this.options
    if (this.memberships.get(id, name) !== undefined) return undefined
    if (!this.memberships.hasCapacity(id, maxPerSocket)) return "SocketFull"
    if ((this.rooms.get(room)?.connections ?? 0) >= maxMembers) return "RoomFull"
    return this.cluster.isFull ? "ServerFull" : undefined
  }

  /**
   * Adds a member, or takes it over from an earlier call. Gives the bound that it would exceed;
   * `undefined` if the socket has disconnected.
   */
  private begin(
    socket: PresentSocket,
    { key, room }: Tracking<unknown>,
    name: string,
    metadata: Metadata,
    owner: Scope.Closeable
  ): Membership | RefusalReason["_tag"] | undefined {
    if (!socket.connected) return undefined
    const known = this.memberships.get(socket.id, name)
    // Others may have come while the socket joined the room.
    const refusal = this.refusal(socket, room, name)
    if (refusal !== undefined) return refusal
    if (known !== undefined) {
      const before = known.owner
      known.owner = owner
      this.release(before)
      this.lingering.delete(known.member)
      this.replace(known, metadata)
      return known
    }
    const { own } = this.cluster
    const member = own.add(room, key, own.version(metadata.meta, metadata.encoded))
    const membership = { sid: socket.id, name, member, owner }
    this.memberships.add(membership)
    this.host.changed(this.rooms.show(member), socket.id)
    this.relieve(room, key)
    return membership
  }

  /** A key has come back with another socket: its lost connections need not stay. */
  private relieve(room: string, key: string): void {
    if (this.lingering.size === 0) return
    for (const member of Array.from(this.rooms.get(room)?.keys.get(key) ?? [])) {
      const lost = this.lingering.get(member)
      if (lost !== undefined) this.remove(lost.membership)
    }
  }

  private update(
    membership: Membership | undefined,
    owner: Scope.Closeable,
    meta: unknown
  ): Effect.Effect<void, PresenceRefused> {
    return Effect.suspend(() => {
      if (membership === undefined || !this.isCurrent(membership, owner)) return Effect.void
      const { key, room } = membership.member
      const metadata = this.options.encode(meta)
      if (costOf([room, key, metadata.encoded]) > this.options.maxBytes) {
        return Effect.fail(refused(room, "TooLarge"))
      }
      this.replace(membership, metadata)
      return Effect.void
    })
  }

  /** Replaces the metadata, if they differ. */
  private replace({ member }: Membership, { encoded, meta }: Metadata): void {
    const { ref, wire } = member.version
    if (Equal.equals({ ...encoded, phx_ref: ref }, wire)) return
    const { own } = this.cluster
    own.changed(member)
    this.host.changed(this.rooms.show(member, own.version(meta, encoded, member)))
  }

  private end(membership: Membership | undefined, owner: Scope.Closeable): void {
    if (membership !== undefined && this.isCurrent(membership, owner)) this.remove(membership)
  }

  /** The socket has disconnected. Clients that come and go leave nothing until the next tick. */
  private onLoss(
    socket: PresentSocket,
    membership: Membership | undefined,
    owner: Scope.Closeable,
    reason: DisconnectReason
  ): void {
    this.lose(membership, owner, reason)
    this.memberships.forget(socket.id)
    this.host.ended(socket)
  }

  private lose(membership: Membership | undefined, owner: Scope.Closeable, reason: DisconnectReason): void {
    const { linger } = this.options
    if (membership === undefined || !this.isCurrent(membership, owner)) return
    // Its scope closes now, and does not end it.
    membership.owner = undefined
    if (linger > 0 && LOSSES.has(reason)) {
      this.lingering.set(membership.member, { membership, until: this.host.now() + linger })
      return
    }
    // The socket has dropped its handlers: there is nothing to finalize.
    void Scope.closeUnsafe(owner, Exit.void)
    this.remove(membership)
  }

  private isCurrent(membership: Membership, owner: Scope.Closeable): boolean {
    const { name, sid } = membership
    return membership.owner === owner && this.memberships.get(sid, name) === membership
  }

  private remove(membership: Membership): void {
    this.lingering.delete(membership.member)
    if (!this.memberships.remove(membership)) return
    this.release(membership.owner)
    this.cluster.own.remove(membership.member)
    const room = this.rooms.hide(membership.member, this.host.now())
    if (room !== undefined) this.host.changed(room)
  }

  /** A membership does not belong to a call any more. */
  private release(owner: Scope.Closeable | undefined): void {
    const closing = owner && Scope.closeUnsafe(owner, Exit.void)
    if (closing !== undefined) this.host.run(closing)
  }
}

const refused = (room: string, _tag: RefusalReason["_tag"]): PresenceRefused =>
  new PresenceRefused({ room, reason: { _tag } })
