/**
 * The published package: built, packed, put into an empty project, type-checked and run there by plain Node.
 */
import { execFileSync, spawn } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

import { isExhaustive } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import { runtimes } from "../support/runtimePrograms.ts"
import { filesBelow, read, root } from "../support/sources.ts"
import { tsc } from "../support/typecheck.ts"

const program = `
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { layerNamespace } from "effect-socket.io/server/SocketIoServer"
import { io } from "socket.io-client"

class Main extends Namespace.make("/", {
  clientToServer: [Event.make("double", { payload: Schema.Finite, ack: Schema.Finite })]
}) {}

const port = 20_000 + (process.pid % 20_000)
const MainLive = layerNamespace(Main, () => Effect.succeed(Main.of({ double: (n) => Effect.succeed(n * 2) })))
const Live = MainLive.pipe(Layer.provide(NodeSocketIoServer.layer({ port, host: "127.0.0.1" })))

NodeRuntime.runMain(Effect.gen(function*() {
  yield* Layer.build(Live)
  const socket = io(\`http://127.0.0.1:\${port}\`)
  const answer = yield* Effect.promise(() => socket.timeout(10_000).emitWithAck("double", 21))
  socket.disconnect()
  console.log("answer", answer)
}).pipe(Effect.scoped))
`

/** A page on the official client: it type-checks by the declarations, with the options of a new project. */
const pageProgram = `
import { Schema } from "effect"
import { Binary, Event, Namespace, type Official } from "effect-socket.io"
import { io, type Socket } from "socket.io-client"

class Chat extends Namespace.make("/chat", {
  clientToServer: [Event.make("upload", { args: [Schema.Date, Binary.Bytes], ack: Schema.Int, error: Schema.Date })],
  serverToClient: [Event.make("said", { payload: { at: Schema.Option(Schema.Date) } })]
}) {}

const socket: Socket<Official.ListenEvents<typeof Chat>, Official.EmitEvents<typeof Chat>> = io("/chat")
socket.on("said", ({ at }) => console.log(at._tag === "Some" ? at.value.length : 0))
socket.emit("upload", new Date().toISOString(), new Blob([]), (answer) => {
  if (answer._tag === "Success") answer.value satisfies number
})
// @ts-expect-error: a date is a string on the wire
socket.emit("upload", new Date(), new Blob([]), () => {})
`

/** A program for Bun and Deno. */
const webProgram = `
import { Effect, Layer } from "effect"
import { SocketIoServer } from "effect-socket.io/server"
import { BunSocketIoServer, DenoSocketIoServer } from "effect-socket.io/web"
import { io } from "socket.io-client"

const port = 40_000 + (process.pid % 20_000)
const Double = SocketIoServer.layerNamespace("/", (socket) => socket.on("double", (n) => Effect.succeed(Number(n) * 2)))
const { serve } = "Deno" in globalThis ? DenoSocketIoServer : BunSocketIoServer
const answered = Effect.gen(function*() {
  yield* Layer.build(serve(Double, { port, host: "127.0.0.1" }))
  const socket = io(\`http://127.0.0.1:\${port}\`)
  const answer = yield* Effect.promise(() => socket.timeout(10_000).emitWithAck("double", 21))
  socket.disconnect()
  console.log("answer", answer)
})
await Effect.runPromise(Effect.scoped(answered))
`

const msgpackProgram = `
import { msgpack } from "effect-socket.io/protocol/MsgpackParser"

const encoded = msgpack.encode({ type: 0, namespace: "/", id: undefined, data: undefined }, false)
const bytes = "attachments" in encoded ? encoded.attachments?.[0] : encoded.message
console.log(bytes instanceof Uint8Array ? bytes.byteLength : bytes)
`

const testProgram = `
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SocketIoClient } from "effect-socket.io/client"
import { SocketIoServer } from "effect-socket.io/server"
import { TestSocketIo } from "effect-socket.io/testing"

const Double = SocketIoServer.layerNamespace("/", (socket) =>
  socket.on("double", (n) => Effect.succeed(n * 2)))
const Test = Double.pipe(Layer.provideMerge(TestSocketIo.layer()))

const answer = await Effect.runPromise(
  SocketIoClient.connect("/").pipe(
    Effect.flatMap((socket) => socket.emitWithAck("double", 21)),
    Effect.scoped,
    Effect.provide(Test)
  )
)
console.log("answer", answer[0])
`

const contractProgram = `
import { Schema } from "effect"
import { Event, Namespace } from "effect-socket.io"

export class Chat extends Namespace.make("/chat", {
  clientToServer: [Event.make("say", { payload: Schema.String })]
}) {}
`

const documentProgram = `
import * as AsyncApi from "effect-socket.io/AsyncApi"
import * as ContractDiff from "effect-socket.io/ContractDiff"
import * as Namespace from "effect-socket.io/Namespace"
import * as Layer from "effect/Layer"
import * as HttpRouter from "effect/http/HttpRouter"

const info = { title: "Chat", version: "1.0.0" }
const namespaces = [Namespace.make("/chat")]
const { handler } = HttpRouter.toWebHandler(AsyncApi.layerHttp({ namespaces, ...info }), { disableLogger: true })
const page = await (await handler(new Request("http://localhost/asyncapi"))).text()
console.log(Object.keys(AsyncApi.fromNamespaces(namespaces, info).channels), page.includes("connect_error"), page.length < 15_000)
console.log(ContractDiff.fingerprint(namespaces[0]).length)
`

interface Definition {
  readonly file: string
  readonly start: { readonly line: number }
}

/** Asks the language server of an editor where something is defined. */
const definitionOf = (file: string, line: number, offset: number): Promise<ReadonlyArray<Definition>> =>
  new Promise((resolve, reject) => {
    const server = spawn(process.execPath, [join(root, "node_modules/typescript6/lib/tsserver.js")], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    server.once("error", reject)
    server.once("exit", () => reject(new Error("the language server has ended")))
    let output = ""
    server.stdout.on("data", (chunk: Buffer) => {
      output += chunk
      const answer = /^\{.*"command":"definition".*$/m.exec(output)
      if (answer === null || !output.slice(answer.index).includes("\n")) return
      server.kill()
      resolve(JSON.parse(answer[0]).body)
    })
    for (const [command, args] of [
      ["open", { file }],
      ["definition", { file, line, offset }]
    ]) {
      server.stdin.write(`${JSON.stringify({ seq: 1, type: "request", command, arguments: args })}\n`)
    }
  })

describe("the published package", () => {
  let project: string

  beforeAll(() => {
    project = mkdtempSync(join(tmpdir(), "consumer-"))
    // A build of a copy: others may be looking at the repository meanwhile.
    const copy = join(project, "copy")
    for (const path of ["src", "examples", ".config", "package.json", "tsconfig.json", "README.md", "LICENSE"]) {
      cpSync(join(root, path), join(copy, path), { recursive: true })
    }
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
    execFileSync(process.execPath, [".config/build.ts"], { cwd: copy, stdio: "pipe" })
    execFileSync("npm", ["pack", "./dist", "--pack-destination", project], { cwd: copy, stdio: "pipe" })

    const modules = join(project, "node_modules")
    mkdirSync(join(modules, "@effect"), { recursive: true })
    for (const name of ["effect", "@effect/platform-node", "socket.io-client", "@types"]) {
      symlinkSync(join(root, "node_modules", name), join(modules, name))
    }
    mkdirSync(join(modules, "effect-socket.io"))
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    execFileSync("tar", ["-xzf", join(project, `effect-socket.io-${version}.tgz`), "--strip-components=1"], {
      cwd: join(modules, "effect-socket.io")
    })
    symlinkSync(join(root, "node_modules", "ws"), join(modules, "ws"))
    writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }))
    writeFileSync(join(project, "program.ts"), program)
    writeFileSync(join(project, "msgpack.ts"), msgpackProgram)
    writeFileSync(join(project, "web.ts"), webProgram)
    writeFileSync(join(project, "page.ts"), pageProgram)
  }, 120_000)

  afterAll(() => rmSync(project, { recursive: true, force: true }))

  const folder = () => join(project, "node_modules", "effect-socket.io")
  const filesOf = () => readdirSync(folder(), { recursive: true, encoding: "utf8" })

  it("has compiled modules, declarations, maps, sources and examples, and no tests", () => {
    const names = new Set(filesOf())
    for (const path of ["index.js", "index.d.ts", "index.js.map", "server/SocketIoServer.js", "README.md", "LICENSE"]) {
      assert.isTrue(names.has(path), path)
    }
    for (const path of ["test", ".config", "tsconfig.json"]) assert.isFalse(names.has(path), path)
    for (const path of filesBelow("examples")) assert.isTrue(names.has(path), path)
  })

  it("has maps that lead to TypeScript, whose lines are those of the repository", () => {
    const maps = filesOf().filter((name) => name.endsWith(".map"))
    assert.strictEqual(maps.length, 2 * filesBelow("src").length)
    for (const name of maps) {
      const map = JSON.parse(readFileSync(join(folder(), name), "utf8"))
      assert.strictEqual(map.sources.length, 1, name)
      const source = join(folder(), dirname(name), map.sources[0])
      assert.strictEqual(source, join(folder(), "src", name.replace(/(\.d\.ts|\.js)\.map$/, ".ts")))
      assert.strictEqual(readFileSync(source, "utf8"), read(relative(folder(), source)), name)
    }
  })

  it.skipIf(!isExhaustive)(
    "leads an editor from a use to its definition in TypeScript",
    { timeout: 60_000 },
    async () => {
      const file = join(project, "program.ts")
      const use = program.indexOf("layerNamespace(Main")
      const lines = program.slice(0, use).split("\n")
      const [found] = await definitionOf(file, lines.length, lines.at(-1)!.length + 1)
      assert.strictEqual(found!.file, join(folder(), "src", "server", "SocketIoServer.ts"))
      assert.match(read("src/server/SocketIoServer.ts").split("\n")[found!.start.line - 1]!, /layerNamespace/)
    }
  )

  it("has a guide for coding assistants, whose links lead to files of the package", () => {
    const agents = readFileSync(join(folder(), "AGENTS.md"), "utf8")
    const links = Array.from(agents.matchAll(/\]\(([^)#]+)/g), ([, target]) => target!)
    assert.isAtLeast(links.length, 8)
    for (const link of links) assert.isTrue(existsSync(join(folder(), link)), link)
  })

  it("says where it comes from, and can be published, while the repository cannot", () => {
    const manifest = JSON.parse(readFileSync(join(folder(), "package.json"), "utf8"))
    for (const field of ["repository", "homepage", "bugs", "license", "engines", "peerDependencies"]) {
      assert.isDefined(manifest[field], field)
    }
    for (const field of ["private", "scripts", "devDependencies", "overrides"])
      assert.isUndefined(manifest[field], field)
    // npm refuses to publish it.
    assert.isTrue(JSON.parse(read("package.json")).private)
  })

  it("has public declarations without a type of a closed module", () => {
    const names = filesOf().filter((name) => name.endsWith(".d.ts"))
    const open = names.filter((name) => !/(^|\/)internal\//.test(name))
    assert.isAbove(open.length, 40)
    const closed = open.flatMap((name) =>
      Array.from(readFileSync(join(folder(), name), "utf8").matchAll(/"[^"\n]*\/internal\/[^"\n]*"/g), ([path]) => [
        name,
        path
      ])
    )
    assert.deepStrictEqual(closed, [])
  })

  it("runs in an empty project", () => {
    const output = execFileSync(process.execPath, ["program.ts"], { cwd: project, encoding: "utf8", timeout: 30_000 })
    assert.match(output, /answer 42/)
  })

  it("needs MessagePack only where its parser is asked for", () => {
    const run = () =>
      execFileSync(process.execPath, ["msgpack.ts"], { cwd: project, encoding: "utf8", stdio: "pipe", timeout: 30_000 })
    assert.throws(run, /Cannot find package '@msgpack\/msgpack'/)
    symlinkSync(join(root, "node_modules", "@msgpack"), join(project, "node_modules", "@msgpack"))
    assert.strictEqual(run().trim(), "13")
  })

  it("needs Effect's HTTP server only where it is asked for, and says so", () => {
    const alone = mkdtempSync(join(tmpdir(), "consumer-"))
    try {
      const modules = join(alone, "node_modules")
      mkdirSync(modules)
      for (const name of ["effect", "ws"]) symlinkSync(join(root, "node_modules", name), join(modules, name))
      cpSync(join(project, "node_modules", "effect-socket.io"), join(modules, "effect-socket.io"), { recursive: true })
      writeFileSync(join(alone, "package.json"), JSON.stringify({ type: "module" }))
      const load = (entry: string) => {
        writeFileSync(join(alone, "load.js"), `console.log(typeof (await import("effect-socket.io/${entry}")))`)
        return execFileSync(process.execPath, ["load.js"], { cwd: alone, encoding: "utf8", stdio: "pipe" })
      }
      assert.strictEqual(load("node").trim(), "object")
      assert.throws(
        () => load("node/NodeSocketIoHttp"),
        /Cannot find package '@effect\/platform-node' imported from .*NodeSocketIoHttp\.js/
      )
    } finally {
      rmSync(alone, { recursive: true, force: true })
    }
  })

  it("needs nothing but Effect for tests", () => {
    // A folder of its own: Node would find the packages of a project around it.
    const alone = mkdtempSync(join(tmpdir(), "tester-"))
    try {
      const modules = join(alone, "node_modules")
      mkdirSync(modules)
      symlinkSync(join(root, "node_modules", "effect"), join(modules, "effect"))
      cpSync(join(project, "node_modules", "effect-socket.io"), join(modules, "effect-socket.io"), { recursive: true })
      writeFileSync(join(alone, "package.json"), JSON.stringify({ type: "module" }))
      writeFileSync(join(alone, "test.js"), testProgram)
      const output = execFileSync(process.execPath, ["test.js"], { cwd: alone, encoding: "utf8", timeout: 30_000 })
      assert.strictEqual(output.trim(), "answer 42")
    } finally {
      rmSync(alone, { recursive: true, force: true })
    }
  })

  it("has the documents of contracts, and needs nothing but Effect for them", () => {
    writeFileSync(join(project, "document.js"), documentProgram)
    const output = execFileSync(process.execPath, ["document.js"], { cwd: project, encoding: "utf8", timeout: 30_000 })
    assert.strictEqual(output.trim(), "[ 'chat' ] true true\n11")
  })

  for (const [name, peer] of [
    ["bun", "Bun"],
    ["deno", "Deno"]
  ] as const) {
    it(`serves in ${peer}, by that runtime's own server`, requires(peer), () => {
      const [program, ...args] = runtimes[name].command
      const output = execFileSync(program!, [...args, "web.ts"], { cwd: project, encoding: "utf8", timeout: 30_000 })
      assert.include(output, "answer 42")
    })
  }

  it("has a command that compares contracts", () => {
    writeFileSync(join(project, "contract.ts"), contractProgram)
    const { bin } = JSON.parse(readFileSync(join(project, "node_modules", "effect-socket.io", "package.json"), "utf8"))
    const command = join(project, "node_modules", "effect-socket.io", bin["effect-socket.io"])
    assert.isTrue(readFileSync(command, "utf8").startsWith("#!/usr/bin/env node"))
    const check = (...args: ReadonlyArray<string>) =>
      execFileSync(process.execPath, [command, "contracts", "check", ...args, "contract.ts"], {
        cwd: project,
        encoding: "utf8",
        timeout: 30_000
      })
    assert.include(check("--update"), "contracts.json is written")
    assert.include(check(), "0 changes")
  })

  it("type-checks in an empty project, its declarations included", { timeout: 60_000 }, async () => {
    writeFileSync(
      join(project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          module: "nodenext",
          target: "es2023",
          lib: ["es2024"],
          types: ["node"],
          noEmit: true,
          skipLibCheck: true
        },
        include: ["program.ts", "msgpack.ts", "page.ts", "web.ts"]
      })
    )
    assert.strictEqual(await tsc("-p", project), "")
    // The declarations for themselves: those of others are not looked at.
    writeFileSync(
      join(project, "tsconfig.declarations.json"),
      JSON.stringify({
        extends: "./tsconfig.json",
        compilerOptions: { skipLibCheck: false, lib: ["es2024", "dom", "dom.iterable"] },
        include: ["node_modules/effect-socket.io/**/*.d.ts"],
        exclude: ["node_modules/effect-socket.io/src", "node_modules/effect-socket.io/examples"]
      })
    )
    const problems = await tsc("-p", join(project, "tsconfig.declarations.json"))
    const ours = problems.split("\n").filter((line) => line.includes("node_modules/effect-socket.io/"))
    assert.deepStrictEqual(ours, [])
  })
})
