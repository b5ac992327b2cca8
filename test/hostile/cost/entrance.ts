/**
 * Entrances as data, and those over WebSocket, which are made of packets.
 */
import { text } from "../../bench/load/frames.ts"
import type { Malice } from "./hostileServer.ts"
import type { HostName } from "./hosts.ts"
import { type Attack, chunkOf, times, webSocket, type WebSocketPlan } from "./traffic.ts"

/** The base of the comparison of a byte: the ordinary message of each, which is in the list itself. */
export const transports = {
  websocket: "an acknowledged event of 50 bytes over a WebSocket that is open, one after the other without waiting",
  connection: "a WebSocket that is opened, joins a namespace, has one such event acknowledged and is closed",
  polling: "a POST with one such event, and the poll that brings its acknowledgement",
  handshake: "a handshake over polling that is served, on a connection that is open",
  large: "an acknowledged event of a megabyte, of 7,700 messages of a chat, over a WebSocket that is open"
} as const

export type Transport = keyof typeof transports

export interface Entrance {
  readonly name: string
  readonly transport: Transport
  readonly attack: Attack
  /** What a server does to its client: the client is under attack, and `attack` is not used. */
  readonly malice?: Malice
  /** It is what others are compared with. */
  readonly isOrdinary?: boolean
  /**
   * The bytes of a segment of TCP, where these are small: it costs its sender a head of 40 bytes,
   * which count.
   */
  readonly segment?: number
  /**
   * It sends messages of a megabyte. Such a message is read in one go, so the others' times are
   * compared with their times beside ordinary messages of that size.
   */
  readonly isLarge?: boolean
  /**
   * It opens connections all the time, as it is closed for what it sends. The others' times are
   * compared with their times beside ordinary clients that come and go. Those of the transport
   * "connection" are anyway.
   */
  readonly opens?: boolean
  /** How many times as long the others may wait as beside what is ordinary. Default: twice. */
  readonly slower?: number
  /**
   * The platform does it before the library learns of it. The times are told, and fail nothing.
   */
  readonly isByPlatform?: boolean
  /**
   * A few bytes on a connection of their own cost what the connection does, which is compared with
   * one that is ordinary. By the byte it would look dear to open one and send nothing.
   */
  readonly isPerConnection?: boolean
  /**
   * It is about namespaces that are not there: a server waits for them in its first two seconds.
   */
  readonly afterGrace?: boolean
  /** The server recovers connections. */
  readonly recovers?: boolean
  /** Sessions of clients that are silent end within two seconds, and are left to do so. */
  readonly expires?: boolean
  /** The platform of the server. Default: Node. */
  readonly host?: HostName
}

/** Where a byte is read: at a server on some platform, or at a client. */
export type Side = HostName | "client"

export const sideOf = ({ host = "node", malice }: Entrance): Side => (malice === undefined ? host : "client")

/**
 * A connection that has ended is still there when V8 next collects the young objects, and is moved
 * twice: since Node 24 its streams live on until then, which they do not in Node 22. At 3,000
 * connections per second such a collection takes 5 to 7 ms instead of 0.5, beside ordinary clients
 * that come and go as beside these; it moves as many bytes per connection with the official server,
 * and a quarter of it with bare `ws`.
 */
export const OPENS = { opens: true } as const

export const packets = (...messages: ReadonlyArray<string>): Buffer => chunkOf(...messages.map(text))

export const socket = (name: string, plan: WebSocketPlan, rest: Partial<Entrance> = {}): Entrance => ({
  name: `WebSocket: ${name}`,
  transport: plan.once === true ? "connection" : "websocket",
  attack: times(plan.once === true ? 8 : 1, webSocket(plan)),
  ...rest
})

/** The packets that are sent again and again over one WebSocket, in a namespace. */
export const flood = (name: string, namespace: string, ...messages: ReadonlyArray<string>): Entrance =>
  socket(name, { join: [`40${namespace}`], traffic: packets(...messages) })

/** Packets that close their WebSocket. */
export const offence = (name: string, ...frames: ReadonlyArray<Buffer>): Entrance =>
  socket(name, { traffic: Buffer.concat(frames), once: true })
