/**
 * Additions of the application to responses: headers, and the cookie with the session's id.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"

import type { CookieOptions } from "../../src/engine/EngineOptions.ts"
import type { EngineRequest } from "../../src/engine/EngineRequest.ts"
import { RequestForbidden } from "../../src/engine/HandshakeError.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import { ask, poll, raise, start } from "../support/handshake.ts"
import { engineUrl, openClient, PollingClient, request } from "../support/RawClient.ts"
import { upgrade } from "../support/RawUpgrade.ts"
import { serve } from "../support/serve.ts"
import { together } from "../support/options.ts"

type Headers = Readonly<Record<string, string | ReadonlyArray<string> | undefined>>

/** The headers of every kind of response, by what it answers. */
const everyResponse = Effect.fnUntraced(function* (url: string) {
  const all: Record<string, { readonly status: number; readonly headers: Headers }> = {}
  const add = (name: string, { headers, status }: { readonly status: number; readonly headers: Headers }) => {
    all[name] = { status, headers }
  }
  const opening = yield* poll(url)
  add("opening", opening)
  const { sid } = JSON.parse(opening.body.slice(1))
  const client = new PollingClient(url, sid, false)
  add("post", yield* Effect.promise(() => client.post("40")))
  add("poll", yield* poll(url, { sid }))
  add("upgrade", yield* ask(url, { sid }))
  add("webSocket", yield* ask(url))
  add("error", yield* poll(url, { sid: "unknown" }))
  add("refused", yield* ask(url, { sid: "unknown" }))
  add("forbidden", yield* poll(url, { stranger: "1" }))
  add("refused stranger", yield* ask(url, { stranger: "1" }))
  return all
})

const statuses = {
  opening: 200,
  post: 200,
  poll: 200,
  upgrade: 101,
  webSocket: 101,
  error: 400,
  refused: 400,
  forbidden: 403,
  "refused stranger": 400
}

/** The responses that have a header, with its value. */
const having = (responses: Effect.Success<ReturnType<typeof everyResponse>>, name: string) =>
  Object.fromEntries(
    Object.entries(responses)
      .filter(([, { headers }]) => headers[name] !== undefined)
      .map(([what, { headers }]) => [what, headers[name]])
  )

const noStrangers = ({ query }: EngineRequest) =>
  query.has("stranger") ? Effect.fail(new RequestForbidden({ message: "no strangers" })) : Effect.void

/** The option that adds headers. */
const adding = (option: "handshake.headers" | "responseHeaders", headers: () => any): NodeOptions =>
  option === "responseHeaders" ? { responseHeaders: headers } : { handshake: { headers } }

const startWith = (options: NodeOptions) => start(together({ handshake: { allowRequest: noStrangers } }, options))

describe("headers of the application", () => {
  it.live("responseHeaders sees each request of a session once, with its id and its own headers", () =>
    Effect.gen(function* () {
      const seen: Array<ReadonlyArray<string | undefined>> = []
      const { url } = yield* startWith({
        responseHeaders: (request) => {
          const { method, query } = request
          seen.push([method, query.get("transport"), query.get("sid"), request.header("authorization")])
          return {}
        }
      })
      const { body } = yield* poll(url, {}, { authorization: "1" })
      const { sid } = JSON.parse(body.slice(1))
      yield* Effect.promise(() => new PollingClient(url, sid, false).post("40"))
      yield* poll(url, { sid }, { authorization: "2" })
      yield* ask(url, { sid }, { authorization: "3" })
      assert.deepStrictEqual(seen, [
        ["GET", "polling", undefined, "1"],
        ["POST", "polling", sid, undefined],
        ["GET", "polling", sid, "2"],
        ["GET", "websocket", sid, "3"]
      ])
    })
  )

  it.live("handshake.headers stand on the response that opens a session, and on no other", () =>
    Effect.gen(function* () {
      const { url } = yield* startWith({
        handshake: {
          headers: (request) => ({
            "x-served-by": `${request.query.get("transport")} ${request.header("host")}`
          })
        }
      })
      const responses = yield* everyResponse(url)
      const host = new URL(url).host
      assert.deepStrictEqual(
        Object.fromEntries(Object.entries(responses).map(([name, { status }]) => [name, status])),
        statuses
      )
      assert.deepStrictEqual(having(responses, "x-served-by"), {
        opening: `polling ${host}`,
        webSocket: `websocket ${host}`
      })
    })
  )

  it.live("responseHeaders stand on every response", () =>
    Effect.gen(function* () {
      let count = 0
      const { url } = yield* startWith({ responseHeaders: () => ({ "X-Count": String(++count) }) })
      const counted = having(yield* everyResponse(url), "x-count")
      assert.deepStrictEqual(Object.keys(counted), Object.keys(statuses))
      // Asked once for each.
      assert.deepStrictEqual(
        Object.values(counted),
        Array.from({ length: count }, (_, i) => String(i + 1))
      )
    })
  )

  it.live("responseHeaders stand on the client's files and on the answer to a preflight request", () =>
    Effect.gen(function* () {
      const { url } = yield* startWith({ cors: { origin: "*" }, responseHeaders: () => ({ "x-app": "1" }) })
      const file = yield* Effect.promise(() => request(`${url}/socket.io/socket.io.min.js`, { method: "HEAD" }))
      assert.deepStrictEqual([file.status, file.headers["x-app"]], [200, "1"])
      const preflight = yield* Effect.promise(() =>
        request(engineUrl(url, { EIO: "4", transport: "polling" }), { method: "OPTIONS" })
      )
      assert.deepStrictEqual([preflight.status, preflight.headers["x-app"]], [204, "1"])
    })
  )

  it.live("both stand on the 101 of a WebSocket, those of the handshake over those of every response", () =>
    Effect.gen(function* () {
      const { url } = yield* startWith({
        responseHeaders: () => ({ "X-Which": "every", "x-other": "1", "set-cookie": "a=1" }),
        handshake: { headers: () => ({ "x-which": "handshake", "Set-Cookie": "b=2" }) }
      })
      for (const { headers } of [yield* ask(url), yield* poll(url)]) {
        assert.strictEqual(headers["x-which"], "handshake")
        assert.strictEqual(headers["x-other"], "1")
        assert.deepStrictEqual(headers["set-cookie"], ["a=1", "b=2"])
      }
    })
  )

  it.live("what describes the response itself stays as it is, in whichever case the application writes it", () =>
    Effect.gen(function* () {
      const headers = () => ({ "Content-Type": "x/y", "Content-Length": "1", "Cache-Control": "public", "X-App": "1" })
      const { url } = yield* startWith({ responseHeaders: headers, handshake: { headers } })
      const client = yield* Effect.promise(() => openClient("polling", url))
      yield* Effect.promise(() => client.send("40"))
      assert.match(String(yield* Effect.promise(() => client.next())), /^40\{/)
      yield* Effect.promise(() => client.close())
      const opening = yield* poll(url)
      assert.strictEqual(opening.headers["content-type"], "text/plain; charset=UTF-8")
      assert.strictEqual(opening.headers["cache-control"], "no-store")
      assert.strictEqual(opening.headers["x-app"], "1")
      const refused = yield* ask(url, { sid: "unknown" })
      assert.strictEqual(refused.body, "Session ID unknown")
      assert.deepStrictEqual(refused.all("content-type"), ["text/html"])
    })
  )

  for (const option of ["handshake.headers", "responseHeaders"] as const) {
    it.live(`${option} may come several times each, beside the cookie with the session's id`, () =>
      Effect.gen(function* () {
        const { logs, url } = yield* startWith({
          cookie: true,
          ...adding(option, () => ({
            "Set-Cookie": ["a=1", "b=2"],
            "X-Many": ["1", "2"],
            "X-One": "1",
            "X-None": []
          }))
        })
        const opening = yield* poll(url)
        assert.deepStrictEqual(opening.headers["set-cookie"]!.slice(0, 2), ["a=1", "b=2"])
        assert.match(opening.headers["set-cookie"]![2]!, /^io=/)
        const accepted = yield* ask(url)
        assert.deepStrictEqual(accepted.headers["set-cookie"], ["a=1", "b=2"])
        for (const { headers } of [opening, accepted]) {
          assert.strictEqual(headers["x-many"], "1, 2")
          assert.strictEqual(headers["x-one"], "1")
          assert.isUndefined(headers["x-none"])
        }
        const refused = yield* ask(url, { sid: "unknown" })
        assert.strictEqual(refused.headers["x-many"], option === "responseHeaders" ? "1, 2" : undefined)
        assert.deepStrictEqual(logs, [])
      })
    )
  }

  const broken: ReadonlyArray<readonly [how: string, headers: () => any, problem: RegExp]> = [
    ["throws", () => raise("no headers today"), /no headers today/],
    ["gives none", () => undefined, /Error/],
    ["gives a name that is none", () => ({ "x-good": "1", "x bad": "1" }), /"x bad" is not a valid header/],
    ["gives an empty name", () => ({ "x-good": "1", "": "1" }), /"" is not a valid header/],
    ["gives a line break", () => ({ "x-good": "1", "x-bad": "1\r\nx-evil: 1" }), /"x-bad" is not a valid header/],
    ["gives a character beyond Latin-1", () => ({ "x-bad": "\u0100" }), /"x-bad" is not a valid header/],
    ["gives no value", () => ({ "x-good": "1", "x-bad": undefined }), /"x-bad" is not a valid header/],
    [
      "gives a list with what is no value",
      () => ({ "x-good": "1", "x-bad": ["1", 2] }),
      /"x-bad" is not a valid header/
    ],
    ["gives a line break in a list", () => ({ "x-bad": ["1", "2\r\nx-evil: 1"] }), /"x-bad" is not a valid header/]
  ]
  for (const option of ["handshake.headers", "responseHeaders"] as const) {
    for (const [how, headers, problem] of broken) {
      it.live(`${option} that ${how} lose the headers only, and are logged`, () =>
        Effect.gen(function* () {
          const { logs, url } = yield* startWith({
            cors: { origin: "*" },
            cookie: true,
            ...adding(option, headers)
          })
          const opening = yield* poll(url)
          assert.strictEqual(opening.status, 200)
          assert.strictEqual(opening.headers["access-control-allow-origin"], "*")
          assert.lengthOf(opening.headers["set-cookie"] ?? [], 1)
          const accepted = yield* ask(url)
          assert.strictEqual(accepted.status, 101)
          assert.strictEqual(accepted.headers["access-control-allow-origin"], "*")
          for (const name of ["x-good", "x-bad", "x-evil"]) {
            assert.isUndefined(opening.headers[name])
            assert.isUndefined(accepted.headers[name])
          }
          assert.lengthOf(logs, 2)
          for (const line of logs) {
            assert.match(line, /^Error making headers failed /)
            assert.match(line, problem)
          }
        })
      )
    }
  }
})

describe("the cookie", () => {
  const cookieOf = Effect.fnUntraced(function* (cookie: NodeOptions["cookie"] & {}) {
    const { url } = yield* startWith({ cookie })
    const { body, headers } = yield* poll(url)
    const { sid } = JSON.parse(body.slice(1))
    return headers["set-cookie"]?.map((line) => line.replace(sid, "<sid>"))
  })

  const forms: ReadonlyArray<readonly [what: string, options: boolean | CookieOptions, lines: string | undefined]> = [
    ["is not set if it is not wanted", false, undefined],
    ["is called io by default", true, "io=<sid>; Path=/; HttpOnly; SameSite=Lax"],
    ["takes its defaults one by one", {}, "io=<sid>; Path=/; HttpOnly; SameSite=Lax"],
    [
      "takes its defaults for what is undefined",
      { name: undefined, path: undefined, httpOnly: undefined, sameSite: undefined } as unknown as CookieOptions,
      "io=<sid>; Path=/; HttpOnly; SameSite=Lax"
    ],
    ["has a name of its own", { name: "lb" }, "lb=<sid>; Path=/; HttpOnly; SameSite=Lax"],
    ["has a path", { path: "/chat" }, "io=<sid>; Path=/chat; HttpOnly; SameSite=Lax"],
    ["has no path", { path: false }, "io=<sid>; HttpOnly; SameSite=Lax"],
    ["can be read by scripts", { httpOnly: false }, "io=<sid>; Path=/; SameSite=Lax"],
    [
      "has every attribute",
      {
        name: "__Host-io",
        path: "/a",
        domain: "example.com",
        maxAge: "1 hour",
        secure: true,
        partitioned: true,
        sameSite: "none"
      },
      "__Host-io=<sid>; Max-Age=3600; Domain=example.com; Path=/a; HttpOnly; Secure; Partitioned; SameSite=None"
    ],
    ["is of this site only", { sameSite: "strict" }, "io=<sid>; Path=/; HttpOnly; SameSite=Strict"],
    ["ends at once", { maxAge: 0 }, "io=<sid>; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"]
  ]
  for (const [what, options, line] of forms) {
    it.live(what, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* cookieOf(options), line === undefined ? undefined : [line])
      })
    )
  }

  it.live("is set by the handshake over polling, and by nothing else", () =>
    Effect.gen(function* () {
      const { url } = yield* startWith({ cookie: true })
      assert.deepStrictEqual(Object.keys(having(yield* everyResponse(url), "set-cookie")), ["opening"])
    })
  )

  it.live("holds an id of the application's, whatever its characters", () =>
    Effect.gen(function* () {
      const { url } = yield* startWith({
        cookie: true,
        handshake: { generateId: () => Effect.succeed('7; Domain=evil "ä"') }
      })
      const { body, headers } = yield* poll(url)
      assert.strictEqual(JSON.parse(body.slice(1)).sid, '7; Domain=evil "ä"')
      assert.deepStrictEqual(headers["set-cookie"], [
        "io=7%3B%20Domain%3Devil%20%22%C3%A4%22; Path=/; HttpOnly; SameSite=Lax"
      ])
    })
  )

  it.live("stands beside cookies of the application", () =>
    Effect.gen(function* () {
      for (const name of ["set-cookie", "Set-Cookie"]) {
        const { url } = yield* startWith({ cookie: true, handshake: { headers: () => ({ [name]: "theirs=1" }) } })
        const { headers } = yield* poll(url)
        assert.lengthOf(headers["set-cookie"] ?? [], 2)
        assert.include(headers["set-cookie"]!, "theirs=1")
      }
    })
  )

  const wrong: ReadonlyArray<readonly [what: string, cookie: any]> = [
    ["a name with a space", { name: "i o" }],
    ["an empty name", { name: "" }],
    ["a name with a line break", { name: "io\r\n" }],
    ["a path with a semicolon", { path: "/; Secure" }],
    ["a domain with a semicolon", { domain: "example.com; Secure" }],
    ["an endless age", { maxAge: Infinity }],
    ["an age that is none", { maxAge: "soon" }],
    ["a sameSite that is none", { sameSite: "sometimes" }]
  ]
  for (const [what, cookie] of wrong) {
    it.live(`with ${what} fails the layer`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.scoped(serve(Layer.empty, { cookie })))
        assert.deepInclude(error, { _tag: "InvalidOptionError", option: "cookie" })
      })
    )
  }
})

describe("cross-origin requests", () => {
  it.live("whose origin a predicate throws at are not allowed, and harm nobody", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* serve(Layer.empty, {
        cors: { origin: [(origin) => new URL(origin).hostname === "good.example"], credentials: true }
      })
      const asked = (origin: string, method = "GET") =>
        Effect.promise(() =>
          request(engineUrl(url, { EIO: "4", transport: "polling" }), { method, headers: { origin } })
        )
      const allowed = "access-control-allow-origin"
      for (const method of ["GET", "OPTIONS"]) {
        assert.isUndefined((yield* asked("null", method)).headers[allowed])
        assert.strictEqual((yield* asked("https://good.example", method)).headers[allowed], "https://good.example")
      }
      assert.strictEqual((yield* ask(url, {}, { origin: "null" })).status, 101)
      assert.isNotEmpty(logs)
      for (const line of logs) assert.match(line, /^Error a predicate of cors\.origin.*Invalid URL/s)
    })
  )

  it.live("are not allowed by what a predicate promises", () =>
    Effect.gen(function* () {
      const origin = (async () => false) as unknown as (origin: string) => boolean
      const { url } = yield* serve(Layer.empty, { cors: { origin } })
      const response = yield* poll(url, {}, { origin: "https://evil.example" })
      assert.isUndefined(response.headers["access-control-allow-origin"])
    })
  )

  const origin = "https://example.com"
  const cors = { origin, credentials: true }

  it.live("get the headers of every hook together", () =>
    Effect.gen(function* () {
      const { url } = yield* startWith({
        cors,
        cookie: true,
        handshake: { headers: () => ({ "x-handshake": "1" }) },
        responseHeaders: () => ({ "x-response": "1" })
      })
      const { headers } = yield* poll(url, {}, { origin })
      assert.include(headers, {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        vary: "Origin",
        "x-handshake": "1",
        "x-response": "1"
      })
      assert.match(headers["set-cookie"]![0]!, /^io=/)
      const accepted = yield* Effect.promise(() => upgrade(url, {}, { origin }))
      assert.include(accepted.headers, {
        "access-control-allow-origin": origin,
        "x-handshake": "1",
        "x-response": "1"
      })
    })
  )

  it.live("that are forbidden learn so", () =>
    Effect.gen(function* () {
      const { url } = yield* startWith({ cors, responseHeaders: () => ({ "x-response": "1" }) })
      for (const { body, headers } of [
        yield* poll(url, { stranger: "1" }, { origin }),
        yield* ask(url, { stranger: "1" }, { origin })
      ]) {
        assert.include(body, "no strangers")
        assert.include(headers, { "access-control-allow-origin": origin, "x-response": "1" })
      }
    })
  )

  it.live("of other origins get nothing of it", () =>
    Effect.gen(function* () {
      const { url } = yield* startWith({ cors, responseHeaders: () => ({ "x-response": "1" }) })
      const { headers, status } = yield* poll(url, {}, { origin: "https://example.org" })
      assert.strictEqual(status, 200)
      assert.isUndefined(headers["access-control-allow-origin"])
      assert.include(headers, { vary: "Origin", "x-response": "1" })
    })
  )
})
