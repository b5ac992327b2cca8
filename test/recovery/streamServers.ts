/**
 * Servers of this library in clusters over Redis Streams, and clients that come back to any of them.
 */
import { Effect, Layer, type Scope } from "effect"
import { createClient } from "redis"

import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import type { RunningServers } from "../support/redisServer.ts"
import { type CutClient, eventually, startClient } from "./clients.ts"
import { startSubject, type Subject, type SubjectOptions } from "./servers.ts"

export interface StreamServersOptions extends Omit<SubjectOptions, "adapter"> {
  readonly maxMessageBytes?: number
  /** The client of Redis. Default: that of the package `redis`. */
  readonly redisClient?: Effect.Effect<RedisClient.RedisClient["Service"], never, Scope.Scope>
}

export const numbersOf = ({ heard }: CutClient): ReadonlyArray<unknown> => heard.map(([, n]) => n)

export const withoutMarks = (client: CutClient): ReadonlyArray<unknown> =>
  numbersOf(client).filter((n) => !String(n).startsWith("mark"))

/** Connects a client again, to a server. */
export const backTo = (client: CutClient, server: { readonly port: number }): Promise<boolean> =>
  client.back(() => {
    client.relay.target = server.port
  })

/** The servers of a file of tests, over one Redis. */
export class StreamServers {
  readonly redis: RunningServers
  private readonly endings: Array<() => unknown> = []
  private marks = 0

  constructor(redis: RunningServers) {
    this.redis = redis
  }

  command(...args: ReadonlyArray<string>): Promise<string> {
    return this.redis.server.command(...args)
  }

  /** Servers in a cluster of their own. */
  async start(
    streamName: string,
    count: number,
    { maxMessageBytes, redisClient, ...options }: StreamServersOptions = {}
  ): Promise<[Subject, Subject, ...Array<Subject>]> {
    const made = redisClient ?? RedisClient.fromNodeRedis(createClient({ url: this.redis.url }))
    const client = Layer.effect(RedisClient.RedisClient, made)
    const adapter = Layer.provide(
      RedisStreamsAdapter.layer({ streamName, ...(maxMessageBytes && { maxMessageBytes }) }),
      client
    )
    const servers: Array<Subject> = []
    for (let i = 0; i < count; i++) {
      const server = await startSubject("ours", { ...options, adapter })
      servers.push(server)
      this.endings.push(() => server.stop())
    }
    return servers as [Subject, Subject, ...Array<Subject>]
  }

  async connect(server: { readonly port: number }, rooms: ReadonlyArray<string> = []): Promise<CutClient> {
    const client = await startClient("official", server.port, { rooms })
    this.endings.push(() => client.end())
    return client
  }

  /** Earlier events have come: the client that tells must be connected. */
  async settle(server: Subject, witness: CutClient): Promise<void> {
    const mark = `mark ${++this.marks}`
    await server.emit({ to: [witness.id!] }, "mark", mark)
    await eventually("a mark", () => numbersOf(witness).includes(mark))
  }

  async stop(): Promise<void> {
    for (const end of this.endings.splice(0).toReversed()) await end()
    await this.redis.stop()
  }
}
