/**
 * The adapter of a server in a cluster: the sockets of this process in memory, and a link to the
 * other servers. Every wire format is such a link.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { SharedMessage } from "./SharedLog.ts"
import { isReservedEvent } from "../protocol/SocketPacket.ts"
import type { ServersMissingError } from "../SocketIoError.ts"
import type { TraceContext } from "../TraceContext.ts"
import type {
  Acknowledgement,
  Adapter,
  BroadcastFlags,
  BroadcastPacket,
  Host,
  LocalSocket,
  Selection,
  SocketDetails
} from "./Adapter.ts"
import type { ClusterLink, ClusterReceiver, LinkFactory } from "./ClusterLink.ts"
import type { ClusterAnswer, ClusterMessage, EventData, Sender } from "./ClusterMessage.ts"
import type { ClusterMonitor } from "./ClusterStatus.ts"
import { InMemoryAdapter } from "./InMemoryAdapter.ts"
import { Answering } from "./internal/answering.ts"
import { Asking } from "./internal/asking.ts"
import { Logged } from "./internal/logged.ts"
import { OpenQuestions } from "./internal/openQuestions.ts"

/**
 * Options of every adapter for a cluster.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * The time for which a question waits for servers that do not answer and cannot be known to be
   * dead: official servers, and those that were at work on it before the broker was away. Default:
   * 5 seconds.
   *
   * A question that nobody is at work on ends when the broker has been away for a second; one that
   * is asked later ends at once.
   *
   * Servers of this library say whether they are at work on it: a dead one is not waited for, and a
   * live one may take any time for its handlers and clients. Clients of an official server may take
   * any time, too; a broadcast that asks for acknowledgements needs a deadline for them.
   */
  readonly requestTimeout?: Duration.Input
}

/**
 * Makes the adapter of a namespace over a link, until the scope closes.
 *
 * **Details**
 *
 * A broadcast reaches the sockets of this process at once, in the emitting fiber, and the other
 * servers through the link. Where recovery is on and the link has a log, it reaches them when this
 * server reads it there, unless it cannot be recovered. A question ends when every server has
 * answered: those that die or hang meanwhile are counted as missing. Messages that make no sense
 * are counted and dropped.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  host: Host,
  open: LinkFactory,
  monitor: ClusterMonitor,
  options: Options = {}
): Effect.Effect<Adapter, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const timeout = Duration.toMillis(options.requestTimeout ?? "5 seconds")
    const adapter = new DistributedAdapter(host, monitor, clock, timeout)
    adapter.connect(yield* open(host.namespace, adapter))
    // Before the link closes: the others are told which answers are not needed any more.
    yield* Effect.addFinalizer(() => Effect.sync(() => adapter.close()))
    yield* Effect.forkScoped(adapter.watch)
    return adapter
  })

class DistributedAdapter implements Adapter, ClusterReceiver {
  readonly leaveAll: Adapter["leaveAll"]
  readonly rooms: Adapter["rooms"]
  readonly localSockets: Adapter["localSockets"]
  readonly hasRoom: (room: string) => boolean
  readonly recovery: Host["recovery"]
  /** The part that goes by the log of the link, if it has one. */
  log: Logged | undefined
  readonly watch: Effect.Effect<never>
  private readonly host: Host
  private readonly monitor: ClusterMonitor
  private readonly own: InMemoryAdapter
  private readonly questions: OpenQuestions
  private readonly asking: Asking
  private readonly answering: Answering
  private link!: ClusterLink

  constructor(host: Host, monitor: ClusterMonitor, clock: Clock.Clock, timeout: number) {
    const own = new InMemoryAdapter(this.watching(host))
    const link = () => this.link
    this.host = host
    this.monitor = monitor
    this.own = own
    this.questions = new OpenQuestions(link, clock, timeout)
    this.asking = new Asking(this.questions, own, (missing) => monitor.incomplete(host.namespace, missing))
    this.answering = new Answering((to, answer) => this.answer(to, answer), host, own, clock)
    this.recovery = host.recovery
    // The rooms of a socket are kept by its own server.
    this.leaveAll = (socket) => own.leaveAll(socket)
    this.rooms = own.rooms
    this.localSockets = (selection) => own.localSockets(selection)
    this.hasRoom = (room) => own.hasRoom(room) || host.away?.hasRoom(room) === true
    this.watch = Effect.andThen(Effect.forkChild(this.answering.watch), this.questions.watch)
  }

  connect(link: ClusterLink): void {
    this.link = link
    const { host } = this
    if (link.log !== undefined && host.recovery !== undefined) {
      this.log = new Logged(link.log, host, host.recovery, this.own)
    }
    if (link.onRoomCreated === undefined) return
    this.host.away?.watchRooms(({ _tag, room }) => {
      if (_tag === "Created" && !this.own.hasRoom(room)) link.onRoomCreated?.(room)
      else if (_tag === "Deleted" && !this.own.hasRoom(room)) link.onRoomDeleted?.(room)
    })
  }

  close(): void {
    this.questions.close()
    this.answering.close()
  }

  // ---------------------------------------------------------------- the application

  /** Joins at once, and ends when messages of others to the rooms are heard. */
  join(socket: LocalSocket, rooms: ReadonlyArray<string>): Effect.Effect<void> {
    if (this.log !== undefined) return this.log.join(socket, rooms)
    const joined = this.own.join(socket, rooms)
    const { link } = this
    if (link.whenHeard === undefined) return joined
    return Effect.andThen(
      joined,
      Effect.suspend(() => {
        const waits = rooms.map((room) => link.whenHeard?.(room)).filter((wait) => wait !== undefined)
        return waits.length === 0 ? Effect.void : Effect.all(waits, { discard: true, concurrency: "unbounded" })
      })
    )
  }

  leave(socket: LocalSocket, rooms: ReadonlyArray<string>): Effect.Effect<void> {
    return this.log === undefined ? this.own.leave(socket, rooms) : this.log.leave(socket, rooms)
  }

  restore(socket: LocalSocket, rooms: ReadonlyArray<string>): void {
    this.own.addUnsafe(socket, rooms)
  }

  broadcast(packet: BroadcastPacket, selection: Selection, flags: BroadcastFlags): Effect.Effect<void> {
    return Effect.sync(() => {
      const { log } = this
      if (log?.takes(packet, flags)) return log.broadcast(packet, selection, flags)
      this.own.broadcastUnsafe(packet, selection, flags)
      if (flags.local) return
      const { data, mayHaveBinary, trace } = packet
      const message = { _tag: "Broadcast", data, mayHaveBinary, selection, flags, trace } as const
      this.link.send(log === undefined ? message : { ...message, atOnce: true })
    })
  }

  broadcastWithAck(
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags
  ): Stream.Stream<Acknowledgement, ServersMissingError> {
    if (flags.local) return this.own.broadcastWithAck(packet, selection, flags)
    return this.asking.acknowledgements(packet, selection, flags)
  }

  count(selection: Selection, local: boolean): Effect.Effect<number, ServersMissingError<number>> {
    if (local) return this.own.count(selection)
    return this.asking.sum(
      { _tag: "Count", selection },
      () => this.own.countUnsafe(selection),
      (count, answer) =>
        answer._tag === "Counted"
          ? count + answer.count
          : answer._tag === "Sockets"
            ? count + answer.sockets.length
            : count
    )
  }

  fetchSockets(
    selection: Selection,
    local: boolean
  ): Effect.Effect<ReadonlyArray<SocketDetails>, ServersMissingError<ReadonlyArray<SocketDetails>>> {
    if (local) return this.own.fetchSockets(selection)
    return this.asking.sum(
      { _tag: "Fetch", selection },
      (): Array<SocketDetails> => [...this.own.fetchUnsafe(selection)],
      (sockets, answer) => {
        if (answer._tag === "Sockets") for (const socket of answer.sockets) sockets.push(socket)
        return sockets
      }
    )
  }

  socketsJoin(selection: Selection, rooms: ReadonlyArray<string>, local: boolean): Effect.Effect<void> {
    return this.act({ _tag: "Join", selection, rooms }, local, () => this.own.joinUnsafe(selection, rooms))
  }

  socketsLeave(selection: Selection, rooms: ReadonlyArray<string>, local: boolean): Effect.Effect<void> {
    return this.act({ _tag: "Leave", selection, rooms }, local, () => this.own.leaveUnsafe(selection, rooms))
  }

  disconnectSockets(selection: Selection, close: boolean, local: boolean): Effect.Effect<void> {
    return this.act({ _tag: "Disconnect", selection, close }, local, () => this.own.disconnectUnsafe(selection, close))
  }

  private act(message: Acting, local: boolean, actHere: () => void): Effect.Effect<void> {
    const { log } = this
    if (log !== undefined && !local) return log.act(message)
    if (log !== undefined && message._tag !== "Disconnect") {
      return log.moveLocal(message._tag === "Join" ? "Enter" : "Exit", message.selection, message.rooms)
    }
    return Effect.sync(() => {
      actHere()
      if (!local) this.link.send(message)
    })
  }

  serverSideEmit(data: EventData, trace?: TraceContext): Effect.Effect<void> {
    return Effect.sync(() => this.link.send({ _tag: "ServerEvent", data, trace }))
  }

  serverSideEmitWithAck(data: EventData, trace?: TraceContext): ReturnType<Adapter["serverSideEmitWithAck"]> {
    return this.asking.answers({ _tag: "ServerEvent", data, trace })
  }

  // ---------------------------------------------------------------- the other servers

  onMessage(from: Sender, message: ClusterMessage): void {
    // Most messages are broadcasts, which say nothing about open questions.
    if (message._tag !== "Broadcast" && from.native && from.uid !== undefined) this.questions.onHeard(from.uid)
    try {
      if (this.log?.onMessage(from, message, this.link.uid)) return
      this.receive(from, message)
    } catch (defect) {
      this.monitor.refused(this.host.namespace, String(defect))
    }
  }

  onAnswer(from: Sender, answer: ClusterAnswer): void {
    if (from.native && from.uid !== undefined) this.questions.onHeard(from.uid)
    this.questions.onAnswer(from, answer)
  }

  onServerLeft(uid: string, isDead: boolean): void {
    this.answering.onServerLeft(uid)
    this.questions.onServerLeft(uid, isDead)
  }

  socketIds(rooms: ReadonlyArray<string>): ReadonlyArray<string> {
    return this.own.selectUnsafe({ rooms, except: [] }).map(({ id }) => id)
  }

  roomNames(): ReadonlyArray<string> {
    return [...this.own.roomNames(), ...this.host.sockets.keys()]
  }

  private answer(to: Sender, answer: ClusterAnswer): void {
    try {
      this.link.answer(to, answer)
    } catch {
      // It may have values of the application that cannot be encoded. The asker gets none.
      this.monitor.dropped(1, "failed")
    }
  }

  private receive(from: Sender, message: ClusterMessage): void {
    switch (message._tag) {
      case "Broadcast": {
        const { data, flags, mayHaveBinary, selection, trace } = message
        if (!this.mayReach(selection)) return
        refuseReserved(data)
        const packet = { data, mayHaveBinary, position: from.position, trace }
        return this.own.broadcastUnsafe(packet, selection, { ...flags, local: false })
      }
      case "Question":
        if (message.question._tag === "Ask") refuseReserved(message.question.data)
        return this.answering.answer(from, message.requestId, message.question)
      case "Join":
        return this.own.joinUnsafe(message.selection, message.rooms)
      case "Leave":
        return this.own.leaveUnsafe(message.selection, message.rooms)
      case "Disconnect":
        return this.own.disconnectUnsafe(message.selection, message.close)
      case "Enter":
      case "Exit":
      case "Taken":
        // It is for servers that share a log.
        return
      case "ServerEvent":
        return this.host.onServerEvent(message.data, undefined, message.trace)
      case "Cancel":
        return this.answering.cancel(from, message.requestId)
      case "Ping":
        return this.answering.ping(from, message.requestId)
    }
  }

  /** Whether a selection may have sockets of this process: otherwise nothing is encoded. */
  private mayReach({ rooms }: Selection): boolean {
    const { away, sockets } = this.host
    if (rooms.length === 0) return sockets.size > 0 || (away !== undefined && away.size > 0)
    for (const room of rooms) if (this.hasRoom(room)) return true
    return false
  }

  /** The namespace, with changes of rooms told to the link, if it wants them. */
  private watching(host: Host): Host {
    const link = () => this.link
    return {
      ...host,
      get watchesRooms() {
        return link().onRoomCreated !== undefined || host.watchesRooms
      },
      onRoomChange: (change) => {
        const isAway = () => host.away?.hasRoom(change.room) === true
        if (change._tag === "Created" && !isAway()) this.link.onRoomCreated?.(change.room)
        else if (change._tag === "Deleted" && !isAway()) this.link.onRoomDeleted?.(change.room)
        if (host.watchesRooms) host.onRoomChange(change)
      }
    }
  }
}

type Acting = SharedMessage & { readonly _tag: "Join" | "Leave" | "Disconnect" }

/** Clients would take it for the library's own. */
const refuseReserved = ([event]: EventData): void => {
  if (isReservedEvent(event)) throw new Error(`"${event}" is a reserved event name`)
}
