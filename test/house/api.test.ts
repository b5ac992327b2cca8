/**
 * The API reference: it can be made, and a warning fails it.
 */
import { execFileSync } from "node:child_process"
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

import { isExhaustive } from "../support/extent.ts"
import { read, root } from "../support/sources.ts"

const check = (cwd: string): string =>
  execFileSync(process.execPath, [".config/api.ts", "--check"], { cwd, encoding: "utf8", stdio: "pipe" })

describe("the API reference", () => {
  it("has no broken link, and no module or type without documentation", { timeout: 120_000 }, () => {
    check(root)
  })

  it.skipIf(!isExhaustive)("fails on a broken link", { timeout: 120_000 }, () => {
    const copy = mkdtempSync(join(tmpdir(), "api-"))
    try {
      for (const path of ["src", "examples", ".config", "package.json", "tsconfig.json", "README.md"]) {
        cpSync(join(root, path), join(copy, path), { recursive: true })
      }
      symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
      const broken = read("src/Binary.ts").replace("Binary payloads", "Binary {@link nowhere} payloads")
      writeFileSync(join(copy, "src", "Binary.ts"), broken)
      assert.throws(() => check(copy))
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  })
})
