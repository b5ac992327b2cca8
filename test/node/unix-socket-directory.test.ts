/**
 * The servers of one machine, in a folder.
 */
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Scope } from "effect"

import { type NodeAddress, NodeDirectory } from "../../src/engine/NodeDirectory.ts"
import * as NodeSessionRouting from "../../src/node/NodeSessionRouting.ts"
import * as UnixSocketDirectory from "../../src/node/UnixSocketDirectory.ts"
import { within } from "../support/RawClient.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => join(mkdtempSync(join(tmpdir(), "nodes-")), "run")),
  (path) => Effect.sync(() => rmSync(join(path, ".."), { recursive: true, force: true }))
)

const messageOf = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

/** A socket file whose process has died without closing it. */
const deadSocket = (path: string) => {
  const program = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`
  spawnSync(process.execPath, ["-e", program])
}

describe("a directory of Unix sockets", () => {
  it.live("is a folder for its user alone", () =>
    Effect.gen(function* () {
      const path = yield* folder
      yield* UnixSocketDirectory.make(path)
      assert.strictEqual(statSync(path).mode & 0o777, 0o700)
      yield* UnixSocketDirectory.make(path)
    })
  )

  it.live("is refused where others have access, where it is no folder, and where its path is too long", () =>
    Effect.gen(function* () {
      const path = yield* folder
      mkdirSync(path)
      chmodSync(path, 0o755)
      assert.match(yield* messageOf(UnixSocketDirectory.make(path)), /0700/)
      writeFileSync(join(path, "file"), "")
      assert.match(yield* messageOf(UnixSocketDirectory.make(join(path, "file", "below"))), /cannot create/)
      assert.match(yield* messageOf(UnixSocketDirectory.make(join(path, "x".repeat(90)))), /too long/)
    })
  )

  it.live("has two files for each server, which are gone after it", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const directory = yield* UnixSocketDirectory.make(path)
      const scope = yield* Scope.make()
      const { tag } = yield* NodeSessionRouting.make().pipe(
        Effect.provideService(NodeDirectory, directory),
        Effect.provideService(Scope.Scope, scope)
      )
      assert.sameMembers(readdirSync(path), [`${tag}.json`, `${tag}.sock`])
      assert.strictEqual(statSync(join(path, `${tag}.json`)).mode & 0o777, 0o600)
      const address = Option.getOrThrow(yield* directory.lookup(tag)) as NodeAddress & { readonly path: string }
      assert.strictEqual(address.path, join(path, `${tag}.sock`))
      assert.isAtLeast(address.secret.length, 40)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(readdirSync(path), [])
      assert.isTrue(Option.isNone(yield* directory.lookup(tag)))
    })
  )

  it.live("knows no server by a text that is no tag, nor by a file that holds no address of it", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const directory = yield* UnixSocketDirectory.make(path)
      writeFileSync(join(path, "..", "x.json"), JSON.stringify({ path: "/", secret: "s" }))
      const wrong = JSON.stringify({ path: join(path, "ABCD.sock"), secret: "s" })
      for (const [tag, text] of [
        ["json", "{"],
        ["null", "null"],
        ["less", '{"path":"x"}'],
        ["abcd", wrong],
        ["host", '{"host":"127.0.0.1","port":1,"secret":"s"}']
      ] as const) {
        writeFileSync(join(path, `${tag}.json`), text)
        assert.isTrue(Option.isNone(yield* directory.lookup(tag)), tag)
      }
      for (const tag of ["../x", "", "none", "a/b/", "\0\0\0\0"]) {
        assert.isTrue(Option.isNone(yield* directory.lookup(tag)), tag)
      }
    })
  )

  it.live("forgets servers that have died, and leaves those that live, or may be starting", () =>
    Effect.gen(function* () {
      const path = yield* folder
      mkdirSync(path, { mode: 0o700 })
      const living = createServer()
      yield* Effect.acquireRelease(
        Effect.promise(() =>
          within("socket", new Promise<void>((resolve) => living.listen(join(path, "live.sock"), resolve)))
        ),
        () => Effect.sync(() => living.close())
      )
      const old = new Date(Date.now() - 60_000)
      for (const tag of ["dead", "late"]) {
        deadSocket(join(path, `${tag}.sock`))
        assert.isTrue(existsSync(join(path, `${tag}.sock`)))
      }
      for (const tag of ["dead", "late", "live"]) writeFileSync(join(path, `${tag}.json`), "{}")
      utimesSync(join(path, "dead.sock"), old, old)
      utimesSync(join(path, "live.sock"), old, old)
      yield* UnixSocketDirectory.make(path)
      assert.sameMembers(readdirSync(path), ["late.json", "late.sock", "live.json", "live.sock"])
    })
  )
})
