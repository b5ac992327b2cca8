import type { BroadcastFlags, BroadcastPacket, Selection } from "../../adapter/Adapter.ts"
import { DeliveryOrder } from "../../adapter/DeliveryOrder.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import { type AwayHost, AwayRooms, AwaySession, type SessionEndReason } from "../../recovery/AwaySessions.ts"
import { MessageLog } from "../../recovery/MessageLog.ts"
import { type MissReason, RecoverySession } from "../../recovery/RecoverySession.ts"
import { recoveries } from "../ServerMetrics.ts"
import { formerOf, hashOfOffset } from "./formerOffset.ts"
import { greeting } from "./greeting.ts"
import { isOffset, Offsets } from "./offsets.ts"
import type { RecoverableNamespace, RecoverableSocket, Resumption, Session } from "./recoverable.ts"
import { endOf, endsInText, extended, LOSSES, type Recovery, withOffset } from "./recoveryPorts.ts"
import type { ServerRecovery } from "./serverRecovery.ts"
import { withTrace } from "./tracing.ts"
import { EncodedEvent, type EventData, messageTexts, undroppable } from "./wire.ts"

/**
 * The recovery of one namespace.
 *
 * Every message that can be recovered has a position, which the client gets as a further argument:
 * it names the last one when it comes back.
 */
export class NamespaceRecovery<S extends RecoverableSocket> implements AwayHost<OutboundMessage>, Recovery<S> {
  readonly host = undefined
  readonly away: AwayRooms<OutboundMessage>
  readonly order = new DeliveryOrder()
  private readonly namespace: RecoverableNamespace<S>
  private readonly server: ServerRecovery
  private readonly log: MessageLog<OutboundMessage>
  /** The sockets that have a session, or have asked for it. */
  private readonly live = new Map<string, S>()
  /** The secret of the session that is being taken from its connection, and that session. */
  private taking: string | undefined
  private taken: AwaySession<OutboundMessage> | undefined
  /** The last broadcast that was logged. */
  private latest: OutboundMessage | undefined
  private readonly offsets: Offsets

  constructor(namespace: RecoverableNamespace<S>, server: ServerRecovery) {
    this.namespace = namespace
    this.server = server
    this.log = new MessageLog(server.budget)
    this.away = new AwayRooms(this)
    this.offsets = new Offsets(namespace.environment.generateId().slice(-6))
  }

  get name(): string {
    return this.namespace.name
  }

  get position(): number {
    return this.log.head
  }

  get maxRooms(): number {
    return this.namespace.environment.options.maxRooms
  }

  /** Whether sessions wait for their clients. */
  get isAwaiting(): boolean {
    return this.away.size > 0
  }

  // ---------------------------------------------------------------- messages

  /** Encodes a broadcast, and keeps it for those who miss it. */
  broadcast(packet: BroadcastPacket, flags: BroadcastFlags, selection: Selection): EncodedEvent {
    const { log, namespace } = this
    const isLogged = !flags.volatile && this.isRecoverable(packet.data[0])
    const position = isLogged ? log.head + 1 : log.head
    const encoded = this.encode(packet, flags, isLogged, position)
    // The log does not have this form: a client that gets it late is not in that trace any more.
    const form = withTrace(packet, namespace.contract)
    if (form !== undefined) encoded.makeTraced = () => this.encode(form, flags, isLogged, position).message
    // A session that begins later does not need it.
    if (isLogged && (this.live.size > 0 || this.isAwaiting)) {
      // The frames of the one before were for its recipients. They may also keep much more alive
      // than themselves: they are cut out of larger buffers.
      if (this.latest !== undefined) this.latest.prepared = undefined
      const message = (this.latest = encoded.message)
      log.append(message, selection, message.memory, this.server.now())
      this.server.watch()
    } else if (isLogged) log.next()
    return encoded
  }

  private encode(packet: BroadcastPacket, flags: BroadcastFlags, isLogged: boolean, position: number): EncodedEvent {
    const { environment, name } = this.namespace
    const { wire } = environment
    if (!isLogged && !endsInText(packet.data)) return wire.broadcast(name, packet, undefined, flags.compress)
    const data = this.withOffset(packet.data, position) as BroadcastPacket["data"]
    const { message } = wire.broadcast(name, { ...packet, data }, undefined, flags.compress)
    // Handlers of outgoing events see it as it was emitted.
    return new EncodedEvent(message, packet.data, isLogged)
  }

  /**
   * Sends an event to one client, and keeps it until the client has confirmed it. Throws if it
   * cannot be encoded.
   */
  direct(socket: S, packet: EventData, flags: BroadcastFlags): boolean {
    const { connection } = socket
    const { log, namespace } = this
    const { name } = namespace
    const { wire } = namespace.environment
    const isLogged = !flags.volatile && this.isRecoverable(packet.data[0] as string)
    // A client that moves to another server gets it after that.
    const isSent = !connection.isSilent
    if (!isLogged && !isSent) return true
    if (!isLogged && !endsInText(packet.data)) {
      connection.session.sendUnsafe(wire.event(name, packet, undefined, flags.compress))
      return true
    }
    const session = sessionOf(socket)
    const position = isLogged ? log.head + 1 : log.head
    const message = this.encodeDirect(packet, position, flags.compress)
    if (isLogged) session?.keep(log.next(), message)
    // A connection that has ended takes nothing.
    if (isSent) connection.session.sendUnsafe(message, isLogged ? session?.onDropped : undefined)
    return true
  }

  private encodeDirect({ data, mayHaveBinary }: EventData, position: number, compress: boolean): OutboundMessage {
    const { contract, environment, name } = this.namespace
    const { length } = contract?.outgoing.get(data[0] as string) ?? { length: 0 }
    const placed = { data: extended(data, length, this.offsets.at(position)), mayHaveBinary }
    return environment.wire.event(name, placed, undefined, compress)
  }

  late(sid: string, packet: EventData): void {
    const { log } = this
    this.order.finish()
    const back = this.namespace.sockets.get(sid)
    if (back !== undefined) return void this.direct(back, packet, LATE)
    const session = this.away.get(sid)?.session
    if (session === undefined || !this.isRecoverable(packet.data[0] as string)) return
    const message = this.encodeDirect(packet, log.head + 1, true)
    session.keep(log.next(), message)
  }

  private isRecoverable(event: string): boolean {
    return this.namespace.contract?.outgoing.get(event)?.event.recover !== false
  }

  private withOffset(data: ReadonlyArray<unknown>, position: number): ReadonlyArray<unknown> {
    return withOffset(this.namespace.contract, data, this.offsets.at(position))
  }

  // ---------------------------------------------------------------- a client comes

  /**
   * A client asks for its session. It has it alone from now on: the client's earlier connection, if
   * the server still takes it for open, is closed.
   */
  claim(socket: S): void {
    const { offset, pid } = socket.rawAuth
    if (typeof pid !== "string") return
    const position = this.offsets.positionOf(offset, this.log.head)
    const former = hashOfOffset(offset)
    const away = this.take(pid)
    // Handlers of the end of the other connection may have done anything.
    if (socket.isDisconnected) {
      if (away?.state === "claimed") this.server.park(away)
      return
    }
    const miss = (reason: MissReason) => {
      socket.resumption = { _tag: "Missing", reason, former }
    }
    const stranger = isOffset(offset) ? "epoch" : "unknown"
    if (away?.state !== "claimed") return miss(position !== undefined ? "expired" : stranger)
    const isUnheard = offset === undefined || (typeof offset === "string" && former === away.session.former)
    if (position === undefined && !isUnheard) {
      // Something has taken the place of its offset: nobody knows what it has received.
      away.end("refused")
      return miss(stranger)
    }
    this.live.set(pid, socket)
    socket.id = away.id
    socket.resumption = { _tag: "Claimed", away, received: position ?? 0, former }
  }

  /** Takes the session of a secret from its connection, or from those that wait. */
  private take(pid: string): AwaySession<OutboundMessage> | undefined {
    const owner = this.live.get(pid)
    if (owner !== undefined) {
      this.taking = pid
      // It does not wait: no other session has to leave for it.
      owner.connection.session.closeUnsafe("session resumed")
      const { taken } = this
      this.taking = this.taken = undefined
      return taken
    }
    const away = this.server.away.claim(pid, this.away)
    // It may be late, and the server not have looked yet.
    if (away !== undefined && away.deadline <= this.server.now()) away.end("expired")
    return away
  }

  /** The session of a lost connection waits, unless another connection takes it. */
  private park(away: AwaySession<OutboundMessage>): void {
    if (away.session.pid !== this.taking) return this.server.park(away)
    away.state = "claimed"
    this.taken = away
  }

  /**
   * Admits a client: it is told, gets what it has missed, and is in its rooms again, all in one
   * turn, so that nothing is sent in between.
   *
   * It is told first. The official client keeps events that come before the CONNECT, and knows
   * their offsets only when it has handled them: if its connection ended in between, it would get
   * them again.
   */
  admit(socket: S): void {
    // A message that is being delivered reaches its recipients before this one is among them.
    this.order.finish()
    // That may have run handlers, which may have done anything.
    if (socket.isDisconnected) return
    const { resumption: claim } = socket
    const missed = claim === undefined ? undefined : this.missedBy(claim, socket)
    if (claim?._tag === "Claimed" && typeof missed === "object") this.resume(socket, claim.away, missed)
    else this.begin(socket, missed as MissReason | undefined)
  }

  /** A client begins anew, for a reason if it has asked for its session. */
  private begin(socket: S, reason: MissReason | undefined): void {
    const { log, namespace, server } = this
    const { environment } = namespace
    const { connection, resumption } = socket
    const former = formerOf(resumption)
    // Its builder, and its middleware, may have seen the id of the session that it does not get.
    if (resumption?._tag === "Claimed") {
      this.forget(socket, resumption.away.session.pid)
      socket.id = environment.generateId()
    }
    socket.resumption = undefined
    const pid = environment.generateId()
    const session = new RecoverySession<OutboundMessage>(
      pid,
      socket.id,
      log.head,
      former,
      server.sessionBounds,
      server.direct,
      messageTexts
    )
    socket.recoverable = session
    this.live.set(pid, socket)
    namespace.add(socket)
    const told = greeting(connection, namespace.contract, {
      ...(reason !== undefined && { recovered: { reason } }),
      ...socket.rights?.greeting
    })
    connection.session.sendUnsafe(environment.wire.connect(namespace.name, { sid: socket.id, pid, ...told }))
    if (reason !== undefined) this.count(reason)
  }

  /** A client has its session again. */
  private resume(socket: S, away: AwaySession<OutboundMessage>, missed: ReadonlyArray<OutboundMessage>): void {
    const { log, namespace } = this
    const { session } = away
    const { connection } = socket
    const told = {
      sid: socket.id,
      pid: session.pid,
      ...greeting(connection, namespace.contract, socket.rights?.greeting)
    }
    connection.session.sendUnsafe(namespace.environment.wire.connect(namespace.name, told))
    const { dropsMessages } = this.server.sessionBounds
    for (const message of missed) {
      connection.session.sendUnsafe(dropsMessages ? undroppable(message) : message)
      message.prepared = undefined
    }
    // Its connection has ended meanwhile. The session waits again, or has ended, too.
    if (socket.isDisconnected) return
    const rooms = Array.from(away.joined ?? [])
    const outage = this.server.now() - away.since
    socket.onResumed(away.data, { _tag: "Resumed", missed: missed.length, outage, isUnbroken: true })
    socket.recoverable = session
    namespace.add(socket)
    if (rooms.length > 0) {
      namespace.rejoin(socket, rooms)
      // It may be in fewer rooms than before: the limit of a connection counts all of its sockets.
      for (const room of rooms) if (!socket.joined?.has(room)) session.memberships.leave(room, log.head)
    }
    away.rights?.stop()
    // After that, so that adapters see no room without a member.
    this.away.remove(away)
    this.count("recovered")
  }

  private count(result: MissReason | "recovered"): void {
    const { environment, label } = this.namespace
    environment.observer.count(recoveries, { namespace: label, result })
  }

  /** Returns the messages that a client has missed, or why it does not get its session. */
  private missedBy(claim: Resumption, { rights }: S): ReadonlyArray<OutboundMessage> | MissReason {
    if (claim._tag !== "Claimed") return claim._tag === "Missing" ? claim.reason : "unknown"
    const { away, received } = claim
    // Nobody gets the messages of another user.
    if (rights?.isSameAs(away.rights) === false) away.end("refused")
    if (away.state === "ended") return "refused"
    const missed = away.session.missed(this.log, received)
    if (typeof missed === "string") away.end("overflow")
    return missed
  }

  /** It needs nothing. */
  prepare(): undefined {}

  onBuilt(socket: S): void {
    const session = sessionOf(socket)
    if (session !== undefined) session.isBuilt = true
  }

  onJoined(socket: S, room: string): void {
    sessionOf(socket)?.memberships.join(room, this.log.head)
  }

  onLeft(socket: S, room: string): void {
    sessionOf(socket)?.memberships.leave(room, this.log.head)
  }

  onPing(socket: S, ping: number): void {
    sessionOf(socket)?.onPing(ping, this.log.head)
  }

  // Data stay with the socket, and events are sent at once.
  onData(): void {}
  flush(): void {}
  settled(): undefined {}

  // ---------------------------------------------------------------- a client leaves

  /** A socket ends. Its session waits for its client if the connection was lost. */
  onEnd(socket: S, reason: DisconnectReason): void {
    const { resumption: claim } = socket
    const session = sessionOf(socket)
    socket.recoverable = undefined
    if (claim?._tag === "Claimed") this.forget(socket, claim.away.session.pid)
    if (claim?._tag === "Claimed" && claim.away.state === "claimed") {
      if (LOSSES.has(reason)) this.park(claim.away)
      else claim.away.end(reason === "server namespace disconnect" ? "refused" : endOf(reason))
    }
    if (session === undefined) return
    this.forget(socket, session.pid)
    session.onDisconnected()
    const isLoss = LOSSES.has(reason)
    // Its builder would do nothing for it if it came back to a session without its rooms.
    if (!isLoss || !session.isBuilt) {
      session.dispose()
      return this.namespace.onSessionEnd(session.sid, isLoss ? "overflow" : endOf(reason))
    }
    const away = new AwaySession(this.away, session, socket.data, this.server.now())
    this.away.add(away, Array.from(socket.joined ?? []))
    away.rights = socket.rights?.park(away)
    this.park(away)
  }

  private forget(socket: S, pid: string): void {
    if (this.live.get(pid) === socket) this.live.delete(pid)
  }

  onEnded(away: AwaySession<OutboundMessage>, reason: SessionEndReason): void {
    this.server.away.delete(away)
    this.namespace.onSessionEnd(away.id, reason)
    if (!this.isAwaiting) this.namespace.forgetIfUnused()
  }
}

/** An event for a client that was away. */
const LATE: BroadcastFlags = { volatile: false, local: true, compress: true }

const sessionOf = ({ recoverable }: RecoverableSocket): Session | undefined =>
  recoverable instanceof RecoverySession ? recoverable : undefined
