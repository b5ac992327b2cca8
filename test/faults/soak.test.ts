/**
 * A short run of the soak; `npm run soak` is the long one.
 */
import { execFile } from "node:child_process"

import { assert, it } from "@effect/vitest"

import { costly } from "../support/extent.ts"
import { root } from "../support/sources.ts"

const CLIENTS = costly(300, 60, 60)

it("clients that come, talk and go in every way leave nothing behind in the server", { timeout: 250_000 }, async () => {
  const args = [`${root}test/faults/soak.ts`, "--rounds", "5", "--clients", String(CLIENTS)]
  const { code, output } = await new Promise<{ readonly code: unknown; readonly output: string }>((resolve) =>
    execFile(process.execPath, args, { timeout: 240_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, output: `${stdout}${stderr}` })
    )
  )
  assert.strictEqual(code, 0, output)
  assert.lengthOf(output.match(/^round /gm) ?? [], 5)
})
