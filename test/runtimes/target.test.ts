/**
 * The suites that run on another runtime do run there: the server says what it runs on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { runtime, sharedServer } from "../support/servers.ts"
import { call, connect } from "../support/serve.ts"

const server = sharedServer()

const expected: Record<string, RegExp> = {
  node22: /^node 22\./,
  node24: /^node 24\./,
  node26: /^node 26\./,
  bun: /^bun 1\./,
  deno: /^deno 2\./,
  "node-on-bun": /^bun 1\./,
  "node-on-deno": /^deno 2\./
}

describe("the server of a run on another runtime", () => {
  it.live("is that runtime, in another process", () =>
    Effect.gen(function* () {
      const { url } = yield* Effect.promise(server)
      const socket = yield* connect(url)
      assert.match(yield* call(socket, "runtime"), expected[runtime!]!)
      assert.notStrictEqual(yield* call(socket, "process"), process.pid)
    })
  )
})
