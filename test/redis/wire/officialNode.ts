/**
 * An official server with its official adapter, and clients of Redis that only record and deliver. No Redis is needed: what it publishes
 * is at hand byte for byte, and it reacts to whatever bytes a test publishes.
 */
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter"
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter"
import { Server } from "socket.io"

import type { Received } from "../../../src/adapter/Received.ts"
import type { PubSubWire } from "../../../src/redis/internal/wire.ts"
import * as Classic from "../../../src/redis/internal/classicWire.ts"
import * as Sharded from "../../../src/redis/internal/shardedWire.ts"
import * as Streams from "../../../src/redis/internal/streamsWire.ts"

export type Format = "classic" | "sharded" | "streams"

export const formats: ReadonlyArray<Format> = ["classic", "sharded", "streams"]

export interface Published {
  readonly channel: string
  readonly body: Buffer
}

type Listener = (message: Buffer, channel: Buffer) => void

/** The part of a client of `redis` that the adapters need. */
const makeClient = () => {
  const published: Array<Published> = []
  const entries: Array<Record<string, string>> = []
  const listeners = new Map<string, Listener>()
  /** Ends the read that waits for entries. */
  const reading: Array<(entries: unknown) => void> = []
  const subscribe = (channels: string | ReadonlyArray<string>, listener: Listener) => {
    for (const channel of [channels].flat() as Array<string>) listeners.set(channel, listener)
  }
  const publish = (channel: string, message: string | Buffer) => {
    published.push({ channel, body: Buffer.from(message) })
    return Promise.resolve(2)
  }
  const client = {
    on: () => client,
    off: () => client,
    listenerCount: () => 0,
    connect: () => Promise.resolve(),
    disconnect: () => undefined,
    duplicate: () => client,
    pSubscribe: subscribe,
    pUnsubscribe: () => undefined,
    unsubscribe: () => undefined,
    subscribe,
    sSubscribe: subscribe,
    sUnsubscribe: () => undefined,
    publish,
    sPublish: publish,
    sendCommand: () => Promise.resolve(["", "2"]),
    xAdd: (_stream: string, _id: string, fields: Record<string, string>) => {
      entries.push(fields)
      return Promise.resolve(`1-${entries.length}`)
    },
    xRead: () => new Promise((resolve) => void reading.push(resolve))
  }
  /** Resolves when the server has taken the message. */
  const deliver = async (channel: string, body: string | Uint8Array): Promise<void> => {
    const pattern = [...listeners.keys()].find((key) => key === channel) ?? `${channel.split("#", 2).join("#")}#*`
    listeners.get(pattern)!(Buffer.from(body as Uint8Array), Buffer.from(channel))
    await settled()
  }
  const deliverEntry = async (fields: object, id: string): Promise<void> => {
    while (reading.length === 0) await settled()
    reading.shift()!([{ messages: [{ id, message: fields }] }])
    await settled()
  }
  return { client, published, entries, deliver, deliverEntry }
}

export const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

const adapters = {
  classic: (client: any) => createAdapter(client, client),
  sharded: (client: any) => createShardedAdapter(client, client),
  streams: (client: any) => createStreamsAdapter(client)
}

export const NAMESPACE = "/chat"
export const PREFIX = "socket.io"

export const officialNode = async (format: Format) => {
  const { client, ...bus } = makeClient()
  const server = new Server()
  server.adapter(adapters[format](client) as never)
  const io = server.of(NAMESPACE)
  await settled()
  const adapter = io.adapter as any
  return { ...bus, io, uid: adapter.uid as string, addSocket: (id: string) => addSocket(io, id) }
}

export type OfficialNode = Awaited<ReturnType<typeof officialNode>>

export const HANDSHAKE = {
  headers: { "user-agent": "x", "x-two": "a, b" },
  time: "Tue Nov 14 2023 22:13:20 GMT+0000 (Coordinated Universal Time)",
  address: "127.0.0.1",
  xdomain: true,
  secure: false,
  issued: 1_700_000_000_000,
  url: "/socket.io/?EIO=4&transport=polling",
  query: { EIO: "4", transport: "polling" },
  auth: { token: "t" }
}

/** A socket that only records what happens to it. */
const addSocket = (io: any, id: string) => {
  const heard: Array<{ readonly packets: ReadonlyArray<string | Buffer>; readonly options: any }> = []
  const acks = new Map<number, (...args: Array<unknown>) => void>()
  const closed: Array<boolean> = []
  const socket = {
    id,
    data: { name: "ann", avatar: undefined },
    handshake: HANDSHAKE,
    acks,
    get rooms() {
      return io.adapter.socketRooms(id)
    },
    client: { writeToEngine: (packets: Array<string | Buffer>, options: unknown) => heard.push({ packets, options }) },
    join: (rooms: Iterable<string>) => io.adapter.addAll(id, new Set(rooms)),
    leave: (room: string) => io.adapter.del(id, room),
    disconnect: (close: boolean) => closed.push(close)
  }
  io.sockets.set(id, socket)
  io.adapter.addAll(id, new Set([id]))
  return { socket, heard, acks, closed }
}

/** Our side of a format: one way to write and to read, whatever the format is. */
export const makeOurs = (format: Format, uid: string) => {
  const options = { prefix: PREFIX, namespace: NAMESPACE, uid }
  const classic = Classic.make(options)
  const sharded = Sharded.make({ ...options, mode: "dynamic" })
  const streams = Streams.make(options)
  const wire: PubSubWire = { classic, sharded, streams }[format]
  const read = ({ body, channel }: Published): Received | Classic.LegacyRequest => {
    if (format === "sharded") return sharded.decode(body)
    if (format === "streams") return streams.decode(body)
    if (classic.roomOf(channel) !== undefined) return classic.decodeBroadcast(body)
    return channel === classic.channels.request ? classic.decodeRequest(body) : classic.decodeResponse(body)
  }
  return { wire, classic, sharded, streams, read }
}
