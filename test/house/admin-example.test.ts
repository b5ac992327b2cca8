/**
 * The example of the Admin UI, run as its comment says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { runExample } from "../support/examples.ts"
import { request } from "../support/RawClient.ts"
import { client, connect, next, refusal } from "../support/serve.ts"

const example = (env: Record<string, string> = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => runExample("admin.ts", env)),
    (running) => Effect.promise(() => running.stop())
  )

const ask = (url: string) => Effect.promise(() => request(url))

describe("the example of the Admin UI", () => {
  it.live("serves the page, lets its administrator in, shows a client and disconnects it", () =>
    Effect.gen(function* () {
      const { url } = yield* example({ ADMIN_PASSWORD: "a long passphrase" })
      assert.include((yield* ask(`${url}/socket.io-admin/`)).body, "Socket.IO Admin UI")
      assert.strictEqual((yield* ask(`${url}/livez`)).body, "alive")
      assert.strictEqual((yield* ask(`${url}/readyz`)).body, "ready")
      const auth = { username: "admin", password: "a long passphrase" }
      const error = yield* refusal(`${url}/admin`, { auth: { ...auth, password: "guess" } })
      assert.strictEqual(error.message, "invalid credentials")
      const socket = yield* connect(url)
      const page = yield* client(`${url}/admin`, { auth })
      const [shown, told] = [next(page, "all_sockets"), next(page, "event_received")]
      page.connect()
      const [sockets] = yield* shown
      assert.deepInclude(
        sockets.map(({ id, nsp, rooms }: any) => ({ id, nsp, rooms })),
        { id: socket.id, nsp: "/", rooms: [socket.id, "lobby"] }
      )
      socket.emit("say", "hello")
      assert.deepStrictEqual((yield* told).slice(0, 3), ["/", socket.id, ["say", "hello"]])
      const left = next(socket, "disconnect")
      page.emit("_disconnect", "/", false, socket.id)
      assert.deepStrictEqual((yield* left)[0], "io server disconnect")
    })
  )

  it.live("makes up a password, and logs it", () =>
    Effect.gen(function* () {
      const { output, url } = yield* example()
      const [, password] = /with the password (\S+)/.exec(output())!
      yield* connect(`${url}/admin`, { auth: { username: "admin", password } })
    })
  )
})
