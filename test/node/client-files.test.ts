import * as AsyncHooks from "node:async_hooks"
import { execFile } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { Server } from "socket.io"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { clientFiles } from "../../src/node/internal/clientFiles.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { Parser } from "../../src/Parser.ts"
import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { json } from "../../src/protocol/PacketParser.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { launchChromium, type TestBrowser } from "../support/browser.ts"
import { requires } from "../support/peers.ts"
import { request, type RequestOptions, type Response } from "../support/RawClient.ts"
import { listen, serve } from "../support/serve.ts"
import { read, root } from "../support/sources.ts"

const dist = join(root, "node_modules/socket.io-client/dist")
const { version } = JSON.parse(read("node_modules/socket.io-client/package.json"))

const names = ["socket.io", "socket.io.min", "socket.io.esm.min", "socket.io.msgpack.min"].flatMap((name) => [
  `${name}.js`,
  `${name}.js.map`
])

const decoders = { br: brotliDecompressSync, gzip: gunzipSync, deflate: inflateSync }
const codings = ["br", "gzip", "deflate"] as const

const ask = (url: string, options: RequestOptions = {}): Effect.Effect<Response> =>
  Effect.promise(() => request(url, options))

/** The URL below which a server of ours serves. */
const ours = (options: NodeSocketIoServer.NodeOptions = {}) =>
  Effect.map(serve(Layer.empty, options), ({ url }) => `${url}/socket.io`)

/** The same of the official server. */
const theirs = Effect.fnUntraced(function* (serveClient = true) {
  const http = Http.createServer()
  const io = new Server(http, { serveClient })
  yield* Effect.addFinalizer(() => Effect.promise(() => io.close()))
  return `${yield* listen(http)}/socket.io`
})

describe("the files of the client", () => {
  for (const name of names) {
    it.live(`are answered as the official server does: ${name}`, () =>
      Effect.gen(function* () {
        const [own, official] = [yield* ask(`${yield* ours()}/${name}`), yield* ask(`${yield* theirs()}/${name}`)]
        for (const header of ["content-type", "etag", "cache-control", "content-encoding"]) {
          assert.strictEqual(own.headers[header], official.headers[header], header)
        }
        assert.strictEqual(own.status, 200)
        assert.strictEqual(official.status, 200)
        assert.strictEqual(own.headers.etag, `"${version}"`)
        assert.isTrue(own.bytes.equals(readFileSync(join(dist, name))))
        assert.isTrue(own.bytes.equals(official.bytes))
        assert.strictEqual(own.headers["content-length"], String(own.bytes.length))
      })
    )
  }

  it.live("have types that browsers take", () =>
    Effect.gen(function* () {
      const url = yield* ours()
      const [script, map] = [yield* ask(`${url}/socket.io.js`), yield* ask(`${url}/socket.io.js.map`)]
      assert.strictEqual(script.headers["content-type"], "application/javascript; charset=utf-8")
      assert.strictEqual(map.headers["content-type"], "application/json; charset=utf-8")
    })
  )

  it.live("do not mind a query", () =>
    Effect.gen(function* () {
      const response = yield* ask(`${yield* ours()}/socket.io.min.js?v=1&transport=polling`)
      assert.strictEqual(response.status, 200)
      assert.isTrue(response.bytes.equals(readFileSync(join(dist, "socket.io.min.js"))))
    })
  )

  it.live("stand below whatever path the server has", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(Layer.empty, { path: "/realtime/" })
      assert.strictEqual((yield* ask(`${url}/realtime/socket.io.js`)).headers.etag, `"${version}"`)
      assert.strictEqual((yield* ask(`${url}/socket.io/socket.io.js`)).status, 404)
    })
  )

  it.live("answer HEAD with the headers of GET, and without a body", () =>
    Effect.gen(function* () {
      const url = `${yield* ours()}/socket.io.js`
      for (const accepted of ["identity", "gzip"]) {
        const headers = { "accept-encoding": accepted }
        const [head, get] = [yield* ask(url, { method: "HEAD", headers }), yield* ask(url, { headers })]
        assert.strictEqual(head.status, 200)
        assert.strictEqual(head.bytes.length, 0)
        assert.deepStrictEqual({ ...head.headers, date: "" }, { ...get.headers, date: "" })
        assert.strictEqual(head.headers["content-length"], String(get.bytes.length))
      }
    })
  )

  it.live("cannot be written", () =>
    Effect.gen(function* () {
      const url = `${yield* ours()}/socket.io.js`
      for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
        const response = yield* ask(url, { method, body: "x".repeat(100_000) })
        assert.strictEqual(response.status, 405, method)
        assert.strictEqual(response.headers.allow, "GET, HEAD, OPTIONS")
      }
      const response = yield* ask(url, { method: "OPTIONS" })
      assert.strictEqual(response.status, 204)
      assert.strictEqual(response.headers.allow, "GET, HEAD, OPTIONS")
    })
  )
})

describe("what is no file of the client", () => {
  const targets = [
    "/socket.io/",
    "/socket.io/package.json",
    "/socket.io/socket.io.mjs",
    "/socket.io/socket.io.js/",
    "/socket.io/socket.io.js/x",
    "/socket.io//socket.io.js",
    "/socket.io/./socket.io.js",
    "/socket.io/../socket.io/socket.io.js",
    "/socket.io/dist/socket.io.js",
    "/socket.io/socket.io.js/../../package.json",
    "/socket.io/socket.io.%6as",
    "/socket.io/socket%2eio.js",
    "/socket.io/socket.io.js%00",
    "/socket.io/socket.io.js;x",
    "/socket.io/SOCKET.IO.JS",
    "/socket.io/?socket.io.js",
    // Of the same length as the path with its slash.
    "/socket.io?socket.io.js"
  ]
  for (const target of targets) {
    it.live(`is left to the engine: ${target}`, () =>
      Effect.gen(function* () {
        const response = yield* ask(yield* ours(), { target })
        assert.strictEqual(response.status, 400)
        assert.strictEqual(response.body, '{"code":0,"message":"Transport unknown"}')
      })
    )
  }

  it.live("is everything if the server is not to serve it, as with the official one", () =>
    Effect.gen(function* () {
      const [url, official] = [yield* ours({ serveClient: false }), yield* theirs(false)]
      for (const name of names) {
        const own = yield* ask(`${url}/${name}`)
        const other = yield* ask(`${official}/${name}`)
        assert.deepStrictEqual([own.status, own.body], [other.status, other.body])
        assert.deepStrictEqual([own.status, own.body], [400, '{"code":0,"message":"Transport unknown"}'])
      }
    })
  )
})

describe("a copy that the browser has", () => {
  for (const [condition, status] of [
    [`"${version}"`, 304],
    [`W/"${version}"`, 304],
    [`"0.0.1", W/"with, comma" ,"${version}"`, 304],
    ["*", 304],
    [`"${version}1"`, 200],
    ['"0.0.1", W/"0.0.2"', 200],
    [version, 200],
    [`"0.0.1, ${version}"`, 200]
  ] as const) {
    it.live(`is ${status === 304 ? "still good" : "renewed"} with If-None-Match: ${condition}`, () =>
      Effect.gen(function* () {
        const url = `${yield* ours()}/socket.io.js`
        for (const method of ["GET", "HEAD"]) {
          const response = yield* ask(url, { method, headers: { "if-none-match": condition } })
          assert.strictEqual(response.status, status, method)
          assert.strictEqual(response.headers.etag, `"${version}"`)
          assert.strictEqual(response.headers["cache-control"], "public, max-age=0")
          assert.strictEqual(response.headers.vary, "Accept-Encoding")
          if (status === 304) {
            assert.strictEqual(response.bytes.length, 0)
            assert.notProperty(response.headers, "content-type")
          }
        }
      })
    )
  }

  it.live("is judged as the official server does, where that judges", () =>
    Effect.gen(function* () {
      const urls = [yield* ours(), yield* theirs()]
      for (const [condition, status] of [
        [`"${version}"`, 304],
        [`W/"${version}"`, 304],
        ['"0.0.1"', 200]
      ] as const) {
        for (const url of urls) {
          const response = yield* ask(`${url}/socket.io.min.js.map`, { headers: { "if-none-match": condition } })
          assert.strictEqual(response.status, status, `${url} ${condition}`)
        }
      }
    })
  )

  it.live("counts only for the coding that it came in", () =>
    Effect.gen(function* () {
      const url = `${yield* ours()}/socket.io.js`
      const tags: Record<string, string> = {}
      for (const coding of ["identity", ...codings]) {
        tags[coding] = (yield* ask(url, { headers: { "accept-encoding": coding } })).headers.etag!
      }
      assert.strictEqual(new Set(Object.values(tags).map((tag) => tag.replace("W/", ""))).size, 4)
      for (const coding of codings) {
        assert.match(tags[coding]!, /^W\//)
        for (const [other, tag] of Object.entries(tags)) {
          const headers = { "accept-encoding": coding, "if-none-match": tag }
          const response = yield* ask(url, { headers })
          assert.strictEqual(response.status, other === coding ? 304 : 200, `${coding} with the tag of ${other}`)
          assert.strictEqual(response.headers.etag, tags[coding])
        }
      }
    })
  )
})

describe("compression", () => {
  for (const coding of codings) {
    it.live(`${coding} gives back every file as it is on disk, and is smaller`, () =>
      Effect.gen(function* () {
        const url = yield* ours()
        for (const name of names) {
          const response = yield* ask(`${url}/${name}`, { headers: { "accept-encoding": coding } })
          const plain = readFileSync(join(dist, name))
          assert.strictEqual(response.status, 200)
          assert.strictEqual(response.headers["content-encoding"], coding)
          assert.strictEqual(response.headers["content-length"], String(response.bytes.length))
          assert.strictEqual(response.headers.vary, "Accept-Encoding")
          assert.isBelow(response.bytes.length, plain.length / 2)
          assert.isTrue(decoders[coding](response.bytes).equals(plain), name)
        }
      })
    )
  }

  for (const [accepted, coding] of [
    [undefined, "identity"],
    ["", "identity"],
    ["gzip, deflate, br, zstd", "br"],
    ["gzip, deflate", "gzip"],
    ["GZIP", "gzip"],
    ["br;q=0.5, gzip;q=0.8, deflate;q=0.7", "gzip"],
    ["br ; Q=0.001 , zstd", "br"],
    ["br;q=0, gzip;q=0.000", "identity"],
    ["gzip;q=0.5, identity", "identity"],
    ["gzip;q=0.5, identity;q=0.5", "gzip"],
    ["gzip;q=0.1", "gzip"],
    ["*", "br"],
    ["br;q=0, *", "gzip"],
    ["gzip;q=0.9, *;q=0.1", "gzip"],
    ["*;q=0, deflate", "deflate"],
    ["zstd, compress", "identity"],
    ["identity;q=0, gzip;q=0.2", "gzip"],
    ["br;q=high, gzip;q=0.1", "gzip"],
    ["identity;q=0", undefined],
    ["*;q=0", undefined],
    ["zstd, identity;q=0", undefined]
  ] as const) {
    it.live(`of ${accepted ?? "a request without preferences"} is ${coding ?? "not possible"}`, () =>
      Effect.gen(function* () {
        const headers: Record<string, string> = accepted === undefined ? {} : { "accept-encoding": accepted }
        const response = yield* ask(`${yield* ours()}/socket.io.min.js`, { headers })
        assert.strictEqual(response.status, coding === undefined ? 406 : 200)
        assert.strictEqual(response.headers.vary, "Accept-Encoding")
        assert.strictEqual(response.headers["content-encoding"], coding === "identity" ? undefined : coding)
      })
    )
  }

  it.live("is done once, whoever asks first or meanwhile", () =>
    Effect.gen(function* () {
      const url = `${yield* ours()}/socket.io.js`
      const counts: Record<string, number> = { FILEHANDLE: 0, ZLIB: 0 }
      const hook = AsyncHooks.createHook({
        init: (_id, type) => {
          if (type in counts) counts[type]!++
        }
      })
      yield* Effect.acquireRelease(
        Effect.sync(() => hook.enable()),
        () => Effect.sync(() => hook.disable())
      )
      const burst = Effect.all(
        Array.from({ length: 20 }, () => ask(url, { headers: { "accept-encoding": "br" } })),
        { concurrency: "unbounded" }
      )
      const responses = [...(yield* burst), ...(yield* burst)]
      // The file and the manifest were opened, and one of them compressed.
      assert.deepStrictEqual(counts, { FILEHANDLE: 2, ZLIB: 1 })
      const plain = readFileSync(join(dist, "socket.io.js"))
      for (const { bytes } of responses) assert.isTrue(brotliDecompressSync(bytes).equals(plain))
    })
  )
})

describe("pages of other origins", () => {
  const origin = "https://example.com"

  it.live("may read the files if the server lets them, whatever the answer is", () =>
    Effect.gen(function* () {
      const url = `${yield* ours({ cors: { origin, credentials: true } })}/socket.io.js`
      for (const [status, options] of [
        [200, {}],
        [200, { method: "HEAD" }],
        [304, { headers: { "if-none-match": "*" } }],
        [406, { headers: { "accept-encoding": "*;q=0" } }]
      ] as ReadonlyArray<[number, RequestOptions]>) {
        const response = yield* ask(url, { ...options, headers: { ...options.headers, origin } })
        assert.strictEqual(response.status, status)
        assert.strictEqual(response.headers["access-control-allow-origin"], origin)
        assert.strictEqual(response.headers["access-control-allow-credentials"], "true")
        assert.strictEqual(response.headers.vary, "Origin, Accept-Encoding")
      }
      const posted = yield* ask(url, { method: "POST", headers: { origin } })
      assert.strictEqual(posted.status, 405)
      assert.strictEqual(posted.headers["access-control-allow-origin"], origin)
      const stranger = yield* ask(url, { headers: { origin: "https://example.org" } })
      assert.notProperty(stranger.headers, "access-control-allow-origin")
      assert.strictEqual(stranger.headers.vary, "Origin, Accept-Encoding")
    })
  )

  it.live("may ask before, as they may for the engine", () =>
    Effect.gen(function* () {
      const url = yield* ours({ cors: { origin } })
      const preflight = {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "GET", "access-control-request-headers": "x-custom" }
      }
      const [file, engine] = [yield* ask(`${url}/socket.io.js`, preflight), yield* ask(`${url}/`, preflight)]
      assert.strictEqual(file.status, 204)
      assert.strictEqual(file.headers["access-control-allow-origin"], origin)
      assert.strictEqual(file.headers["access-control-allow-headers"], "x-custom")
      assert.deepStrictEqual({ ...file.headers, date: "" }, { ...engine.headers, date: "" })
    })
  )

  it.live("may not, by default", () =>
    Effect.gen(function* () {
      const response = yield* ask(`${yield* ours()}/socket.io.js`, { headers: { origin } })
      assert.strictEqual(response.status, 200)
      assert.notProperty(response.headers, "access-control-allow-origin")
    })
  )
})

/** A folder that goes with the scope. */
const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "client-files-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** A package that claims to be the client, below a folder; gives the path of its manifest. */
const install = (folder: string, version: string, ...files: ReadonlyArray<string>): string => {
  const manifest = join(folder, "node_modules/socket.io-client/package.json")
  mkdirSync(join(dirname(manifest), "dist"), { recursive: true })
  writeFileSync(
    manifest,
    // As version 4 does it: not every file may be required.
    JSON.stringify({ name: "socket.io-client", version, exports: { "./package.json": "./package.json" } })
  )
  for (const file of files) writeFileSync(join(dirname(manifest), "dist", file), `${file} of ${version}`)
  return manifest
}

/** Serves from a package that the test may change. */
const from = Effect.fnUntraced(function* (
  locate: () => string | false,
  now?: () => number,
  isReadable?: () => boolean
) {
  const { server } = yield* serve(Layer.empty)
  const engine = yield* Context.get(server, SocketIoServer.SocketIoServer).engine
  const handle = clientFiles(engine, "/files/", locate, now, isReadable)
  const http = Http.createServer({ rejectNonStandardBodyWrites: true }, (incoming, response) => {
    handle(incoming, response)
  })
  const url = yield* listen(http)
  return { get: (name: string, method = "GET") => ask(`${url}/files/${name}`, { method }) }
})

describe("files that are not as they should be", () => {
  it.live("are answered with 500 if they cannot be read, until they can", () =>
    Effect.gen(function* () {
      const manifest = install(yield* temporary, "4.0.0")
      const { get } = yield* from(() => manifest)
      const file = join(dirname(manifest), "dist/socket.io.js")
      mkdirSync(file)
      const failed = yield* get("socket.io.js")
      assert.deepStrictEqual([failed.status, failed.body], [500, "socket.io.js could not be read: EISDIR\n"])
      assert.strictEqual(failed.headers["cache-control"], "no-store")
      assert.notProperty(failed.headers, "etag")
      rmSync(file, { recursive: true })
      writeFileSync(file, "now")
      const response = yield* get("socket.io.js")
      assert.deepStrictEqual([response.status, response.body], [200, "now"])
      // From here on it is kept.
      rmSync(file)
      assert.strictEqual((yield* get("socket.io.js")).body, "now")
    })
  )

  it.live("are answered with 500 if the package's manifest is broken, until it is mended", () =>
    Effect.gen(function* () {
      const folder = yield* temporary
      const manifest = install(folder, "4.0.0", "socket.io.js")
      const { get } = yield* from(() => manifest)
      writeFileSync(manifest, "{")
      const failed = yield* get("socket.io.js")
      assert.deepStrictEqual([failed.status, failed.body], [500, "socket.io.js could not be read: not as expected\n"])
      install(folder, "4.0.1")
      const response = yield* get("socket.io.js")
      assert.deepStrictEqual([response.status, response.headers.etag], [200, '"4.0.1"'])
    })
  )

  it.live("are answered with 404 if the installed version has none of the name", () =>
    Effect.gen(function* () {
      const manifest = install(yield* temporary, "4.0.0", "socket.io.js")
      const { get } = yield* from(() => manifest)
      // HEAD, too: this server does not forgive a body where none may be.
      assert.strictEqual((yield* get("socket.io.js", "HEAD")).status, 200)
      assert.strictEqual((yield* get("socket.io.esm.min.js", "HEAD")).status, 404)
      const response = yield* get("socket.io.esm.min.js")
      assert.strictEqual(response.status, 404)
      assert.strictEqual(response.headers["content-type"], "text/plain; charset=utf-8")
      assert.strictEqual(response.body, "the installed version of socket.io-client has no socket.io.esm.min.js\n")
    })
  )
})

describe("the package", () => {
  const program = `
import * as Http from "node:http"
import { Effect } from "effect"
import * as NodeSocketIoServer from "./src/node/NodeSocketIoServer.ts"

const http = Http.createServer()
await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  yield* NodeSocketIoServer.makeAttached(http)
  const response = yield* Effect.promise(async () => {
    await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve))
    const response = await fetch(\`http://127.0.0.1:\${http.address().port}/socket.io/socket.io.js\`, {
      headers: { "accept-encoding": "identity" }
    })
    return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() }
  })
  console.log(JSON.stringify(response))
})))
process.exit()
`

  /** The answer of a server whose library and working directory stand in folders of their own. */
  const answer = Effect.fnUntraced(function* (versions: { readonly application?: string; readonly library?: string }) {
    const folder = yield* temporary
    const [application, library] = [join(folder, "application"), join(folder, "library")]
    mkdirSync(application)
    mkdirSync(join(library, "node_modules"), { recursive: true })
    cpSync(join(root, "src"), join(library, "src"), { recursive: true })
    for (const name of ["effect", "@effect", "ws"]) {
      symlinkSync(join(root, "node_modules", name), join(library, "node_modules", name))
    }
    writeFileSync(join(library, "package.json"), JSON.stringify({ type: "module" }))
    writeFileSync(join(library, "program.ts"), program)
    if (versions.application !== undefined) install(application, versions.application, "socket.io.js")
    if (versions.library !== undefined) install(library, versions.library, "socket.io.js")
    const { stdout } = yield* Effect.promise(() =>
      promisify(execFile)(process.execPath, [join(library, "program.ts")], {
        cwd: application,
        // Nothing that is installed for the user or the machine.
        env: { PATH: process.env.PATH, HOME: folder },
        timeout: 25_000
      })
    )
    return JSON.parse(stdout) as Response
  })

  it.live("is that of the application, if it has one", () =>
    Effect.gen(function* () {
      const { body, headers, status } = yield* answer({ application: "4.1.0", library: "4.2.0" })
      assert.deepStrictEqual([status, headers.etag, body], [200, '"4.1.0"', "socket.io.js of 4.1.0"])
    })
  )

  it.live("is that beside the library, if the application has none", () =>
    Effect.gen(function* () {
      const { body, headers, status } = yield* answer({ library: "4.2.0" })
      assert.deepStrictEqual([status, headers.etag, body], [200, '"4.2.0"', "socket.io.js of 4.2.0"])
    })
  )

  it.live("is said to be missing, with a word on what to install", () =>
    Effect.gen(function* () {
      const { body, headers, status } = yield* answer({})
      assert.strictEqual(status, 404)
      assert.strictEqual(headers["content-type"], "text/plain; charset=utf-8")
      assert.match(body, /^[^\n]*npm install socket\.io-client[^\n]*\n$/)
    })
  )

  it.live("is looked for once, when the first request for a file comes", () =>
    Effect.gen(function* () {
      const manifest = install(yield* temporary, "4.0.0", "socket.io.js")
      for (const [located, status] of [
        [manifest, 200],
        [false, 404]
      ] as const) {
        let lookups = 0
        const { get } = yield* from(() => {
          lookups++
          return located
        })
        assert.strictEqual(lookups, 0)
        for (let i = 0; i < 3; i++) assert.strictEqual((yield* get("socket.io.js")).status, status)
        assert.strictEqual(lookups, 1)
      }
    })
  )

  it.live("is looked for again some seconds later if it was missing, and not with every request until then", () =>
    Effect.gen(function* () {
      const manifest = install(yield* temporary, "4.0.0", "socket.io.js")
      let time = 0
      let located: string | false = false
      let lookups = 0
      const { get } = yield* from(
        () => {
          lookups++
          return located
        },
        () => time
      )
      const status = () => Effect.map(get("socket.io.js"), (response) => response.status)
      assert.strictEqual(yield* status(), 404)
      located = manifest
      time = 4_999
      assert.deepStrictEqual([yield* status(), lookups], [404, 1])
      time = 5_000
      assert.deepStrictEqual([yield* status(), lookups], [200, 2])
      time = 100_000
      assert.deepStrictEqual([yield* status(), lookups], [200, 2])
    })
  )

  it.live("is not missing because no file can be opened: that is over when one can, and costs no search", () =>
    Effect.gen(function* () {
      const manifest = install(yield* temporary, "4.0.0", "socket.io.js")
      let isReadable = false
      let lookups = 0
      const locate = () => {
        lookups++
        return manifest
      }
      const { get } = yield* from(
        locate,
        () => 0,
        () => isReadable
      )
      for (let i = 0; i < 3; i++) {
        const { body, status } = yield* get("socket.io.js")
        assert.deepStrictEqual([status, body], [503, "socket.io.js could not be read: too many open files\n"])
      }
      assert.strictEqual(lookups, 0)
      isReadable = true
      assert.strictEqual((yield* get("socket.io.js")).status, 200)
    })
  )

  it.live("is not missing if the descriptors were used up in the middle of the search", () =>
    Effect.gen(function* () {
      const manifest = install(yield* temporary, "4.0.0", "socket.io.js")
      let isReadable = true
      const locate = (): string | false => {
        if (lookups++ > 0) return manifest
        isReadable = false
        return false
      }
      let lookups = 0
      const { get } = yield* from(
        locate,
        () => 0,
        () => isReadable
      )
      assert.strictEqual((yield* get("socket.io.js")).status, 503)
      isReadable = true
      assert.strictEqual((yield* get("socket.io.js")).status, 200)
    })
  )
})

describe("a page in Chromium", requires("Chromium"), () => {
  let browser: TestBrowser

  beforeAll(async () => {
    browser = await launchChromium()
  })

  afterAll(() => browser?.close())

  class Plain extends Namespace.make("/", {
    clientToServer: [Event.make("double", { payload: Schema.Finite, ack: Schema.Finite })]
  }) {}

  const PlainLive = SocketIoServer.layerNamespace(Plain, () =>
    Effect.succeed(Plain.of({ double: (n) => Effect.succeed(n * 2) }))
  )

  const use = 'io().emit("double", 21, (answer) => { document.title = `answer ${answer}` })'

  for (const [name, page, parser] of [
    ["socket.io.js", `<script src="/socket.io/socket.io.js"></script><script>${use}</script>`, json],
    ["socket.io.min.js", `<script src="/socket.io/socket.io.min.js"></script><script>${use}</script>`, json],
    [
      "socket.io.msgpack.min.js",
      `<script src="/socket.io/socket.io.msgpack.min.js"></script><script>${use}</script>`,
      msgpack
    ],
    [
      "socket.io.esm.min.js",
      `<script type="module">import { io } from "/socket.io/socket.io.esm.min.js"; ${use}</script>`,
      json
    ]
  ] as const) {
    it.live(`loads ${name} from the server that it then talks to`, () =>
      Effect.gen(function* () {
        const http = Http.createServer((incoming, response) => {
          response.writeHead(incoming.url === "/" ? 200 : 404, { "content-type": "text/html; charset=utf-8" })
          response.end(incoming.url === "/" ? `<!doctype html><title>-</title>${page}` : "")
        })
        const url = yield* listen(http)
        yield* Layer.build(
          PlainLive.pipe(
            Layer.provide(NodeSocketIoServer.layerAttached(http, { drainTimeout: "2 seconds" })),
            Layer.provide(Layer.succeed(Parser, parser))
          )
        )
        yield* Effect.promise(async () => {
          const tab = await browser.open(`${url}/`)
          await tab.waitForFunction(() => document.title === "answer 42", { timeout: 10_000 })
          await tab.close()
          assert.deepStrictEqual(browser.errors, [])
        })
      })
    )
  }
})
