/**
 * Requests that open sessions, many at once, on servers with the fetch API: which of them share a connection is not known there.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as EngineServer from "../../src/engine/EngineServer.ts"
import * as Openings from "../../src/internal/openings.ts"
import * as WebEngine from "../../src/web/WebEngine.ts"

const INFO = { address: "192.0.2.1", secure: false }

const URL = "http://a/socket.io/?EIO=4&transport=polling"

const makeHandler = Effect.gen(function* () {
  let asked = 0
  const engine = yield* EngineServer.run(
    { drainTimeout: 0, handshake: { allowRequest: () => Effect.sync(() => void asked++) } },
    () => Effect.never
  )
  const handler = yield* WebEngine.makeHandler(engine)
  return { handler, asked: () => asked }
})

/** Openings that come before all others, until the test is over. */
const crowd = (count: number) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      Array.from({ length: count }, () => Openings.take({ destroyed: false }, () => {})).filter(
        (opening) => opening !== undefined
      )
    ),
    (openings) => Effect.sync(() => openings.forEach(Openings.forget))
  )

describe("requests that wait for their turn", () => {
  it.live("are answered and forgotten when their client disconnects", () =>
    Effect.gen(function* () {
      const { asked, handler } = yield* makeHandler
      yield* crowd(5_000)
      const before = Openings.size()
      const abort = new AbortController()
      const answers = Array.from({ length: 100 }, () => handler(new Request(URL, { signal: abort.signal }), INFO))
      assert.strictEqual(Openings.size(), before + 100)
      abort.abort()
      assert.strictEqual(Openings.size(), before)
      const responses = yield* Effect.promise(() => Promise.all(answers))
      assert.deepStrictEqual(new Set(responses.map(({ status }) => status)), new Set([400]))
      assert.strictEqual(asked(), 0)
    })
  )

  it.live("are 10,000 at most: more are refused for now, and let in when there is room", () =>
    Effect.gen(function* () {
      const { handler } = yield* makeHandler
      const openings = yield* crowd(10_100)
      const refused = yield* Effect.promise(async () => handler(new Request(URL), INFO))
      assert.strictEqual(refused.status, 503)
      assert.strictEqual(refused.headers.get("retry-after"), "5")
      openings.forEach(Openings.forget)
      const opened = yield* Effect.promise(async () => handler(new Request(URL), INFO))
      assert.strictEqual(opened.status, 200)
    })
  )
})
