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
import { guarded, type Teller } from "./teller.ts"

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

const keyOf = ({ id, namespace }: Socket): string => `${namespace} ${id}`

/**
 * Tells administrators of single sockets, rooms and events. It is attached while somebody looks,
 * and everything that it has attached goes with its scope.
 */
export class Watcher {
  private readonly server: SocketIoServerShape
  private readonly teller: Teller
  /** The pages that are connected here. */
  private readonly local: () => ReadonlyArray<string>
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
    teller: Teller,
    local: () => ReadonlyArray<string>,
    clock: Clock.Clock,
    { maxEvents, maxSockets }: { readonly maxEvents: number; readonly maxSockets: number }
  ) {
    this.server = server
    this.teller = teller
    this.local = local
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
        () =>
          Effect.andThen(
            this.teller.clear,
            Effect.sync(() => this.forget())
          )
      )
      yield* this.fork(this.teller.work)
      const openings = this.server.namespaceOpenings(NEWS)
      yield* this.fork(Stream.runForEach(openings, (handle) => this.watchNamespace(handle, true)))
      for (const handle of yield* this.server.namespaces) yield* this.watchNamespace(handle, false)
      yield* this.fork(
        Effect.forever(
          Effect.andThen(
            Effect.sleep(DATA_PAUSE),
            Effect.sync(() => this.showChanges())
          )
        )
      )
      this.showAll(this.local())
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
    return Effect.asVoid(Effect.forkIn(guarded(Effect.scoped(effect)), scope, { startImmediately: true }))
  }

  private watchNamespace(handle: Handle, isNew: boolean): Effect.Effect<void> {
    const { name } = handle
    return Effect.gen({ self: this }, function* () {
      if (this.namespaces.has(name) || this.namespaces.size >= MAX_NAMESPACES) return
      this.namespaces.add(name)
      const left = Effect.sync(() => this.namespaces.delete(name))
      const connections = Stream.runForEach(handle.connections(NEWS), (socket) => this.welcome(socket))
      yield* this.fork(Effect.ensuring(connections, left))
      yield* this.fork(
        Stream.runForEach(handle.roomChanges(NEWS), (change) => Effect.sync(() => this.showRoom(name, change)))
      )
      // The first sockets of a namespace may be there before the news of it.
      for (const socket of yield* handle.sockets) yield* isNew ? this.welcome(socket) : this.watch(socket)
    })
  }

  /**
   * Attaches it to a socket, unless it is, or there are too many. Returns whether it was attached
   * now.
   */
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
    const { teller } = this
    const { id, namespace } = socket
    const shows = (kind: "event_received" | "event_sent") => (event: string, args: ReadonlyArray<unknown>) =>
      Effect.sync(() => this.showEvent(kind, socket, event, args))
    return Effect.gen({ self: this }, function* () {
      if (namespace !== teller.namespace.name) {
        yield* socket.onAny(shows("event_received"))
        yield* socket.onAnyOutgoing(shows("event_sent"))
      }
      yield* socket.connection.transportChanges.pipe(
        Stream.drop(1),
        Stream.runForEach((transport) =>
          Effect.sync(() => teller.tell("socket_updated", { id, nsp: namespace, transport }))
        ),
        Effect.forkScoped({ startImmediately: true })
      )
      const reason = yield* socket.disconnected
      this.watched.delete(key)
      teller.tell("socket_disconnected", namespace, id, reason, this.timestamp)
    })
  }

  // ---------------------------------------------------------------- telling

  /** Shows all sockets of this server to pages that are connected here. */
  showAll(ids: ReadonlyArray<string>): void {
    if (ids.length === 0) return
    const all = Array.from(this.watched.values(), ({ socket }) => serialize(socket))
    this.teller.tellSome({ _tag: "Pages", ids, isHere: true }, "all_sockets", all)
  }

  /** Adds the sockets of this server to pages of another one. */
  addAll(ids: ReadonlyArray<string>): void {
    if (ids.length === 0) return
    for (const { socket } of this.watched.values()) {
      const to = { _tag: "Pages", ids, isHere: false } as const
      this.teller.tellSome(to, "socket_connected", serialize(socket), this.timestamp)
    }
  }

  /** Shows a socket that has connected. */
  welcome(socket: Socket): Effect.Effect<void> {
    return Effect.map(this.watch(socket), (isNew) => {
      if (isNew) this.teller.tell("socket_connected", serialize(socket), this.timestamp)
    })
  }

  private showRoom(namespace: string, change: RoomChange): void {
    if (change._tag !== "Joined" && change._tag !== "Left") return
    const { room, sid } = change
    const rooms = this.watched.get(`${namespace} ${sid}`)?.rooms
    const isJoined = change._tag === "Joined"
    if (rooms === undefined || rooms.has(room) === isJoined) return
    if (isJoined) rooms.add(room)
    else rooms.delete(room)
    this.teller.tell(isJoined ? "room_joined" : "room_left", namespace, cutName(room), sid, this.timestamp)
  }

  private showEvent(
    kind: "event_received" | "event_sent",
    { id, namespace }: Socket,
    event: string,
    args: ReadonlyArray<unknown>
  ): void {
    const isShown =
      this.bucket.take(this.now) === 0 &&
      this.teller.tell(kind, namespace, id, [cutName(event), ...cutAll(args)], this.timestamp)
    if (isShown) return
    this.leftOut++
    this.leftOutIn = namespace
  }

  /** Shows data that have changed, and how many events were left out. */
  private showChanges(): void {
    const { leftOut, teller } = this
    for (const watched of this.watched.values()) {
      const { data, id, namespace } = watched.socket
      if (data === watched.data) continue
      watched.data = data
      teller.tell("socket_updated", { id, nsp: namespace, data: cut(data) })
    }
    if (leftOut === 0) return
    this.leftOut = 0
    teller.tell("event_sent", this.leftOutIn, "", [`(${leftOut} events were left out)`], this.timestamp)
  }
}
