/**
 * The format of `createShardedAdapter` of `@socket.io/redis-adapter`.
 */
import type { Received } from "../../adapter/Received.ts"
import type { Body, PubSubWire, WireOptions } from "./wire.ts"

/**
 * Which rooms have channels of their own. All servers must have the same mode.
 *
 * - `static`: none.
 * - `dynamic`: all but those of socket ids.
 * - `dynamic-private`: all.
 */
export type SubscriptionMode = "static" | "dynamic" | "dynamic-private"

export interface ShardedWire extends PubSubWire {
  /** What all servers hear. */
  readonly common: string
  /** Answers to this server. */
  readonly own: string
  readonly roomChannel: (room: string) => string
  /** Whether a server that has members of the room subscribes to its channel. */
  readonly subscribesTo: (room: string, isSocketId: boolean) => boolean
  readonly decode: (body: Body) => Received
}

export const make = (_options: WireOptions & { readonly mode: SubscriptionMode }): ShardedWire => {
  throw new Error("not yet")
}
