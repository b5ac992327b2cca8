/**
 * The reasons of errors: tagged values, which `Effect.catchReason` handles.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { ConnectError, type ConnectErrorReason } from "../../src/client/ClientSocket.ts"
import * as HandshakeError from "../../src/engine/HandshakeError.ts"
import { ConnectRefused } from "../../src/NamespaceMiddleware.ts"
import { AckError, type AckErrorReason, isSocketIoError } from "../../src/SocketIoError.ts"

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

it.effect("a connection that does not come about is handled by its reason", () =>
  Effect.gen(function* () {
    const reasons: ReadonlyArray<ConnectErrorReason> = [
      { _tag: "Refused", data: { code: 401 } },
      { _tag: "Disconnected", reason: "transport error", status: 502 },
      { _tag: "AuthFailed", cause: new Error("no token") },
      { _tag: "OldServer" },
      { _tag: "Closed" }
    ]
    const handled = reasons.map((reason) =>
      Effect.fail(new ConnectError({ namespace: "/a", message: "no", reason, willRetry: false })).pipe(
        Effect.catchReason("ConnectError", "Refused", ({ data }, error) => Effect.succeed([data, error.message])),
        Effect.catchReasons("ConnectError", { Disconnected: ({ reason, status }) => Effect.succeed([reason, status]) }),
        Effect.catchTag("ConnectError", ({ reason }) => Effect.succeed(reason._tag))
      )
    )
    assert.deepStrictEqual(yield* Effect.all(handled), [
      [{ code: 401 }, "no"],
      ["transport error", 502],
      "AuthFailed",
      "OldServer",
      "Closed"
    ])
  })
)

it.effect("the errors of the library are known from those of the application", () =>
  Effect.gen(function* () {
    const ours = [
      new AckError({ event: "ask", reason: { _tag: "Timeout" } }),
      new ConnectRefused({ message: "no" }),
      HandshakeError.make(3, "context")
    ]
    for (const error of ours) {
      const handled = Effect.catchIf(Effect.fail(error), isSocketIoError, ({ message }) => Effect.succeed(message))
      assert.strictEqual(yield* handled, error.message)
      // Logs do not show the mark.
      assert.notInclude(Object.keys(error).join(), "~")
    }
    for (const other of [new Error("a"), { _tag: "AckError" }, null, undefined, "AckError"]) {
      assert.isFalse(isSocketIoError(other))
    }
  })
)

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
