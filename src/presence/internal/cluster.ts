import { costOf } from "../../internal/cost.ts"
import type { OtherServer } from "../PresenceModel.ts"
import { type Entry, type Frame, readFrame } from "./frames.ts"
import { isKey, Member, type Room, type Rooms, type Version } from "./members.ts"
import { OwnMembers, refOf } from "./ownMembers.ts"
import { RemoteServer } from "./remoteServer.ts"

/** The other servers that this one keeps, at most. */
const MAX_SERVERS = 1_000

/** Times in milliseconds, and bounds. */
export interface ClusterOptions {
  readonly period: number
  readonly down: number
  readonly forget: number
  readonly maxTotal: number
  readonly maxBytes: number
}

/** Metadata as the application sees them, and encoded. */
export interface Metadata {
  readonly meta: unknown
  readonly encoded: Readonly<Record<string, unknown>>
}

/** Reads the metadata of another server's member; `undefined` if their schema refuses them. */
export type ReadMeta = (encoded: Readonly<Record<string, unknown>>) => Metadata | undefined

type Delta = Extract<Frame, { readonly type: "delta" }>
type State = Extract<Frame, { readonly type: "state" }>

/**
 * The members of all servers. Each server decides about its own: it tells the others its changes,
 * which it numbers. A server that misses one asks for all. This class is the side of one server;
 * all of it is synchronous.
 *
 * It puts the frames for the others into `outbox`, and the rooms that a frame has changed into
 * `touched`. Its owner takes them out.
 */
export class Cluster {
  readonly own: OwnMembers
  readonly outbox: Array<Frame> = []
  readonly touched = new Set<Room>()
  /** Members and frames of other servers that were refused. */
  refused = 0
  private readonly rooms: Rooms
  private readonly options: ClusterOptions
  private readonly readMeta: ReadMeta
  private readonly servers = new Map<string, RemoteServer>()
  /** The members of the other servers, shown or not. */
  private foreign = 0
  /** The time of the last delta, and of the last frame of any kind that tells the clock. */
  private toldAt = -Infinity
  private aliveAt = -Infinity
  private tickedAt = Infinity

  constructor(server: string, rooms: Rooms, options: ClusterOptions, readMeta: ReadMeta) {
    this.own = new OwnMembers(server)
    this.rooms = rooms
    this.options = options
    this.readMeta = readMeta
  }

  /** The number of members of all servers that are kept here. */
  get size(): number {
    return this.own.size + this.foreign
  }

  /** Whether as many members are here as may be. */
  get isFull(): boolean {
    return this.size >= this.options.maxTotal
  }

  get states(): ReadonlyArray<OtherServer> {
    return Array.from(this.servers.values(), ({ clock, id, isDown, members }) => ({
      id,
      members: members.size,
      isDown,
      isComplete: clock !== undefined
    }))
  }

  // ---------------------------------------------------------------- to the others

  /** The first word of this server: the others tell it all their members. */
  start(now: number): void {
    this.tickedAt = now
    this.outbox.push(this.own.want("*"))
  }

  /** Tells changes of own members, if the last ones were told at least a period ago. */
  tell(now: number): void {
    if (!this.own.hasNews || now - this.toldAt < this.options.period) return
    this.toldAt = this.aliveAt = now
    for (const frame of this.own.takeDeltas()) this.outbox.push(frame)
  }

  /** Runs several times in a period. */
  tick(now: number): void {
    this.notice(now)
    for (const frame of this.own.takeState()) {
      this.toldAt = this.aliveAt = now
      this.outbox.push(frame)
    }
    this.tell(now)
    if (now - this.aliveAt >= this.options.period) {
      this.aliveAt = now
      this.outbox.push(this.own.beat)
    }
  }

  /** Looks for servers that are silent. */
  private notice(now: number): void {
    const { down, forget, period } = this.options
    // This process has slept: it has not heard the others, whether they were silent or not.
    const slept = now - this.tickedAt
    this.tickedAt = now
    for (const server of this.servers.values()) {
      if (slept > period) server.heardAt += slept
      const silence = now - server.heardAt
      if (silence > forget) this.drop(server, now)
      else if (silence > down) this.hide(server)
      else if (server.clock === undefined && !this.isReceiving(server, now)) this.missed(server, now)
    }
  }

  /** Whether parts of a server's state go on coming. */
  private isReceiving({ reception }: RemoteServer, now: number): boolean {
    return reception !== undefined && now - reception.at <= this.options.period
  }

  private ask(server: RemoteServer, now: number): void {
    if (now - server.askedAt < this.options.period) return
    server.askedAt = now
    this.outbox.push(this.own.want(server.id))
  }

  // ---------------------------------------------------------------- from the others

  receive(value: unknown, now: number): void {
    const frame = readFrame(value)
    if (frame === undefined) {
      this.refused++
      return
    }
    if (frame.from === this.own.server) return
    const server = this.heard(frame, now)
    if (server === undefined) return
    switch (frame.type) {
      case "bye":
        return this.drop(server, now)
      case "want":
        if (frame.of === this.own.server || frame.of === "*") this.own.startState()
        return
      case "beat":
        return this.onBeat(server, frame.clock, now)
      case "delta":
        return this.onDelta(server, frame, now)
      case "state":
        return this.onState(server, frame, now)
    }
  }

  private onBeat(server: RemoteServer, clock: number, now: number): void {
    if (clock === server.clock || (server.clock === undefined && clock === 0)) return this.reached(server, clock)
    if (clock !== server.reception?.clock) this.missed(server, now)
  }

  private onDelta(server: RemoteServer, { clock, gone, set }: Delta, now: number): void {
    const { reception } = server
    const known = server.clock ?? reception?.clock ?? (clock === 1 && server.members.size === 0 ? 0 : undefined)
    if (known !== undefined && clock <= known) return
    if (known === undefined || clock !== known + 1) return this.missed(server, now)
    // Joins first, so that they are told at once; but not if there is no capacity for both.
    const isTight = this.size + set.length > this.options.maxTotal
    if (isTight) for (const id of gone) this.remove(server, id, now)
    this.setAll(server, set, now)
    if (!isTight) for (const id of gone) this.remove(server, id, now)
    if (reception === undefined) return this.reached(server, clock)
    reception.clock = clock
  }

  private onState(server: RemoteServer, { clock, isLast, part, round, set }: State, now: number): void {
    if (server.clock !== undefined) {
      // A question of others tells this server, too, that it has missed something.
      if (clock <= server.clock) return
      server.clock = undefined
    }
    if (part === 0) server.reception = { round, part, clock, at: now, ids: new Set() }
    const { reception } = server
    if (reception?.round !== round || reception.part !== part || reception.clock !== clock) {
      return this.missed(server, now)
    }
    reception.part++
    reception.at = now
    this.setAll(server, set, now)
    if (!isLast) return
    for (const id of Array.from(server.members.keys())) if (!reception.ids.has(id)) this.remove(server, id, now)
    this.reached(server, clock)
  }

  /** The server of a frame. One that is only asking is not kept. */
  private heard({ from, type }: Frame, now: number): RemoteServer | undefined {
    let server = this.servers.get(from)
    if (server === undefined) {
      server = new RemoteServer(from, now)
      if (type === "bye" || type === "want") return server
      if (this.servers.size >= MAX_SERVERS) {
        this.refused++
        return undefined
      }
      this.servers.set(from, server)
    }
    server.heardAt = now
    return server
  }

  /** All members of a server are known. */
  private reached(server: RemoteServer, clock: number): void {
    server.clock = clock
    server.reception = undefined
    if (!server.isDown) return
    server.isDown = false
    for (const member of server.members.values()) this.touched.add(this.rooms.show(member))
  }

  /** Some changes of a server have not come. */
  private missed(server: RemoteServer, now: number): void {
    server.clock = server.reception = undefined
    this.ask(server, now)
  }

  // ---------------------------------------------------------------- members of the others

  private setAll(server: RemoteServer, entries: ReadonlyArray<Entry>, now: number): void {
    const ids = server.reception?.ids
    for (const entry of entries) {
      this.set(server, entry, now)
      // Those that were refused need no mark to be kept, and there may be any number of them.
      if (ids !== undefined && server.members.has(entry[0])) ids.add(entry[0])
    }
  }

  private set(server: RemoteServer, [id, number, room, key, encoded]: Entry, now: number): void {
    let member = server.members.get(id)
    if (member?.version.number === number && member.room === room && member.key === key) return
    const version = this.versionOf(server, [id, number, room, key, encoded])
    if (version === undefined || (member !== undefined && (member.room !== room || member.key !== key))) {
      this.remove(server, id, now)
      member = undefined
    }
    if (version === undefined) return
    if (member === undefined) {
      if (this.isFull) {
        this.refused++
        return
      }
      member = new Member(id, room, key, version)
      server.members.set(id, member)
      this.foreign++
    }
    if (server.isDown) member.version = version
    else this.touched.add(this.rooms.show(member, version))
  }

  /** Reads a member's version; `undefined` if this server refuses it. */
  private versionOf(server: RemoteServer, [id, number, room, key, encoded]: Entry): Version | undefined {
    const isRefused = !isKey(key) || costOf([room, key, encoded]) > this.options.maxBytes
    const metadata = isRefused ? undefined : this.readMeta(encoded)
    if (metadata === undefined) {
      this.refused++
      return undefined
    }
    const ref = refOf(server.id, id, number)
    return { ref, number, meta: metadata.meta, wire: { ...metadata.encoded, phx_ref: ref } }
  }

  private remove(server: RemoteServer, id: number, now: number): void {
    const member = server.members.get(id)
    if (member === undefined) return
    server.members.delete(id)
    this.foreign--
    this.conceal(member, now)
  }

  private conceal(member: Member, now?: number): void {
    const room = this.rooms.hide(member, now)
    if (room !== undefined) this.touched.add(room)
  }

  /** A server is silent: its members are kept, but not shown. They do not come back soon. */
  private hide(server: RemoteServer): void {
    if (server.isDown) return
    server.isDown = true
    server.reception = undefined
    for (const member of server.members.values()) this.conceal(member)
  }

  /** A server has ended, or will not come back. */
  private drop(server: RemoteServer, now: number): void {
    this.servers.delete(server.id)
    for (const id of Array.from(server.members.keys())) this.remove(server, id, now)
  }
}
