import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { RoomChange } from "../../adapter/Adapter.ts"
import { rateOf, TokenBucket } from "../../internal/tokenBucket.ts"
import type * as Namespace from "../../Namespace.ts"
import type { Rate } from "../../RateLimit.ts"
import type { NamespaceHandle } from "../../server/NamespaceHandle.ts"
import type { ServerSocket } from "../../server/ServerSocket.ts"
import type { SocketIoServerShape } from "../../server/SocketIoServer.ts"
import { cut, cutAll, cutName } from "./cut.ts"
import { serialize } from "./serialized.ts"

type Handle = NamespaceHandle<Namespace.Untyped>
type Socket = ServerSocket<Namespace.Untyped>

/** The namespaces that are watched at most. */
const MAX_NAMESPACES = 1_000

/** The news that may wait for the watcher, of each kind and namespace. The oldest are lost. */
const NEWS = { capacity: 10_000, overflow: "dropOldest" } as const

/** The pause between two looks at the data of sockets. */
const DATA_PAUSE = "500 millis"

/** A socket that is shown. */
interface Watched {
  readonly socket: Socket
  /** Its data, as they were shown last. */
  data: Socket["data"]
  /** The rooms that the page knows it to be in: news of one may come after the socket. */
  readonly rooms: Set<string>
}

/** Where a watcher tells what it sees. */
export interface Audience {
  /** All administrators, on every server. */
  readonly home: Handle
  /** Those who are connected here. */
  readonly local: () => ReadonlyArray<string>
}

const keyOf = ({ id, namespace }: Socket): string => `${namespace} ${id}`

/**
 * Tells administrators of single sockets, rooms and events. It is attached while somebody looks, and
 * everything that it has attached goes with its scope.
 */
export class Watcher {
  private readonly server: SocketIoServerShape
  private readonly audience: Audience
  private readonly clock: Clock.Clock
  private readonly maxSockets: number
  private readonly rate: Rate
  private readonly watched = new Map<string, Watched>()
  private readonly namespaces = new Set<string>()
  /** The scope of everything that is attached, while it is. */
  private scope: Scope.Scope | undefined
  private bucket: TokenBucket
  private leftOut = 0
  private leftOutIn = "/"

  constructor(
    server: SocketIoServerShape,
    audience: Audience,
    clock: Clock.Clock,
    { maxEvents, maxSockets }: { readonly maxEvents: number; readonly maxSockets: number }
  ) {
    this.server = server
    this.audience = audience
    this.clock = clock
    this.maxSockets = maxSockets
    this.rate = rateOf({ limit: maxEvents }) as Rate
    this.bucket = new TokenBucket(this.rate)
  }

  get isAttached(): boolean {
    return this.scope !== undefined
  }

  private get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  private get timestamp(): string {
    return new Date(this.now).toISOString()
  }

  // ---------------------------------------------------------------- attaching

  /** Attaches it, until the scope closes, and shows the sockets that are there. */
  get attach(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      yield* Effect.acquireRelease(
        Effect.map(Effect.scope, (scope) => {
          this.scope = scope
        }),
        () => Effect.sync(() => this.forget())
      )
      const openings = this.server.namespaceOpenings(NEWS)
      yield* this.fork(Stream.runForEach(openings, (handle) => this.watchNamespace(handle, true)))
      for (const handle of yield* this.server.namespaces) yield* this.watchNamespace(handle, false)
      yield* this.fork(Effect.forever(Effect.andThen(Effect.sleep(DATA_PAUSE), this.showChanges)))
      const local = this.audience.local()
      if (local.length > 0) yield* this.showAll(local)
    })
  }

  private forget(): void {
    this.scope = undefined
    this.watched.clear()
    this.namespaces.clear()
    this.bucket = new TokenBucket(this.rate)
    this.leftOut = 0
  }

  /** Runs an effect as long as it is attached. */
  private fork(effect: Effect.Effect<unknown, never, Scope.Scope>): Effect.Effect<void> {
    const { scope } = this
    if (scope === undefined) return Effect.void
    return Effect.asVoid(Effect.forkIn(Effect.scoped(effect), scope, { startImmediately: true }))
  }

  private watchNamespace(handle: Handle, isNew: boolean): Effect.Effect<void> {
    const { name } = handle
    return Effect.gen({ self: this }, function* () {
      if (this.namespaces.has(name) || this.namespaces.size >= MAX_NAMESPACES) return
      this.namespaces.add(name)
      const left = Effect.sync(() => this.namespaces.delete(name))
      const connections = Stream.runForEach(handle.connections(NEWS), (socket) => this.welcome(socket))
      yield* this.fork(Effect.ensuring(connections, left))
      yield* this.fork(Stream.runForEach(handle.roomChanges(NEWS), (change) => this.showRoom(name, change)))
      // The first sockets of a namespace may be there before the news of it.
      for (const socket of yield* handle.sockets) yield* isNew ? this.welcome(socket) : this.watch(socket)
    })
  }

  /** Attaches it to a socket, unless it is, or there are too many. Returns whether it was attached now. */
  private watch(socket: Socket): Effect.Effect<boolean> {
    const key = keyOf(socket)
    return Effect.gen({ self: this }, function* () {
      if (!this.isAttached || this.watched.has(key) || this.watched.size >= this.maxSockets || !socket.connected)
        return false
      this.watched.set(key, { socket, data: socket.data, rooms: new Set(socket.rooms) })
      yield* this.fork(this.follow(socket, key))
      return true
    })
  }

  /** Follows a socket to its end. */
  private follow(socket: Socket, key: string): Effect.Effect<void, never, Scope.Scope> {
    const { home } = this.audience
    const { id, namespace } = socket
    return Effect.gen({ self: this }, function* () {
      if (namespace !== home.name) {
        yield* socket.onAny((event, args) => this.showEvent("event_received", socket, event, args))
        yield* socket.onAnyOutgoing((event, args) => this.showEvent("event_sent", socket, event, args))
      }
      yield* socket.connection.transportChanges.pipe(
        Stream.drop(1),
        Stream.runForEach((transport) => home.emit("socket_updated", { id, nsp: namespace, transport })),
        Effect.forkScoped({ startImmediately: true })
      )
      const reason = yield* socket.disconnected
      this.watched.delete(key)
      yield* home.emit("socket_disconnected", namespace, id, reason, this.timestamp)
    })
  }

  // ---------------------------------------------------------------- telling

  /** Shows all sockets of this server to administrators that are connected here. */
  showAll(to: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const all = Array.from(this.watched.values(), ({ socket }) => serialize(socket))
      return this.audience.home.in(to).local.emit("all_sockets", all)
    })
  }

  /** Adds the sockets of this server to what administrators of another one see. */
  addAll(to: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (to.length === 0) return Effect.void
      const target = this.audience.home.in(to)
      return Effect.forEach(
        Array.from(this.watched.values()),
        ({ socket }) => target.emit("socket_connected", serialize(socket), this.timestamp),
        { discard: true }
      )
    })
  }

  /** Shows a socket that has connected. */
  welcome(socket: Socket): Effect.Effect<void> {
    return Effect.flatMap(this.watch(socket), (isNew) =>
      isNew ? this.audience.home.emit("socket_connected", serialize(socket), this.timestamp) : Effect.void
    )
  }

  private showRoom(namespace: string, change: RoomChange): Effect.Effect<void> {
    if (change._tag !== "Joined" && change._tag !== "Left") return Effect.void
    const { room, sid } = change
    const rooms = this.watched.get(`${namespace} ${sid}`)?.rooms
    const isJoined = change._tag === "Joined"
    if (rooms === undefined || rooms.has(room) === isJoined) return Effect.void
    if (isJoined) rooms.add(room)
    else rooms.delete(room)
    return this.audience.home.emit(
      isJoined ? "room_joined" : "room_left",
      namespace,
      cutName(room),
      sid,
      this.timestamp
    )
  }

  private showEvent(
    kind: "event_received" | "event_sent",
    { id, namespace }: Socket,
    event: string,
    args: ReadonlyArray<unknown>
  ): Effect.Effect<void> {
    if (this.bucket.take(this.now) > 0) {
      this.leftOut++
      this.leftOutIn = namespace
      return Effect.void
    }
    return this.audience.home.emit(kind, namespace, id, [cutName(event), ...cutAll(args)], this.timestamp)
  }

  /** Shows data that have changed, and how many events were left out. */
  private get showChanges(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { home } = this.audience
      for (const watched of this.watched.values()) {
        const { data, id, namespace } = watched.socket
        if (data === watched.data) continue
        watched.data = data
        yield* home.emit("socket_updated", { id, nsp: namespace, data: cut(data) })
      }
      const { leftOut } = this
      if (leftOut === 0) return
      this.leftOut = 0
      yield* home.emit("event_sent", this.leftOutIn, "", [`(${leftOut} events were left out)`], this.timestamp)
    })
  }
}
