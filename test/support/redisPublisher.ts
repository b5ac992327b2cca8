/**
 * Publishers of tests: what they drop is counted, and what they publish is numbered and heard.
 */
import { Effect, type Scope } from "effect"

import type { DropReason } from "../../src/adapter/ClusterStatus.ts"
import * as Publisher from "../../src/redis/internal/publisher.ts"
import type * as RedisClient from "../../src/redis/RedisClient.ts"
import { wait } from "./redisClients.ts"

type Service = RedisClient.RedisClient["Service"]

export interface Counted {
  readonly publisher: Publisher.Publisher
  readonly dropped: Record<DropReason, number>
}

export const counted = (
  service: Service,
  options?: Publisher.PublisherOptions
): Effect.Effect<Counted, never, Scope.Scope> =>
  Effect.gen(function* () {
    const dropped: Record<DropReason, number> = { overflow: 0, expired: 0, failed: 0 }
    const monitor = { dropped: (n: number, reason: DropReason) => void (dropped[reason] += n) }
    return { dropped, publisher: yield* Publisher.make(service, monitor, options) }
  })

/** The numbers that come on a channel. */
export const numbers = (service: Service, channel: string, isSharded = false): Effect.Effect<Array<number>> =>
  Effect.gen(function* () {
    const heard: Array<number> = []
    const subscription = service.subscribe(isSharded ? "sharded" : "channel", channel, {
      onMessage: (_, message) => void heard.push(Number(Buffer.from(message).toString()))
    })
    yield* wait("a subscription", () => subscription.isConfirmed())
    return heard
  })

/** Whether the numbers grow: some may be missing, none comes late or twice. */
export const isRising = (heard: ReadonlyArray<number>): boolean =>
  heard.every((n, at) => at === 0 || n > heard[at - 1]!)
