/**
 * The command `effect-socket.io contracts check`.
 */
import { execFile } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { Console, Effect, Exit } from "effect"
import { Command } from "effect/cli"

import { check as command } from "../../src/cli/internal/contractsCheck.ts"
import { root } from "../support/sources.ts"

const contract = (fields: string, more = "") => `
import { Schema } from "effect"
import { Event, Namespace } from "effect-socket.io"

const Join = Event.make("join", { payload: { ${fields} }, ack: Schema.Int })

export class Chat extends Namespace.make("/chat", { clientToServer: [Join] }) {}
export type Room = { readonly name: string }
${more}`

interface Result {
  readonly code: number
  readonly output: string
  readonly errors: string
}

/** Runs it in this process: another one takes a second to start. */
const check = async (...args: ReadonlyArray<string>): Promise<Result> => {
  const [output, errors] = [[] as Array<string>, [] as Array<string>]
  const recorder = {
    ...globalThis.console,
    log: (...texts: Array<unknown>) => void output.push(texts.join(" ")),
    error: (...texts: Array<unknown>) => void errors.push(texts.join(" "))
  }
  const exit = await Effect.runPromiseExit(
    Command.runWith(command, { version: "0" })(args).pipe(
      Effect.provide(NodeServices.layer),
      Effect.provideService(Console.Console, recorder)
    )
  )
  const text = (lines: ReadonlyArray<string>) => lines.map((line) => `${line}\n`).join("")
  return { code: Exit.isSuccess(exit) ? 0 : 1, output: text(output), errors: text(errors) }
}

describe("effect-socket.io contracts check", () => {
  let folder: string
  let snapshot: string
  let modules = 0

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "contracts-"))
    snapshot = join(folder, "contracts.json")
    const packages = join(folder, "node_modules")
    mkdirSync(packages)
    symlinkSync(root, join(packages, "effect-socket.io"))
    symlinkSync(join(root, "node_modules", "effect"), join(packages, "effect"))
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
  })

  beforeEach(() => rmSync(snapshot, { force: true }))

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }

  /** A module of a name that was not loaded before. */
  const module = (text: string): string => file(`module${modules++}.ts`, text)

  const written = () => readFileSync(snapshot, "utf8")

  const against = (...args: ReadonlyArray<string>) => check("--against", snapshot, ...args)

  it("writes the snapshot of contracts, and finds nothing until they change", async () => {
    const same = contract("room: Schema.String")
    const first = await against("--update", module(same))
    assert.deepStrictEqual([first.code, first.output], [0, `1 contract, no snapshot before\n${snapshot} is written\n`])
    const text = written()
    assert.property(JSON.parse(text).namespaces, "/chat")
    const second = await against(module(same))
    assert.deepStrictEqual([second.code, second.output], [0, "1 contract, 0 changes: 0 breaking, 0 risky, 0 safe\n"])
    assert.strictEqual((await against("--update", module(same))).code, 0)
    assert.strictEqual(written(), text)
  })

  it("fails on a breaking change, says what it is, and leaves the snapshot, unless it is allowed", async () => {
    await against("--update", module(contract("room: Schema.String, colour: Schema.optionalKey(Schema.String)")))
    const text = written()
    const changed = module(contract("room: Schema.String.check(Schema.isMaxLength(9)), password: Schema.String"))
    for (const args of [[], ["--update"]]) {
      const refused = await against(...args, changed)
      assert.strictEqual(refused.code, 1)
      assert.strictEqual(
        refused.output,
        `/chat:join
  breaking: a field is new, and needed (receive payload [0].password) [required-field-added]; endangers old clients
  breaking: maxLength: none → 9 (receive payload [0].room) [bound-tightened]; endangers old clients
1 contract, 3 changes: 2 breaking, 0 risky, 1 safe
to allow a breaking change: --allow required-field-added@/chat:join
`
      )
      assert.strictEqual(written(), text)
    }
    assert.include((await against("--all", changed)).output, "safe: a field is not there any more")
    const half = await against("--allow", "bound-tightened@/chat:join", changed)
    assert.strictEqual(half.code, 1)
    assert.include(half.output, "allowed (breaking): maxLength")
    const allowed = ["--allow", "bound-tightened@/chat:join", "--allow", "*@/chat*", "--allow", "ack-removed@*"]
    const passed = await against(...allowed, changed)
    assert.strictEqual(passed.code, 0)
    assert.include(passed.output, "--allow ack-removed@* allows nothing")
    assert.include(passed.output, "contracts.json is of the contracts before")
    assert.strictEqual((await against(...allowed, "--update", changed)).code, 0)
    assert.notStrictEqual(written(), text)
    assert.strictEqual((await against(changed)).code, 0)
  })

  it("prints JSON for programs", async () => {
    await against("--update", module(contract("room: Schema.String")))
    const { code, output } = await against("--json", module(contract("room: Schema.Int")))
    assert.strictEqual(code, 1)
    const { changes, ok, uncompared, unused, updated } = JSON.parse(output)
    assert.deepStrictEqual([ok, updated, unused, uncompared], [false, false, [], {}])
    assert.deepStrictEqual(changes, [
      {
        rule: "type-changed",
        level: "breaking",
        where: "/chat:join",
        path: "receive payload [0].room",
        message: "type: string → integer",
        breaks: "old clients",
        allowed: false
      }
    ])
  })

  it("passes risky changes, and names the places whose code it cannot compare", async () => {
    await against("--update", module(contract("room: Schema.String")))
    const changed = module(contract("room: Schema.String.check(Schema.makeFilter((room) => room !== ''))"))
    const { code, output } = await against(changed)
    assert.strictEqual(code, 0)
    assert.include(output, "risky: custom unnamed")
    assert.include(output, "not compared: the code of 1 check without an identifier, in /chat:join")
  })

  it("says what is wrong with its arguments", async () => {
    const [one, two] = [module(contract("room: Schema.String")), module(contract("room: Schema.String"))]
    const none = file("none.ts", "export const nothing = 1")
    const broken = file("broken.ts", 'throw new Error("no such luck")')
    const odd = file("odd.json", "{}")
    const strange = file("strange.json", JSON.stringify({ version: 1, namespaces: { "/chat": 1 } }))
    const later = file("later.json", JSON.stringify({ version: 2, namespaces: {} }))
    for (const [args, problem] of [
      [[one], `error: there is no ${snapshot}; --update writes it`],
      [[none, "--update"], `error: ${none} exports no contract of a namespace`],
      [[broken, "--update"], `error: ${broken} cannot be loaded: Error: no such luck`],
      [["missing.ts", "--update"], "error: missing.ts cannot be loaded"],
      [[one, two, "--update"], "error: two contracts have the same name: /chat"],
      [["--against", odd, one], `error: ${odd}: it is no snapshot of contracts`],
      [["--against", later, one], `error: ${later}: it is a snapshot of version 2`],
      [["--against", strange, one], "error: TypeError"],
      [["--allow", "anything", one], "error: --allow takes RULE@/namespace:event, not anything"],
      [["--allow", "nothing@/chat", one], "error: there is no rule nothing; there are namespace-removed"],
      [[], "Missing required argument: module"]
    ] as const) {
      const { code, errors } = await (args[0] === "--against" ? check(...args) : against(...args))
      assert.deepStrictEqual([code, errors.includes(problem)], [1, true], errors)
    }
    assert.isFalse(existsSync(snapshot))
  })

  it("is a process that ends with the verdict, although a module goes on", async () => {
    const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    const run = (...args: ReadonlyArray<string>): Promise<Result> =>
      new Promise((resolve) => {
        const command = [join(root, bin["effect-socket.io"]), "contracts", "check", ...args]
        execFile(process.execPath, command, { cwd: folder, timeout: 30_000 }, (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code ?? 99), output: stdout, errors: stderr })
        )
      })
    file("contract.ts", contract("room: Schema.String", "export { Chat as Again }\nsetInterval(() => {}, 1_000)"))
    file("again.ts", 'export { Chat } from "./contract.ts"')
    const { code, output } = await run("--update", "contract.ts", "again.ts")
    assert.deepStrictEqual([code, output], [0, "1 contract, no snapshot before\ncontracts.json is written\n"])
    file("changed.ts", contract("room: Schema.Int"))
    const refused = await run("changed.ts")
    assert.strictEqual(refused.code, 1)
    assert.include(refused.output, "type: string → integer")
    assert.strictEqual(refused.errors, "")
  })
})
