/**
 * The Redis servers of a file of tests.
 */
import { afterAll, beforeAll } from "@effect/vitest"

import { isExhaustive } from "../support/extent.ts"
import { client, type ClientKind, isClusterKind } from "../support/redisClients.ts"
import { type RunningServers, startRedis } from "../support/redisServer.ts"

/** Runs Redis during the tests, and a Redis Cluster where all kinds of clients are tested. */
export const useRedis = () => {
  let single: RunningServers
  let cluster: RunningServers | undefined

  beforeAll(async () => {
    single = await startRedis()
    if (isExhaustive) cluster = await startRedis({ masters: 3 })
  })

  afterAll(async () => {
    await Promise.all([single.stop(), cluster?.stop()])
  })

  return {
    get single(): RunningServers {
      return single
    },
    clientOf: (kind: ClientKind) => client(kind, isClusterKind(kind) ? cluster! : single)
  }
}
