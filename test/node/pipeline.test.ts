/**
 * A connection that brings hundreds of requests at once: it takes turns with the others, and has its answers in their order.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { upgradeRequest, victim, WEBSOCKET_TARGET, wire } from "../hostile/victim.ts"
import { soon, start } from "../support/handshake.ts"
import { request } from "../support/RawClient.ts"

const get = (query: string, ...headers: ReadonlyArray<string>) =>
  [`GET /socket.io/?EIO=4&${query} HTTP/1.1`, "Host: a", ...headers, "", ""].join("\r\n")

const HANDSHAKE = get("transport=polling")

const answers = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(/HTTP\/1\.1 (\d{3})/g), ([, status]) => status!)

describe("hundreds of requests at once", () => {
  it.live("are answered, all of them and in their order, over several turns", () =>
    Effect.gen(function* () {
      const turns: Array<number> = []
      let turn = 0
      let isCounting = true
      const count = () => {
        turn++
        if (isCounting) setImmediate(count)
      }
      count()
      const { url } = yield* start({
        handshake: {
          allowRequest: ({ query }) => Effect.sync(() => (turns.push(turn), query)),
          generateId: ({ query }) => Effect.succeed(query.get("n")!)
        }
      })
      const connection = yield* wire(url)
      connection.write(Array.from({ length: 600 }, (_, n) => get(`transport=polling&n=${n}`)).join(""))
      const text = yield* Effect.promise(() => connection.until((received) => answers(received).length === 600))
      isCounting = false
      const sids = Array.from(text.matchAll(/"sid":"(\d+)"/g), ([, sid]) => Number(sid))
      assert.deepStrictEqual(
        sids,
        Array.from({ length: 600 }, (_, n) => n)
      )
      const perTurn = new Map<number, number>()
      for (const at of turns) perTurn.set(at, (perTurn.get(at) ?? 0) + 1)
      assert.isAtMost(Math.max(...perTurn.values()), 16)
    })
  )

  it.live("do not keep others from having theirs, and the connection is read on after", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      const connection = yield* wire(url)
      const refused = get("transport=pigeon")
      for (let i = 1; i <= 3; i++) {
        connection.write(refused.repeat(500))
        yield* Effect.promise(() => connection.until((received) => answers(received).length === 500 * i))
        yield* unharmed
      }
      connection.write(HANDSHAKE)
      assert.include(
        yield* Effect.promise(() => connection.until((received) => answers(received).length === 1_501)),
        '"sid"'
      )
    })
  )

  it.live("may have bodies, and wait for being told to send them", () =>
    Effect.gen(function* () {
      const { url } = yield* start({})
      const sids: Array<string> = []
      for (let i = 0; i < 30; i++) {
        const { body } = yield* Effect.promise(() => request(`${url}/socket.io/?EIO=4&transport=polling`))
        sids.push(JSON.parse(body.slice(1)).sid)
      }
      const post = (sid: string, ...headers: ReadonlyArray<string>) =>
        [
          `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1`,
          "Host: a",
          "Content-Type: text/plain",
          "Content-Length: 2",
          ...headers,
          "",
          ""
        ].join("\r\n")
      const connection = yield* wire(url)
      connection.write(
        sids
          .slice(1)
          .map((sid) => `${post(sid)}40`)
          .join("")
      )
      connection.write(post(sids[0]!, "Expect: 100-continue"))
      yield* Effect.promise(() => connection.until((received) => answers(received).length === 30))
      connection.write("40")
      const text = yield* Effect.promise(() => connection.until((received) => answers(received).length === 31))
      assert.deepStrictEqual(answers(text), [...Array<string>(29).fill("200"), "100", "200"])
    })
  )

  it.live("are not taken any more when their connection has gone", () =>
    Effect.gen(function* () {
      let asked = 0
      const { url } = yield* start({ handshake: { allowRequest: () => Effect.sync(() => asked++) } })
      const connection = yield* wire(url)
      connection.write(HANDSHAKE.repeat(600))
      yield* Effect.promise(() => connection.until(/HTTP/))
      connection.reset()
      yield* soon(
        "end of the requests",
        Effect.promise(async () => {
          for (let before = -1; before !== asked;) {
            before = asked
            for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
          }
        })
      )
      assert.isBelow(asked, 600)
    })
  )

  it.live("are no way to a WebSocket: answers would stand among its frames", () =>
    Effect.gen(function* () {
      const { unharmed, url } = yield* victim()
      const connection = yield* wire(url)
      connection.write(HANDSHAKE.repeat(100) + upgradeRequest(WEBSOCKET_TARGET))
      assert.notInclude(yield* Effect.promise(() => connection.ended), " 101 ")
      yield* unharmed
    })
  )
})
