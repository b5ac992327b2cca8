import type { Socket } from "node:net"
import type { Duplex } from "node:stream"

import { setTimeout } from "../../../internal/turn.ts"
import { readOffHeap } from "../offHeap.ts"
import { discard } from "../unwanted.ts"

/** The time for a peer to read the last bytes after the other one has closed, in milliseconds. */
const LINGER = 30_000

/** Two connections that are joined. */
export interface Pipe {
  /** Cuts both. */
  readonly destroy: () => void
}

const onRead = (chunk: Buffer): void => readOffHeap(chunk.length)

/** Gives a connection the rest of its time after the other one has closed. */
const finish = (other: Duplex, isTrusted: boolean) => {
  if (other.destroyed) return
  other.end()
  discard(other, isTrusted)
  other.resume()
  const timer = setTimeout(() => other.destroy(), LINGER)
  other.once("close", () => clearTimeout(timer))
}

/**
 * Joins a client's connection and one with the owner of its session. Each is read only as fast as
 * the other one takes the bytes. When one has closed, the other gets the bytes before that, and its
 * end.
 */
export const join = (client: Duplex, owner: Socket): Pipe => {
  client.once("close", () => finish(owner, true))
  owner.once("close", () => finish(client, false))
  client.on("data", onRead).pipe(owner)
  owner.on("data", onRead).pipe(client)
  return {
    destroy: () => {
      client.destroy()
      owner.destroy()
    }
  }
}
