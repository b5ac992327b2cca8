import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import type { BroadcastFlags, BroadcastPacket, RecoveryHost } from "../../adapter/Adapter.ts"
import { DeliveryOrder } from "../../adapter/DeliveryOrder.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import { CatchUp, type CaughtUp } from "../../recovery/CatchUp.ts"
import * as LogPosition from "../../adapter/LogPosition.ts"
import { LaterEntries } from "../../recovery/LaterEntries.ts"
import { RecentEntries } from "../../recovery/RecentEntries.ts"
import type { MissReason } from "../../recovery/RecoverySession.ts"
import type { Recent, SharedLog } from "../../adapter/SharedLog.ts"
import { isSecret } from "../../adapter/StoredSession.ts"
import { recoveries } from "../ServerMetrics.ts"
import { directed } from "./directed.ts"
import { formerOf, hashOfOffset } from "./formerOffset.ts"
import { greeting } from "./greeting.ts"
import { LiveSession, sessionOf } from "./liveSession.ts"
import { LiveSessions, REFRESH, tryTo } from "./liveSessions.ts"
import type { RecoverableNamespace, RecoverableSocket, Resumption } from "./recoverable.ts"
import { endsInText, type Recovery, withOffset } from "./recoveryPorts.ts"
import type { ServerRecovery } from "./serverRecovery.ts"
import { isReady, reached } from "./sharedPlace.ts"
import { withTrace } from "./tracing.ts"
import { EncodedEvent, type EventData, undroppable } from "./wire.ts"

/** The most that a client waits for its session. */
const PATIENCE = Duration.seconds(5)

type CatchingUp = Resumption & { readonly _tag: "CatchingUp" }

/**
 * The recovery of one namespace, where all servers of a cluster share the log and the sessions.
 *
 * A message that can be recovered is appended to the log, and reaches clients of this server, too,
 * when this server reads it there. The position in the log is the offset that clients get. A
 * session is stored when the builder of its socket is done: whichever server its client comes back
 * to takes it, reads the log from the last place that the client has confirmed, and finds the rooms
 * of the client at each message, and the messages that the client has missed.
 */
export class SharedRecovery<S extends RecoverableSocket> implements Recovery<S>, RecoveryHost {
  readonly away = undefined
  readonly host: RecoveryHost = this
  readonly order = new DeliveryOrder()
  readonly retention: number
  private readonly namespace: RecoverableNamespace<S>
  private readonly server: ServerRecovery
  private readonly clock: Clock.Clock
  /** The sessions of the clients that are connected to this server. */
  private readonly sessions: LiveSessions<S>
  /** The clients that this server reads the log for. */
  private readonly catching = new Set<CatchUp>()
  /** The entries that come meanwhile. */
  private readonly later: LaterEntries
  /** The generations of this server whose claims it has not read in the log yet. */
  private readonly claims = new Set<string>()

  constructor(namespace: RecoverableNamespace<S>, server: ServerRecovery) {
    this.namespace = namespace
    this.server = server
    this.clock = Context.get(namespace.environment.context, Clock.Clock)
    this.sessions = new LiveSessions(namespace, server, this.clock)
    this.later = new LaterEntries((onEntry) => this.log.watch(onEntry), server.maxCatchUpBytes)
    // The confirmation of a client was written a while before its server died.
    this.retention = server.retention + 2 * REFRESH
  }

  private get log(): SharedLog {
    return this.namespace.adapter.log!
  }
  get isAwaiting(): boolean {
    return this.sessions.isAwaiting
  }

  // ---------------------------------------------------------------- messages

  broadcast(packet: BroadcastPacket, flags: BroadcastFlags): EncodedEvent {
    const { contract, environment, name } = this.namespace
    const { wire } = environment
    const isLogged = packet.position !== undefined && !flags.volatile && this.isRecoverable(packet.data[0])
    const offset = isLogged || endsInText(packet.data) ? (packet.position ?? this.log.place?.position) : undefined
    const encode = (of: BroadcastPacket, offset: string | undefined): OutboundMessage => {
      const data = offset === undefined ? of.data : (withOffset(contract, of.data, offset) as BroadcastPacket["data"])
      return wire.broadcast(name, { ...of, data }, undefined, flags.compress).message
    }
    const spoiled = offset !== undefined && this.sessions.hasSpoiled ? encode(packet, NOTHING) : undefined
    // Handlers of outgoing events see it as it was emitted.
    const encoded = new EncodedEvent(encode(packet, offset), packet.data, isLogged, spoiled)
    const form = withTrace(packet, contract)
    if (form !== undefined) encoded.makeTraced = () => encode(form, offset)
    return encoded
  }

  direct(socket: S, packet: EventData, flags: BroadcastFlags, onLost?: () => void): boolean {
    const session = sessionOf(socket)
    const event = packet.data[0] as string
    if (session === undefined || flags.volatile || !this.isRecoverable(event)) {
      this.sendNow(socket, packet, flags)
      return true
    }
    const pending = { packet, flags, onEnd: undefined }
    session.add(pending)
    try {
      this.log.append(directed(socket.id, packet, flags), (isRead) => {
        session.end(pending)
        if (!isRead) onLost?.()
      })
    } catch (defect) {
      session.end(pending)
      throw defect
    }
    return false
  }

  late(sid: string, packet: EventData, onLost: () => void): void {
    if (!this.isRecoverable(packet.data[0] as string)) return
    this.log.append(directed(sid, packet, { compress: true }), (isRead) => {
      if (!isRead) onLost()
    })
  }

  private sendNow(socket: S, packet: EventData, { compress }: BroadcastFlags): void {
    const { connection } = socket
    // A client that moves to another server gets nothing more here.
    if (connection.isSilent) return
    const { contract, environment, name } = this.namespace
    const isSpoiled = sessionOf(socket)?.isIncomplete === true
    const offset = !endsInText(packet.data) ? undefined : isSpoiled ? NOTHING : this.log.place?.position
    const data = offset === undefined ? packet.data : withOffset(contract, packet.data, offset)
    connection.session.sendUnsafe(environment.wire.event(name, { ...packet, data }, undefined, compress))
  }

  flush(socket: S): void {
    const session = sessionOf(socket)
    if (session === undefined) return
    for (const pending of session.pending.slice()) {
      this.sendNow(socket, pending.packet, pending.flags)
      session.end(pending)
    }
  }

  settled(socket: S): Effect.Effect<void> | undefined {
    const last = sessionOf(socket)?.pending.at(-1)
    if (last === undefined) return undefined
    return Effect.callback<void>((resume) => {
      ;(last.onEnd ??= []).push(() => resume(Effect.void))
    })
  }

  isRecoverable(event: string): boolean {
    return this.namespace.contract?.outgoing.get(event)?.event.recover !== false
  }

  remember(floor: number): Recent {
    return new RecentEntries(this.server.budget, floor)
  }

  // ---------------------------------------------------------------- a client comes

  /** A refused client takes no session: it is looked for when the admission is decided. */
  claim(): void {}

  prepare(socket: S): Effect.Effect<void> | undefined {
    const { offset, pid } = socket.rawAuth
    if (socket.connection.isLegacy) return undefined
    if (typeof pid !== "string") return this.log.place === undefined ? isReady(this.log) : undefined
    const former = hashOfOffset(offset)
    const miss = (reason: MissReason) => {
      if (socket.resumption?._tag === "CatchingUp") socket.resumption.catchUp.fail(reason)
      else socket.resumption = { _tag: "Missing", reason, former }
    }
    return Effect.timeoutOrElse(this.find(socket, pid, offset, former, miss), {
      duration: PATIENCE,
      orElse: () => Effect.sync(() => miss("unavailable"))
    })
  }

  private find(
    socket: S,
    pid: string,
    offset: unknown,
    former: number,
    miss: (reason: MissReason) => void
  ): Effect.Effect<void> {
    const { log, namespace, server } = this
    const { catching, claims, later, sessions } = this
    return Effect.gen(function* () {
      if (!isSecret(pid)) return miss("unknown")
      // The client's earlier connection, if this server still takes it for open.
      sessions.get(pid)?.connection.session.closeUnsafe("session resumed")
      const generation = log.sessions.generation()
      const session = yield* log.sessions.claim(pid, generation)
      if (session === "unavailable") return miss(session)
      if (session === undefined) return miss(LogPosition.isPosition(offset) ? "expired" : "unknown")
      const isUnbroken = sessions.onClaimed(session, generation)
      const received = LogPosition.isPosition(offset) ? offset : undefined
      const isForeign = session.namespace !== undefined && session.namespace !== namespace.name
      const isUnclear = received === undefined && offset !== undefined && former !== session.former
      // Rooms and data mean nothing in another namespace. Or something has taken the place of its
      // offset: nobody knows what it has received.
      if (isForeign || isUnclear) {
        log.sessions.remove(pid, generation)
        if (!isForeign) sessions.end(session.sid, "refused")
        return miss("unknown")
      }
      const isReached = yield* reached(log, received, session)
      const start = log.place
      if (!isReached || start === undefined) return miss("unavailable")
      // Nobody would stop what follows.
      if (socket.isDisconnected) return
      const { maxReplay, maxReplayBytes } = server.sessionBounds
      const bounds = { maxReplay, maxReplayBytes, maxScan: server.maxScan }
      const catchUp = new CatchUp(session, received, start, bounds)
      const beginning = later.begin(() => catchUp.fail("overflow"))
      const stop = (isAdmitted: boolean) => {
        catching.delete(catchUp)
        if (isAdmitted) later.passOn(beginning, catchUp.hold)
        later.end(beginning)
      }
      catching.add(catchUp)
      socket.resumption = { _tag: "CatchingUp", catchUp, generation, isUnbroken, former, stop }
      // The server that has taken the client for connected until now learns that it is not.
      claims.add(generation)
      log.append({ _tag: "Taken", sid: session.sid, by: generation }, () => claims.delete(generation))
      if (!catchUp.isOver && !server.reads.reserve(pid)) catchUp.fail("overflow")
      if (catchUp.isOver) return
      const problem = yield* log
        .read(catchUp.after, start.position, server.maxScan, catchUp.take)
        .pipe(Effect.ensuring(Effect.sync(() => server.reads.settle(pid, catchUp.taken))))
      if (problem === "overflow" || problem === "unavailable") catchUp.fail(problem)
      else catchUp.onRead(problem === "whole")
    })
  }

  admit(socket: S): void {
    // A message that is being delivered reaches its recipients before this one is among them. That
    // may run handlers, which may have done anything.
    this.order.finish()
    if (socket.isDisconnected) return
    const { resumption } = socket
    if (resumption?._tag !== "CatchingUp") {
      return this.begin(socket, resumption?._tag === "Missing" ? resumption.reason : undefined, formerOf(resumption))
    }
    resumption.stop(true)
    // The rights of before are at another server: nobody can say that this is the same user.
    const isUnknownUser = socket.rights?.tellsUsers === true
    if (isUnknownUser) resumption.catchUp.fail("refused")
    const caughtUp = resumption.catchUp.finish()
    const missed = typeof caughtUp === "string" ? caughtUp : this.encodeMissed(caughtUp)
    if (typeof missed !== "string") return this.resume(socket, resumption, caughtUp as CaughtUp, missed)
    const { pid, sid } = resumption.catchUp.session
    this.log.sessions.remove(pid, resumption.generation)
    const isKicked = missed === "refused" && !isUnknownUser
    this.sessions.end(sid, isKicked ? "kicked" : isUnknownUser ? "refused" : "overflow")
    this.begin(socket, missed, resumption.former)
  }

  /** A client begins anew, for a reason if it has asked for its session. */
  private begin(socket: S, reason: MissReason | undefined, former: number): void {
    const { log, namespace, server } = this
    const { environment } = namespace
    const { place } = log
    socket.resumption = undefined
    namespace.add(socket)
    const told = greeting(socket.connection, namespace.contract, {
      ...(reason !== undefined && { recovered: { reason } }),
      ...socket.rights?.greeting
    })
    if (reason !== undefined) this.count(reason)
    // Without a place in the log there is nothing to come back to.
    const pid = place === undefined ? {} : { pid: environment.generateId() }
    if (place !== undefined) {
      const ids = { pid: pid.pid!, sid: socket.id, former }
      const { dropsMessages } = server.sessionBounds
      const session = new LiveSession(ids, log.sessions.generation(), { ...place, rooms: [] }, dropsMessages)
      this.sessions.own(socket, session)
    }
    const { session } = socket.connection
    session.sendUnsafe(environment.wire.connect(namespace.name, { sid: socket.id, ...pid, ...told }))
  }

  /** A client has its session again. */
  private resume(
    socket: S,
    { catchUp, generation, isUnbroken }: CatchingUp,
    { checkpoint, rooms }: CaughtUp,
    missed: ReadonlyArray<OutboundMessage>
  ): void {
    const { namespace, server } = this
    const { connection } = socket
    const { session } = catchUp
    const { dropsMessages } = server.sessionBounds
    // Its earlier connection may have been to this server, and not have been found by its secret.
    namespace.sockets.get(session.sid)?.connection.session.closeUnsafe("session resumed")
    socket.id = session.sid
    const more = greeting(connection, namespace.contract, socket.rights?.greeting)
    const told = { sid: session.sid, pid: session.pid, ...more }
    connection.session.sendUnsafe(namespace.environment.wire.connect(namespace.name, told))
    for (const message of missed) connection.session.sendUnsafe(dropsMessages ? undroppable(message) : message)
    // Its connection has ended meanwhile. The session stays where it is stored.
    if (socket.isDisconnected) return
    const outage = session.at === 0 ? 0 : Math.max(0, this.clock.currentTimeMillisUnsafe() - session.at)
    socket.onResumed(namespace.decodeData(session.data), { _tag: "Resumed", missed: missed.length, outage, isUnbroken })
    const live = new LiveSession(session, generation, checkpoint, dropsMessages)
    live.isBuilt = true
    this.sessions.own(socket, live)
    namespace.add(socket)
    namespace.restore(socket, rooms)
    // It may be in fewer rooms than before: the limit of a connection counts all of its sockets.
    for (const room of rooms) if (socket.joined?.has(room) !== true) live.spoil()
    this.sessions.write(socket, live, true, session.checkpoint === undefined)
    this.count("recovered")
  }

  /** Other servers can take the session from now on: its rooms are in the log. */
  onBuilt(socket: S): void {
    const session = sessionOf(socket)
    if (session === undefined || session.isBuilt) return
    session.isBuilt = true
    this.sessions.write(socket, session, true, true)
  }

  /** Returns the messages that a client has missed, or why it does not get them. */
  private encodeMissed({ missed }: CaughtUp): ReadonlyArray<OutboundMessage> | MissReason {
    const { contract, environment, name } = this.namespace
    const messages: Array<OutboundMessage> = []
    let bytes = 0
    for (const { message: event, position } of missed) {
      if (!this.isRecoverable(event.data[0])) continue
      const data = withOffset(contract, event.data, position)
      const message = tryTo(() =>
        environment.wire.event(name, { data, mayHaveBinary: event.mayHaveBinary }, undefined, event.flags.compress)
      )
      // A broadcast that cannot be encoded was sent to nobody.
      if (message === undefined) continue
      messages.push(message)
      bytes += message.memory
    }
    return bytes > this.server.sessionBounds.maxReplayBytes ? "overflow" : messages
  }

  private count(result: MissReason | "recovered"): void {
    const { environment, label } = this.namespace
    environment.observer.count(recoveries, { namespace: label, result })
  }

  // ---------------------------------------------------------------- while it is here

  onJoined(socket: S): void {
    sessionOf(socket)?.onRoomChange()
  }

  onLeft(socket: S): void {
    sessionOf(socket)?.onRoomChange()
  }

  onPing(socket: S, ping: number): void {
    const { place } = this.log
    if (place !== undefined) sessionOf(socket)?.onPing(ping, place, socket.joined)
  }

  onData(socket: S): void {
    if (sessionOf(socket) !== undefined) this.sessions.onData(socket)
  }

  onTaken(sid: string, generation: string): void {
    this.sessions.onTaken(sid, generation, this.claims.has(generation))
  }

  onGap(): void {
    this.sessions.spoilAll()
    for (const catchUp of this.catching) catchUp.fail("trimmed")
  }

  // ---------------------------------------------------------------- a client leaves

  onEnd(socket: S, reason: DisconnectReason): void {
    const { resumption } = socket
    const session = sessionOf(socket)
    socket.recoverable = undefined
    if (resumption?._tag === "CatchingUp") resumption.stop(false)
    if (session !== undefined) this.sessions.onEnd(socket, session, reason)
  }
}

/** The offset of events for a client that may have missed something: it is none. */
const NOTHING = "-"
