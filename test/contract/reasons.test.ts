/**
 * The reasons of errors: tagged values, which `Effect.catchReason` handles.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as HandshakeError from "../../src/engine/HandshakeError.ts"
import { AckError, type AckErrorReason } from "../../src/SocketIoError.ts"

describe("the error of an acknowledgement", () => {
  const reasons: ReadonlyArray<readonly [reason: AckErrorReason, words: string]> = [
    [{ _tag: "Disconnected" }, "Disconnected"],
    [{ _tag: "InvalidAcknowledgement", description: "why" }, "InvalidAcknowledgement (why)"],
    [{ _tag: "PayloadRefused", description: "why" }, "PayloadRefused (why)"],
    [{ _tag: "EventRefused", description: "why", data: 1 }, "EventRefused (why)"],
    [{ _tag: "EventNotHandled" }, "EventNotHandled"],
    [{ _tag: "HandlerFailed" }, "HandlerFailed"],
    [{ _tag: "TooManyPending" }, "TooManyPending"],
    [{ _tag: "Timeout" }, "Timeout"],
    [{ _tag: "NotSent" }, "NotSent"]
  ]

  it("names its event and its reason", () => {
    for (const [reason, words] of reasons) {
      assert.strictEqual(new AckError({ event: "ask", reason }).message, `ack of "ask": ${words}`)
    }
  })

  it.effect("is handled by its reason", () =>
    Effect.gen(function* () {
      for (const [reason, words] of reasons) {
        const handled = yield* Effect.fail(new AckError({ event: "ask", reason })).pipe(
          Effect.catchReason("AckError", "Disconnected", () => Effect.succeed("away")),
          Effect.catchReasons("AckError", { EventRefused: ({ data }) => Effect.succeed(String(data)) }),
          Effect.catchTag("AckError", ({ message }) => Effect.succeed(message))
        )
        const expected = { Disconnected: "away", EventRefused: "1" }[reason._tag as string]
        assert.strictEqual(handled, expected ?? `ack of "ask": ${words}`)
      }
    })
  )
})

it.effect("a refused request is handled by its reason", () =>
  Effect.gen(function* () {
    const tags = ["TransportUnknown", "SessionUnknown", "BadMethod", "BadRequest", "Forbidden", "UnsupportedVersion"]
    for (const code of [0, 1, 2, 3, 4, 5] as const) {
      const error = HandshakeError.make(code, "context")
      assert.deepInclude(error, { code, reason: { _tag: tags[code] } as HandshakeError.HandshakeErrorReason })
      const handled = yield* Effect.fail(error).pipe(
        Effect.catchReason("HandshakeError", "Forbidden", () => Effect.succeed(4)),
        Effect.catchTag("HandshakeError", () => Effect.succeed(-1))
      )
      assert.strictEqual(handled, code === 4 ? 4 : -1)
    }
  })
)
