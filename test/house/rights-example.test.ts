/**
 * The example with rights that end, run as its comment says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { io } from "socket.io-client"

import { runExample } from "../support/examples.ts"
import { eventually } from "../support/official.ts"
import { call } from "../support/serve.ts"

/** The example, and a client of it. */
const running = (env: Record<string, string> = {}) =>
  Effect.gen(function* () {
    const { url } = yield* Effect.acquireRelease(
      Effect.promise(() => runExample("rights-that-end.ts", env)),
      (example) => Effect.promise(() => example.stop())
    )
    const fetchToken = async (sections = "sports,politics") => {
      const response = await fetch(`${url}/token?user=Ada&sections=${sections}`, { method: "POST" })
      assert.strictEqual(response.status, 200)
      return response.text()
    }
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() =>
        io(`${url}/newsroom`, {
          forceNew: true,
          reconnectionDelay: 10,
          auth: (give) => void fetchToken().then((token) => give({ token }))
        })
      ),
      (socket) => Effect.sync(() => socket.disconnect())
    )
    const seen: Array<string> = []
    socket.on("connect", () => seen.push(socket.recovered ? "recovered" : "connect"))
    socket.on("auth:expiring", () => seen.push("expiring"))
    socket.on("disconnect", (reason) => seen.push(reason))
    const news: Array<string> = []
    socket.on("news", ({ section }: { readonly section: string }) => news.push(section))
    return { socket, fetchToken, seen, news }
  })

describe("rights-that-end", () => {
  it.live("takes a section away with the token that is for the other one", () =>
    Effect.gen(function* () {
      const { fetchToken, news, seen, socket } = yield* running()
      yield* eventually(() => news.includes("sports") && news.includes("politics"))
      const token = yield* Effect.promise(() => fetchToken("sports"))
      assert.strictEqual(((yield* call(socket, "auth", { token })) as { readonly _tag: string })._tag, "Success")
      news.length = 0
      yield* eventually(() => news.length === 4)
      assert.deepStrictEqual(news, ["sports", "sports", "sports", "sports"])
      assert.deepStrictEqual(yield* call(socket, "sections"), ["sports"])
      assert.deepStrictEqual(seen, ["connect"])
    }).pipe(Effect.scoped)
  )

  it.live("tells of the end, and the client comes back after it with another token", () =>
    Effect.gen(function* () {
      const { seen, socket } = yield* running({ LIFETIME: "2 seconds" })
      yield* eventually(() => seen.length >= 4)
      assert.deepStrictEqual(seen.slice(0, 4), ["connect", "expiring", "transport close", "recovered"])
      assert.deepStrictEqual(yield* call(socket, "sections"), ["sports", "politics"])
    }).pipe(Effect.scoped)
  )
})
