/**
 * The example with sessions in a cookie, run as its comment says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { runExample } from "../support/examples.ts"
import { request } from "../support/RawClient.ts"
import { call, connect, next, refusal } from "../support/serve.ts"

const running = (env: Record<string, string> = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => runExample("cookies-and-jwt.ts", env)),
    (example) => Effect.promise(() => example.stop())
  )

const login = (url: string) =>
  Effect.promise(async () => {
    const { headers, status } = await request(`${url}/login`, {
      method: "POST",
      body: '{"name":"Ada"}',
      headers: { "content-type": "application/json" }
    })
    assert.strictEqual(status, 204)
    const [cookie] = headers["set-cookie"]!
    assert.match(cookie!, /^session=[\w.-]+; .*HttpOnly/)
    return cookie!.split(";")[0]!
  })

describe("cookies-and-jwt", () => {
  it.live("lets in who has a cookie or a token, from pages of known origins, and nobody else", () =>
    Effect.gen(function* () {
      const { url } = yield* running()
      const cookie = yield* login(url)
      const account = `${url}/account`
      for (const transports of [["websocket"], ["polling"]] as const) {
        const from = (headers: Record<string, string>) => ({ extraHeaders: headers, transports: [...transports] })
        const page = yield* connect(account, from({ cookie, origin: "http://localhost:8080" }))
        assert.strictEqual(yield* call(page, "whoami"), "Ada")
        const program = yield* connect(account, { auth: { token: cookie.slice("session=".length) } })
        assert.strictEqual(yield* call(program, "whoami"), "Ada")

        // A page of another origin, with the cookie that the browser adds.
        const stranger = yield* refusal(account, from({ cookie, origin: "http://localhost.evil.example" }))
        assert.match(stranger.message, /websocket error|xhr poll error/)
        const [header, claims, signature] = cookie.split(".")
        const forged = `${header}.${Buffer.from('{"sub":"Eve","exp":9999999999}').toString("base64url")}`
        const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url")
        for (const guess of [
          "",
          "session=",
          `${cookie}a`,
          `${forged}.${signature}`,
          `${forged}.`,
          `session=${none}.${claims}.`
        ]) {
          const refused = yield* refusal(account, from({ cookie: guess }))
          assert.deepStrictEqual([refused.message, refused.data], ["not signed in", { code: 401 }], guess)
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("ends a socket with its session", () =>
    Effect.gen(function* () {
      const { url } = yield* running({ SESSION: "3 seconds" })
      const extraHeaders = { cookie: yield* login(url) }
      const socket = yield* connect(`${url}/account`, { extraHeaders })
      assert.strictEqual((yield* next(socket, "disconnect"))[0], "io server disconnect")
      assert.strictEqual((yield* refusal(`${url}/account`, { extraHeaders })).message, "the session has ended")
    }).pipe(Effect.scoped)
  )
})
