/**
 * The reasons for which a socket was not recovered. The test is the server.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

import { accept, connected, run, settle } from "./rawServer.ts"

describe("a server that does not recover a socket", () => {
  for (const reason of ["expired", "unknown", "trimmed", "overflow", "refused", "epoch", "of the future"]) {
    it.effect(`says why: ${reason}`, () =>
      run(
        Effect.gen(function* () {
          const { connection, socket, statuses } = yield* connected({ pid: "p" })
          yield* connection.close
          yield* TestClock.adjust("2 seconds")
          const again = yield* accept
          assert.strictEqual(yield* again.receive, '40/chat,{"pid":"p"}')
          yield* again.send(`40/chat,{"sid":"b","pid":"q","fx":{"recovered":{"reason":"${reason}"}}}`)
          yield* settle
          assert.deepStrictEqual(statuses.at(-1), {
            _tag: "Connected",
            id: "b",
            recovered: false,
            recovery: { reason }
          })
          assert.isFalse(socket.recovered)
        })
      )
    )
  }

  for (const fx of [null, 1, {}, { recovered: null }, { recovered: {} }, { recovered: { reason: 7 } }]) {
    it.effect(`may say anything else: ${JSON.stringify(fx)}`, () =>
      run(
        Effect.gen(function* () {
          const { connection, statuses } = yield* connected()
          yield* connection.close
          yield* TestClock.adjust("2 seconds")
          const again = yield* accept
          yield* again.receive
          yield* again.send(`40/chat,${JSON.stringify({ sid: "b", fx })}`)
          yield* settle
          assert.deepStrictEqual(statuses.at(-1), { _tag: "Connected", id: "b", recovered: false })
        })
      )
    )
  }
})
