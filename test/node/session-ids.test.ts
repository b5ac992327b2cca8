/**
 * The hook that makes the ids of sessions.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"

import type { EngineRequest } from "../../src/engine/EngineRequest.ts"
import { RequestForbidden } from "../../src/engine/HandshakeError.ts"
import { ask, poll, raise, sessionCount, soon, start } from "../support/handshake.ts"
import { engineUrl, openClient, PollingClient, request, transports, within } from "../support/RawClient.ts"
import { startUpgrade } from "../support/RawUpgrade.ts"
import { call, connect } from "../support/serve.ts"
import type { HandshakeOptions } from "../../src/engine/EngineOptions.ts"

describe("generateId", () => {
  for (const how of ["at once", "later"]) {
    const pause = how === "later" ? Effect.sleep("20 millis") : Effect.void

    it.live(`makes the session's id over every transport, ${how}`, () =>
      Effect.gen(function* () {
        let count = 0
        const generateId = ({ query }: EngineRequest) => Effect.as(pause, `${query.get("transport")} & "${++count}"`)
        const { url } = yield* start({ handshake: { generateId } })
        for (const [i, transport] of transports.entries()) {
          const client = yield* Effect.promise(() => openClient(transport, url))
          assert.strictEqual(client.sid, `${transport} & "${i + 1}"`)
          yield* Effect.promise(() => client.send("40"))
          assert.match(String(yield* Effect.promise(() => client.next())), /^40\{"sid":"[\w-]{20}"\}$/)
          yield* Effect.promise(() => client.close())
        }
      })
    )
  }

  it.live("works for official clients, across the upgrade, and sees the request", () =>
    Effect.gen(function* () {
      const { url } = yield* start({
        handshake: { generateId: ({ query }) => Effect.succeed(`session-${query.get("user")}`) }
      })
      const socket = yield* connect(url, { query: { user: "7" } })
      assert.strictEqual(socket.io.engine.id, "session-7")
      if (socket.io.engine.transport.name === "polling") {
        yield* Effect.promise(() =>
          within("upgrade", new Promise((resolve) => socket.io.engine.once("upgrade", resolve)))
        )
      }
      assert.deepStrictEqual(yield* call(socket, "echo", "over the WebSocket"), ["over the WebSocket"])
    })
  )

  it.live("is asked behind allowRequest, and once per session", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const { url } = yield* start({
        handshake: {
          allowRequest: ({ query }) => {
            asked.push("allowRequest")
            return query.has("stranger")
              ? Effect.fail(new RequestForbidden({ message: "no" }))
              : Effect.sleep("1 millis")
          },
          generateId: () => Effect.sync(() => `id${asked.push("generateId")}`)
        }
      })
      const { body } = yield* poll(url)
      const { sid } = JSON.parse(body.slice(1))
      assert.strictEqual(sid, "id2")
      yield* Effect.promise(() => new PollingClient(url, sid, false).post("40"))
      assert.match((yield* poll(url, { sid })).body, /^40/)
      assert.strictEqual((yield* poll(url, { stranger: "1" })).status, 403)
      assert.deepStrictEqual(asked, ["allowRequest", "generateId", "allowRequest"])
    })
  )

  const wrong: ReadonlyArray<
    readonly [what: string, generateId: NonNullable<HandshakeOptions["generateId"]>, logged: boolean]
  > = [
    ["an empty id", () => Effect.succeed(""), false],
    ["no id", () => Effect.succeed(undefined as unknown as string), false],
    ["a defect", () => Effect.die(new Error("no more numbers")), true],
    ["a defect later", () => Effect.andThen(Effect.sleep("1 millis"), Effect.die(new Error("no more numbers"))), true],
    ["an exception", () => raise("no more numbers"), true],
    ["a failure", () => Effect.fail(new Error("no more numbers")) as unknown as Effect.Effect<string>, true]
  ]
  for (const [what, generateId, logged] of wrong) {
    it.live(`that gives ${what} refuses the request with code 3`, () =>
      Effect.gen(function* () {
        const serving = yield* start({ handshake: { generateId } })
        const { body, status } = yield* poll(serving.url)
        assert.deepStrictEqual([status, body], [400, '{"code":3,"message":"Bad request"}'])
        const refused = yield* ask(serving.url)
        assert.deepStrictEqual([refused.status, refused.body], [400, "Bad request"])
        assert.strictEqual(sessionCount(serving), 0)
        assert.lengthOf(serving.logs, logged ? 2 : 0)
        for (const line of serving.logs) assert.match(line, /^Error generateId failed .*no more numbers/)
      })
    )
  }

  for (const transport of transports) {
    it.live(`that gives an id in use refuses the request with code 3, and leaves the ${transport} session alone`, () =>
      Effect.gen(function* () {
        const serving = yield* start({ handshake: { generateId: () => Effect.as(Effect.yieldNow, "the only one") } })
        const client = yield* Effect.promise(() => openClient(transport, serving.url))
        yield* Effect.promise(() => client.send("40"))
        yield* Effect.promise(() => client.next())
        const { body, status } = yield* poll(serving.url)
        assert.deepStrictEqual([status, body], [400, '{"code":3,"message":"Bad request"}'])
        const refused = yield* ask(serving.url)
        assert.deepStrictEqual([refused.status, refused.body], [400, "Bad request"])
        yield* Effect.promise(() => client.send('421["echo","still here"]'))
        assert.strictEqual(yield* Effect.promise(() => client.next()), '431[["still here"]]')
        assert.strictEqual(sessionCount(serving), 1)
        // The id is free again when its session has gone.
        yield* Effect.promise(() => client.close())
        yield* Effect.promise(() => client.closed.catch(() => {}))
        assert.strictEqual((yield* ask(serving.url)).status, 101)
      })
    )
  }

  it.live("that gives one id to several requests at the same time opens one session", () =>
    Effect.gen(function* () {
      const waiting: Array<Deferred.Deferred<void>> = []
      const all = yield* Deferred.make<void>()
      const serving = yield* start({
        handshake: {
          generateId: () =>
            Effect.gen(function* () {
              const turn = yield* Deferred.make<void>()
              if (waiting.push(turn) === 4) yield* Deferred.succeed(all, undefined)
              yield* Deferred.await(turn)
              return "the only one"
            })
        }
      })
      const responses = [
        ...[1, 2].map(() => request(engineUrl(serving.url, { EIO: "4", transport: "polling" }))),
        ...[1, 2].map(() => startUpgrade(serving.url).response)
      ]
      yield* soon("questions", Deferred.await(all))
      for (const turn of waiting) yield* Deferred.succeed(turn, undefined)
      const statuses = (yield* Effect.promise(() => Promise.all<{ readonly status: number }>(responses))).map(
        ({ status }) => status
      )
      assert.lengthOf(
        statuses.filter((status) => status === 400),
        3
      )
      assert.strictEqual(sessionCount(serving), 1)
    })
  )
})
