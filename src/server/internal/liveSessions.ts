import type * as Clock from "effect/Clock"

import type { Kept } from "../../adapter/SharedLog.ts"
import type { StoredSession } from "../../adapter/StoredSession.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { SessionEndReason } from "../../recovery/AwaySessions.ts"
import { type LiveSession, sessionOf } from "./liveSession.ts"
import type { RecoverableNamespace, RecoverableSocket } from "./recoverable.ts"
import { endOf, LOSSES } from "./recoveryPorts.ts"
import type { ServerRecovery } from "./serverRecovery.ts"

/** From one writing of a session to the next, in milliseconds. */
export const REFRESH = 30_000

/** Between two looks for sessions that have to be written. */
const SWEEP = 5_000

/** A client that has left, and may come back. */
interface Parked {
  /** The time until which it may, in milliseconds. */
  readonly until: number
  /** The last generation of its session that this server has drawn. */
  readonly generation: string
}

/**
 * The sessions of the clients of one namespace that are connected to this server, where all servers
 * share them. They are written again and again: a server that dies says nothing any more.
 */
export class LiveSessions<S extends RecoverableSocket> implements WheelEntry {
  bucket: number = IDLE
  /** A client of this server may have missed something, now or a while ago. */
  hasSpoiled = false
  private readonly namespace: RecoverableNamespace<S>
  private readonly server: ServerRecovery
  private readonly clock: Clock.Clock
  /** The sockets that have a session, by its secret. The longest without a write is the first. */
  private readonly live = new Map<string, S>()
  /**
   * The clients that have left this server last, by the ids of their sockets, in the order of their
   * times.
   */
  private readonly parked = new Map<string, Parked>()
  /** The sockets whose data have changed in this turn. */
  private readonly changed = new Set<S>()

  constructor(namespace: RecoverableNamespace<S>, server: ServerRecovery, clock: Clock.Clock) {
    this.namespace = namespace
    this.server = server
    this.clock = clock
  }

  private get log() {
    return this.namespace.adapter.log!
  }

  /** Whether clients may come back that have left this server. */
  get isAwaiting(): boolean {
    return this.parked.size > 0
  }

  get(pid: string): S | undefined {
    return this.live.get(pid)
  }

  /** A socket has a session from now on. */
  own(socket: S, session: LiveSession): void {
    session.onSpoiled = () => {
      this.hasSpoiled = true
      this.log.sessions.remove(session.pid, session.generation)
    }
    socket.recoverable = session
    this.live.set(session.pid, socket)
    // Otherwise another connection of the client has claimed it since.
    if (this.parked.get(session.sid)?.generation === session.generation) this.parked.delete(session.sid)
    this.look()
  }

  /** Other servers know of the change at the end of the turn. */
  onData(socket: S): void {
    this.changed.add(socket)
    if (this.changed.size > 1) return
    queueMicrotask(() => {
      for (const socket of this.changed) {
        const session = sessionOf(socket)
        if (session !== undefined) this.write(socket, session, true)
      }
      this.changed.clear()
    })
  }

  /** Stores a session for a client that is connected, or that may come back for so long. */
  write(socket: S, session: LiveSession, isLive: boolean, isNew = false): void {
    const { sessions } = this.log
    const data = tryTo(() => socket.encodedData)
    if (data === undefined) session.spoil()
    if (isLive) {
      this.live.delete(session.pid)
      this.live.set(session.pid, socket)
    }
    session.writtenAt = this.server.now()
    if (session.isTaken) return
    if (data === undefined || session.isIncomplete) return sessions.remove(session.pid, session.generation)
    const { checkpoint, former, generation, pid, sid } = session
    const namespace = this.namespace.name
    const at = this.clock.currentTimeMillisUnsafe()
    const stored: StoredSession = {
      pid,
      namespace,
      sid,
      rooms: [...(socket.joined ?? [])],
      data,
      checkpoint,
      former,
      at
    }
    const timeToLive = this.server.maxDisconnection + (isLive ? 2 * REFRESH : 0)
    const onKept = (kept: Kept) => this.onKept(socket, session, kept)
    if (isNew) sessions.create(stored, generation, timeToLive, onKept)
    else sessions.update(stored, generation, timeToLive, onKept)
  }

  private onKept(socket: S, session: LiveSession, kept: Kept): void {
    if (kept === "missing") session.spoil()
    if (kept !== "taken") return
    session.isTaken = true
    if (this.parked.get(session.sid)?.generation === session.generation) this.lose(session.sid)
    // Another server has the client: this one has noticed nothing, as it hung, or the network did.
    // A client that moves to another server still waits for acknowledgements here.
    const { connection } = socket
    if (socket.recoverable === session && !connection.isSilent) connection.session.closeUnsafe("session resumed")
  }

  /**
   * This server has claimed a session, and its client is not admitted yet. Returns whether no other
   * server has had it since the client was here before.
   */
  onClaimed({ checkpoint, owner, sid }: StoredSession, generation: string): boolean {
    const { parked, server } = this
    const former = parked.get(sid)
    if (former === undefined) return false
    // An official server does not tell that it has had it.
    const isUnbroken = owner === undefined ? checkpoint !== undefined : owner === former.generation
    if (!isUnbroken) {
      this.lose(sid)
      return false
    }
    parked.delete(sid)
    parked.set(sid, { until: server.now() + server.maxDisconnection, generation })
    return true
  }

  /** Nobody comes back to the session of a socket any more. */
  end(sid: string, reason: SessionEndReason): void {
    this.parked.delete(sid)
    this.namespace.onSessionEnd(sid, reason)
  }

  private lose(sid: string): void {
    this.parked.delete(sid)
    this.namespace.onSessionLost(sid)
  }

  onTaken(sid: string, generation: string, isOwn: boolean): void {
    if (!isOwn && this.parked.has(sid)) this.lose(sid)
    const socket = this.namespace.sockets.get(sid)
    const session = socket && sessionOf(socket)
    // The word of the store counts: it says who has the session now.
    if (session === undefined || session.generation === generation) return
    if (session.isIncomplete) this.onKept(socket!, session, "taken")
    else this.write(socket!, session, true)
  }

  /** All of its clients may have missed something. */
  spoilAll(): void {
    for (const socket of this.live.values()) sessionOf(socket)?.spoil()
  }

  /** A socket has ended. Its session waits for its client if the connection was lost. */
  onEnd(socket: S, session: LiveSession, reason: DisconnectReason): void {
    this.changed.delete(socket)
    if (this.live.get(session.pid) === socket) this.live.delete(session.pid)
    if (session.isTaken) {
      // Unless another connection of the client to this server has it.
      if (!this.parked.has(session.sid)) this.namespace.onSessionLost(session.sid)
      return
    }
    if (LOSSES.has(reason) && !session.isIncomplete) {
      this.write(socket, session, false)
      if (!session.isIncomplete) return this.park(session)
    }
    this.log.sessions.remove(session.pid, session.generation)
    this.namespace.onSessionEnd(session.sid, LOSSES.has(reason) ? "overflow" : endOf(reason))
  }

  private park({ generation, sid }: LiveSession): void {
    const { parked, server } = this
    if (parked.has(sid)) return
    parked.set(sid, { until: server.now() + server.maxDisconnection, generation })
    const [oldest] = parked.keys()
    // The session itself is where it is stored.
    if (parked.size > server.maxSessions) this.lose(oldest!)
    this.look()
  }

  private look(): void {
    if (this.bucket === IDLE) this.server.wheel.schedule(this, Math.min(SWEEP, this.server.maxDisconnection))
  }

  onDeadline(): void {
    const { live, namespace, parked, server } = this
    const now = server.now()
    for (const [sid, { until }] of parked) {
      if (until > now) break
      this.end(sid, "expired")
    }
    if (this.hasSpoiled)
      this.hasSpoiled = Array.from(live.values()).some((socket) => sessionOf(socket)?.isIncomplete === true)
    for (const socket of live.values()) {
      const session = sessionOf(socket)
      if (session === undefined) continue
      if (session.writtenAt + REFRESH - SWEEP > now) break
      this.write(socket, session, true)
    }
    if (live.size > 0 || parked.size > 0) this.look()
    else namespace.forgetIfUnused()
  }
}

export const tryTo = <A>(make: () => A): A | undefined => {
  try {
    return make()
  } catch {
    return undefined
  }
}
