/**
 * The example of exactly once, run as its comment says.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { runExample, startExample } from "../support/examples.ts"
import { connect } from "../support/serve.ts"

describe.skipIf(process.getBuiltinModule("node:sqlite") === undefined)("exactly-once", () => {
  const name = "exactly-once.ts"
  const folder = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "exactly-once-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
  )
  const shop = (FOLDER: string) =>
    Effect.acquireRelease(
      Effect.promise(() => runExample(name, { FOLDER })),
      (running) => Effect.promise(() => running.stop())
    )
  const customer = (FOLDER: string, SERVER: string) =>
    Effect.acquireRelease(
      Effect.sync(() => startExample(name, ["customer"], { FOLDER, SERVER })),
      (running) => Effect.promise(() => running.stop())
    )

  it.live("makes each order once, through the ends of the shop and of the customer", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const first = yield* shop(path)
      const ada = yield* customer(path, first.url)
      yield* Effect.promise(() => ada.printed(/^0 orders are in the outbox/m))
      ada.type("a book")
      yield* Effect.promise(() => ada.printed(/^ordered: a book \(1\)$/m))
      yield* Effect.promise(() => first.stop())
      ada.type("a pen")
      yield* Effect.promise(() => ada.printed(/^in the outbox: a pen$/m))
      yield* Effect.promise(() => ada.stop())

      const second = yield* shop(path)
      const again = yield* customer(path, second.url)
      yield* Effect.promise(() => again.printed(/^1 orders are in the outbox/m))
      yield* Effect.promise(() => again.printed(/^ordered, from the outbox: \{ article: 'a pen' \}$/m))
      yield* Effect.promise(() => second.printed(/^order 2: a pen$/m))

      const official = yield* connect(second.url, { retries: 10, ackTimeout: 5_000 })
      const id = "0f4c7d62-4e0f-4a43-9a0e-1c8f1c1f5b1a"
      const order = () =>
        Effect.callback<unknown>((resume) => {
          official.emit("order", { article: "ink" }, { id }, (_error: unknown, number: unknown) =>
            resume(Effect.succeed(number))
          )
        })
      assert.strictEqual(yield* order(), 3)
      assert.strictEqual(yield* order(), 3)
    })
  )
})
