/**
 * The cost of the wire formats, in µs per message: a broadcast of 100 bytes to one room, written and read, beside the libraries of the
 * official adapters in the same run.
 *
 *     node test/cluster/bench/wire.ts
 */
import { createRequire } from "node:module"

import type { ClusterMessage } from "../../../src/adapter/ClusterMessage.ts"
import * as Classic from "../../../src/redis/internal/classicWire.ts"
import * as Sharded from "../../../src/redis/internal/shardedWire.ts"
import * as Streams from "../../../src/redis/internal/streamsWire.ts"

const require = createRequire(import.meta.url)
const notepack = createRequire(require.resolve("@socket.io/redis-adapter"))("notepack.io")

const MESSAGES = 2_000
const ROUNDS = 300

/** The least of many short rounds: what it costs when nothing else runs. */
const measure = (run: () => unknown): number => {
  let least = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    for (let i = 0; i < MESSAGES; i++) run()
    least = Math.min(least, ((performance.now() - start) * 1_000) / MESSAGES)
  }
  return least
}

const message = (payload: unknown): ClusterMessage => ({
  _tag: "Broadcast",
  data: ["news", payload],
  mayHaveBinary: true,
  selection: { rooms: ["room-17"], except: [] },
  flags: { volatile: false, compress: true }
})

const options = { prefix: "socket.io", namespace: "/", uid: "abcdef" }
const there = { ...options, uid: "ghijkl" }
const classic = Classic.make(options)
const sharded = Sharded.make({ ...options, mode: "dynamic" })
const streams = Streams.make(options)
const reader = {
  classic: Classic.make(there),
  sharded: Sharded.make({ ...there, mode: "dynamic" }),
  streams: Streams.make(there)
}

for (const [name, payload] of [
  ["100 B of text", "x".repeat(100)],
  ["an object", { id: 12_345, name: "somebody", text: "x".repeat(40), at: 1_700_000_000_000, ok: true }],
  ["100 B of bytes", Buffer.alloc(100, 7)]
] as const) {
  const sent = message(payload)
  const packet = { type: 2, data: ["news", payload], nsp: "/" }
  const official = notepack.encode(["abcdef", packet, { rooms: ["room-17"], except: [], flags: {} }])
  const bodies = {
    classic: Buffer.from(classic.encode(sent, 7) as Uint8Array),
    sharded: Buffer.from(sharded.encode(sent, 7) as Uint8Array),
    streams: streams.encodeEntry(sent, 7) as never
  }
  const row = (what: string, run: () => unknown) => console.log(`${name}: ${what}: ${measure(run).toFixed(2)} µs`)
  row("classic, written", () => classic.encode(sent, 7))
  row("  by notepack.io", () => notepack.encode(["abcdef", packet, { rooms: ["room-17"], except: [], flags: {} }]))
  row("classic, read", () => reader.classic.decodeBroadcast(bodies.classic))
  row("  by notepack.io", () => notepack.decode(official))
  row("classic, head read", () => reader.classic.readHead(bodies.classic))
  row("sharded, written", () => sharded.encode(sent, 7))
  row("sharded, read", () => reader.sharded.decode(bodies.sharded))
  row("streams, written", () => streams.encodeEntry(sent, 7))
  row("streams, read", () => reader.streams.decodeEntry(bodies.streams, "1-1"))
}
