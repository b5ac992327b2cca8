/**
 * The examples, run as their comments say. The chat has tests of its own, in a browser.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { runExample } from "../support/examples.ts"
import { request } from "../support/RawClient.ts"
import { connect, next } from "../support/serve.ts"

const example = (name: string) =>
  Effect.acquireRelease(
    Effect.promise(() => runExample(name)),
    (running) => Effect.promise(() => running.stop())
  )

describe("the examples", () => {
  it.live("echo-server sends back what it gets, logs who comes and goes, and ends with Ctrl-C", () =>
    Effect.gen(function* () {
      const running = yield* Effect.promise(() => runExample("echo-server.ts"))
      const socket = yield* connect(running.url)
      const echo = next(socket, "echo")
      socket.emit("echo", "hello", Buffer.from([1]))
      assert.deepStrictEqual(yield* echo, ["hello", Buffer.from([1])])
      yield* Effect.promise(() => running.printed(/connected from .* over /))
      assert.include(running.output(), socket.id!)
      socket.disconnect()
      yield* Effect.promise(() => running.printed(/disconnected: client namespace disconnect/))
      assert.strictEqual(yield* Effect.promise(() => running.stop()), 130)
    })
  )

  it.live("with-http-router tells everybody what was posted", () =>
    Effect.gen(function* () {
      const running = yield* example("with-http-router.ts")
      const socket = yield* connect(`${running.url}/news`)
      const announcement = next(socket, "announcement")
      const post = (body: string) =>
        Effect.promise(() =>
          request(`${running.url}/announcements`, {
            method: "POST",
            body,
            headers: { "content-type": "application/json" }
          })
        )
      const response = yield* post('{"text":"hello"}')
      assert.deepStrictEqual(JSON.parse(response.body), { reached: 1 })
      assert.deepStrictEqual(yield* announcement, [{ text: "hello" }])
      assert.strictEqual((yield* post('{"text":1}')).status, 400)
    })
  )

  for (const name of ["express.ts", "koa.ts"]) {
    it.live(`${name} answers its own requests beside Socket.IO's, and ends with Ctrl-C`, () =>
      Effect.gen(function* () {
        const running = yield* Effect.promise(() => runExample(name))
        const socket = yield* connect(running.url)
        const echo = next(socket, "echo")
        socket.emit("echo", 1)
        assert.deepStrictEqual(yield* echo, [1])
        const online = yield* Effect.promise(() => request(`${running.url}/online`))
        assert.deepStrictEqual(JSON.parse(online.body), { online: 1 })
        assert.strictEqual((yield* Effect.promise(() => request(`${running.url}/missing`))).status, 404)
        const polling = yield* connect(running.url, { transports: ["polling"] })
        const gone = [next(socket, "disconnect"), next(polling, "disconnect")]
        assert.strictEqual(yield* Effect.promise(() => running.stop()), 130)
        for (const reason of gone) assert.strictEqual((yield* reason)[0], "transport close")
      })
    )
  }
})
