/**
 * The packets that encoders and decoders are measured with.
 */
import type { SocketPacket } from "../../../src/protocol/SocketPacket.ts"

const row = { id: 12_345, user: "alice", text: "hello world!!" }
const rows = Array.from({ length: 120 }, (_, i) => ({
  ...row,
  id: i,
  tags: ["a", "b"],
  at: 1_700_000_000_000 + i
}))

const event = (namespace: string, id: number | undefined, ...data: ReadonlyArray<unknown>): SocketPacket => ({
  type: 2,
  namespace,
  id,
  data
})

const bytes = () => Buffer.alloc(1024, 7)

export const packets: Readonly<Record<string, SocketPacket>> = {
  "event, 50 B": event("/", undefined, "echo", row),
  "event, 50 B, with an id": event("/", 17, "echo", row),
  "event, 50 B, of a namespace": event("/admin", undefined, "echo", row),
  "acknowledgement, 50 B": { type: 3, namespace: "/", id: 17, data: [row] },
  "event, 11 KB of objects": event("/", undefined, "list", rows),
  "event, a string of 10 KB": event("/", undefined, "text", `é${"x".repeat(10_000)}`),
  "binary, 1 KiB": event("/", undefined, "bytes", bytes()),
  "binary, 3 × 1 KiB, nested": event("/", undefined, "bytes", { a: bytes(), b: { c: [bytes(), bytes()] } })
}

/** The packets of one response or request of long-polling. */
export const payloads: Readonly<Record<string, ReadonlyArray<SocketPacket>>> = {
  "polling, 10 events of 50 B": Array.from({ length: 10 }, () => packets["event, 50 B"]!),
  "polling, binary, 1 KiB": [packets["binary, 1 KiB"]!]
}
