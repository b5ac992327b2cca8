/**
 * Which origins' pages may use the server, over every transport.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"

import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import { PollingClient, request } from "../support/RawClient.ts"
import { connect, refusal, serve } from "../support/serve.ts"
import { ask, poll, sessionCount, start } from "../support/handshake.ts"

const GOOD = "https://good.example"
const EVIL = "https://evil.example"
const refusedBody = '{"code":4,"message":"Origin not allowed"}'

/** The statuses with which an origin's requests are answered, over polling, JSONP and WebSocket. */
const statuses = (url: string, headers: Record<string, string>) =>
  Effect.gen(function* () {
    const polling = yield* poll(url, {}, headers)
    const script = yield* poll(url, { j: "0" }, headers)
    const webSocket = yield* ask(url, {}, headers)
    return [polling.status, script.status, webSocket.status]
  })

describe("an origin that is not allowed", () => {
  it.live("is refused over every transport with code 4 and status 403, before anything is done", () =>
    Effect.gen(function* () {
      let asked = 0
      const serving = yield* start({
        allowedOrigins: GOOD,
        handshake: { allowRequest: () => Effect.sync(() => asked++) }
      })
      const { body, status } = yield* poll(serving.url, {}, { origin: EVIL })
      assert.deepStrictEqual([status, body], [403, refusedBody])
      const upgrade = yield* ask(serving.url, {}, { origin: EVIL })
      assert.deepStrictEqual([upgrade.status, upgrade.body], [403, "Origin not allowed"])
      assert.deepStrictEqual(yield* statuses(serving.url, { origin: EVIL }), [403, 403, 403])
      assert.deepStrictEqual([asked, sessionCount(serving)], [0, 0])
      assert.deepStrictEqual(yield* statuses(serving.url, { origin: GOOD }), [200, 200, 101])
    })
  )

  it.live("cannot take part in a session that it knows the id of", () =>
    Effect.gen(function* () {
      const { url } = yield* start({ allowedOrigins: [GOOD] })
      const sid = yield* Effect.promise(() => PollingClient.handshake(url))
      const post = (origin: string) =>
        Effect.promise(() =>
          request(`${url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, {
            method: "POST",
            body: "40",
            headers: { origin, "content-type": "text/plain" }
          })
        )
      assert.strictEqual((yield* poll(url, { sid }, { origin: EVIL })).status, 403)
      assert.strictEqual((yield* ask(url, { sid }, { origin: EVIL })).status, 403)
      assert.strictEqual((yield* post(EVIL)).status, 403)
      assert.strictEqual((yield* post(GOOD)).status, 200)
    })
  )

  it.live("is what official clients are refused for, and let in without", () =>
    Effect.gen(function* () {
      const { url } = yield* start({ allowedOrigins: GOOD })
      for (const transport of ["polling", "websocket"]) {
        const options = { transports: [transport], forceNew: true }
        const error = yield* refusal(url, { ...options, extraHeaders: { origin: EVIL } })
        assert.match(error.message, transport === "polling" ? /xhr poll error/ : /websocket error/)
        assert.isTrue((yield* connect(url, { ...options, extraHeaders: { origin: GOOD } })).connected)
        assert.isTrue((yield* connect(url, options)).connected)
      }
    })
  )

  it.live("is every one but those that are named, patterned or told", () =>
    Effect.gen(function* () {
      const thrown = "https://throws.example"
      const { logs, url } = yield* serve(Layer.empty, {
        drainTimeout: "50 millis",
        allowedOrigins: [
          GOOD,
          "HTTPS://Port.Example:443/".slice(0, -1),
          "capacitor://localhost",
          "null",
          /^https:\/\/\w+\.pattern\.example$/,
          (origin) => {
            if (origin === thrown) throw new Error("boom")
            return origin === "https://told.example"
          }
        ]
      })
      const allows = (origin: string) => Effect.map(poll(url, {}, { origin }), ({ status }) => status === 200)
      const good = [
        GOOD,
        "https://GOOD.example:443",
        "https://port.example",
        "capacitor://localhost",
        "null",
        "https://a.pattern.example",
        "https://told.example"
      ]
      const bad = [
        EVIL,
        "http://good.example",
        "https://good.example:8443",
        "https://good.example/path",
        "https://user@good.example",
        "https://good.example.evil.example",
        "https://a.pattern.example.evil.example",
        "capacitor://other",
        "nonsense",
        "",
        thrown
      ]
      for (const origin of good) assert.isTrue(yield* allows(origin), origin)
      for (const origin of bad) assert.isFalse(yield* allows(origin), origin)
      // Patterns keep nothing of what they matched.
      for (let i = 0; i < 3; i++) assert.isTrue(yield* allows("https://a.pattern.example"))
      assert.strictEqual(logs.filter((line) => line.startsWith("Error")).length, 1)
    })
  )
})

describe("a request without an origin", () => {
  const cases: ReadonlyArray<
    readonly [what: string, headers: Record<string, string>, query: Record<string, string>, status: number]
  > = [
    ["of a program", {}, {}, 200],
    ["of a page of the server's own", { "sec-fetch-site": "same-origin" }, {}, 200],
    ["that a user has typed", { "sec-fetch-site": "none" }, {}, 200],
    ["for a script, of an old browser that does not say more", {}, { j: "0" }, 200],
    ["for a script, of an old browser on a page that is allowed", { referer: `${GOOD}/page` }, { j: "0" }, 200],
    ["for a script, of an old browser on another page", { referer: `${EVIL}/page` }, { j: "0" }, 403],
    ["for a script, of another site", { "sec-fetch-site": "cross-site", referer: `${EVIL}/` }, { j: "0" }, 403],
    ["for a script, of another site that keeps its name secret", { "sec-fetch-site": "cross-site" }, { j: "0" }, 403],
    [
      "for a script, of a neighbour",
      { "sec-fetch-site": "same-site", referer: "https://b.good.example/" },
      { j: "0" },
      403
    ],
    [
      "for a script, of a page that is allowed",
      { "sec-fetch-site": "cross-site", referer: `${GOOD}/a` },
      { j: "0" },
      200
    ],
    ["as of an image on another site", { "sec-fetch-site": "cross-site", referer: `${EVIL}/` }, {}, 403]
  ]
  for (const [what, headers, query, status] of cases) {
    it.live(`is ${status === 200 ? "allowed" : "refused"}: ${what}`, () =>
      Effect.gen(function* () {
        const { url } = yield* start({ allowedOrigins: GOOD })
        assert.strictEqual((yield* poll(url, query, headers)).status, status)
      })
    )
  }
})

describe("every origin is allowed", () => {
  for (const [how, options] of [
    ["by default", {}],
    ["with *", { allowedOrigins: "*" }]
  ] as ReadonlyArray<readonly [string, NodeOptions]>) {
    it.live(how, () =>
      Effect.gen(function* () {
        const { url } = yield* start(options)
        assert.deepStrictEqual(yield* statuses(url, { origin: EVIL }), [200, 200, 101])
      })
    )
  }
})
