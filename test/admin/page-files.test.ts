/**
 * The files of the page, and the options.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"

import * as Admin from "../../src/admin/Admin.ts"
import type { AdminOptions } from "../../src/admin/AdminOptions.ts"
import { makeUiFiles } from "../../src/admin/internal/uiFiles.ts"
import type { HttpExchange } from "../../src/engine/EngineRequest.ts"
import { request, type RequestOptions } from "../support/RawClient.ts"
import { open, serve } from "../support/serve.ts"
import { filesBelow, read } from "../support/sources.ts"

const dist = "node_modules/@socket.io/admin-ui/ui/dist"

const start = (options: Partial<AdminOptions> = {}) =>
  Effect.map(serve(Layer.orDie(Admin.layer({ auth: false, ...options }))), ({ url }) => url)

const ask = (url: string, options: RequestOptions = {}) => Effect.promise(() => request(url, options))

describe("the page", () => {
  it.live("is served as it is installed, without source maps, and must not be shown in frames", () =>
    Effect.gen(function* () {
      const url = yield* start()
      const names = filesBelow(dist).map((path) => path.slice(dist.length + 1))
      assert.isAbove(names.length, 5)
      for (const name of names) {
        const { body, headers, status } = yield* ask(`${url}/socket.io-admin/${name}`)
        if (name.endsWith(".map")) {
          assert.strictEqual(status, 404, name)
          continue
        }
        assert.strictEqual(status, 200, name)
        if (!name.endsWith(".png")) assert.strictEqual(body, read(`${dist}/${name}`), name)
        assert.strictEqual(headers["x-frame-options"], "DENY")
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
      }
      const index = yield* ask(`${url}/socket.io-admin/?x=1`)
      assert.strictEqual(index.body, read(`${dist}/index.html`))
      assert.deepInclude(index.headers, { "content-type": "text/html; charset=utf-8", "cache-control": "no-cache" })
      const moved = yield* ask(`${url}/socket.io-admin`)
      assert.deepInclude([moved.status, moved.headers["location"]], "/socket.io-admin/")
      assert.strictEqual(moved.status, 308)
      assert.strictEqual((yield* ask(`${url}/socket.io-admin/`, { method: "HEAD" })).body, "")
      assert.strictEqual((yield* ask(`${url}/socket.io-admin/`, { method: "POST" })).status, 405)
    })
  )

  it.live("has no other files, whatever the path", () =>
    Effect.gen(function* () {
      const url = yield* start()
      for (const path of [
        "../package.json",
        "%2e%2e/package.json",
        "..%2fpackage.json",
        "js",
        "js/",
        "//etc/passwd",
        "__proto__",
        "nothing.js"
      ]) {
        assert.strictEqual((yield* ask(`${url}/socket.io-admin/${path}`)).status, 404, path)
      }
      assert.strictEqual((yield* ask(`${url}/socket.io-admins/`)).status, 404)
    })
  )

  it.live("is elsewhere, or nowhere, as the options say", () =>
    Effect.gen(function* () {
      const elsewhere = yield* start({ ui: { path: "/a/b/" } })
      assert.strictEqual((yield* ask(`${elsewhere}/a/b/`)).status, 200)
      assert.strictEqual((yield* ask(`${elsewhere}/socket.io-admin/`)).status, 404)
      assert.strictEqual((yield* ask(`${yield* start({ ui: false })}/socket.io-admin/`)).status, 404)
    })
  )

  it.live("goes with its layer", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(Layer.empty)
      const close = yield* open(server, Admin.layer({ auth: false }))
      assert.strictEqual((yield* ask(`${url}/socket.io-admin/`)).status, 200)
      yield* close
      assert.strictEqual((yield* ask(`${url}/socket.io-admin/`)).status, 404)
    })
  )

  it("is read once, compressed once, and not at all where it is missing", async () => {
    const defects: Array<string> = []
    let found: string | undefined
    let [searches, now] = [0, 0]
    const answer = makeUiFiles(
      (message) => void defects.push(message),
      () => (searches++, found),
      () => now
    )
    const get = (rest: string, coding = "gzip") =>
      new Promise<readonly [number, Readonly<Record<string, string>>, string | Uint8Array]>((resolve) => {
        const exchange = {
          request: { method: "GET", header: (name: string) => (name === "accept-encoding" ? coding : undefined) },
          respond: (...answer: [number, Readonly<Record<string, string>>, string | Uint8Array]) => resolve(answer)
        }
        answer(exchange as unknown as HttpExchange, rest)
      })
    const [missing, , hint] = await get("")
    assert.strictEqual(missing, 404)
    assert.include(String(hint), "npm install @socket.io/admin-ui")
    // A search costs more than its request: its result is remembered for some seconds.
    for (let i = 0; i < 10; i++) assert.strictEqual((await get(""))[0], 404)
    assert.strictEqual(searches, 1)
    now += 5_000

    found = join(tmpdir(), "this folder does not exist")
    assert.strictEqual((await get(""))[0], 500)
    assert.lengthOf(defects, 1)

    const empty = mkdtempSync(join(tmpdir(), "admin-ui-"))
    found = empty
    assert.strictEqual((await get(""))[0], 404)
    rmSync(empty, { recursive: true })

    const files = makeUiFiles(
      () => {},
      () => dist
    )
    const twice = await Promise.all(
      [0, 1].map(
        () =>
          new Promise<readonly [Record<string, string>, Uint8Array]>((resolve) =>
            files(
              {
                request: { method: "GET", header: () => "gzip" },
                respond: (_status: number, headers: Record<string, string>, body: Uint8Array) =>
                  resolve([headers, body])
              } as unknown as HttpExchange,
              "index.html"
            )
          )
      )
    )
    assert.strictEqual(twice[0]![1], twice[1]![1])
    assert.strictEqual(twice[0]![0]["content-encoding"], "gzip")
    assert.strictEqual(gunzipSync(twice[0]![1]).toString(), read(`${dist}/index.html`))
  })
})

describe("options of the Admin UI", () => {
  it.live("are refused where they make no sense", () =>
    Effect.gen(function* () {
      const { server } = yield* serve(Layer.empty)
      for (const [option, values] of Object.entries({
        auth: [undefined, true, "ada", null],
        namespace: ["", 5, "x".repeat(300)],
        readonly: ["yes", 1],
        mode: ["debug", true],
        serverId: ["", 5, "x".repeat(257)],
        "sessions.timeToLive": [0, "soon", -1],
        "sessions.secret": ["a plain text of 16 and more", Redacted.make("short")],
        tries: [{ limit: 0 }, { limit: 1, interval: 0 }, { limit: 1, burst: 0.5 }],
        triesInAll: [{ limit: Number.NaN }, { limit: -1 }],
        maxSockets: [-1, 1.5, Infinity],
        maxEvents: [0, 1.5],
        ui: [true, 5],
        "ui.path": [5, "admin", "/a b", "/socket.io/admin", "/socket.io", "/?x"],
        surprise: [1],
        "ui.surprise": [1],
        "tries.surprise": [1]
      })) {
        for (const value of values) {
          const [name, member] = option.split(".") as [string, string | undefined]
          const options = { auth: false, [name]: member === undefined ? value : { limit: 1, [member]: value } }
          if (name === "ui" || name === "sessions") delete (options[name] as any)?.limit
          const error = yield* Effect.flip(open(server, Admin.layer(options as unknown as AdminOptions)))
          assert.strictEqual(error.option, option, String(value))
        }
      }
      // Nothing of the refused ones stays.
      yield* open(server, Admin.layer({ auth: false }))
    })
  )
})
