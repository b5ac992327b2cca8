/**
 * The generators of the property tests. The seed is fixed: a failure is found again.
 */
import * as fc from "fast-check"

export const settings = { seed: 20_240_517, numRuns: 2_000 } as const

/** JSON values, with the keys and strings that trip parsers among them. */
export const json: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
    fc.string({ unit: "grapheme" }),
    fc.constantFrom("\x1e", "\u2028", "😀", "2", "42[]", "é"),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom("toString", "constructor", "num", "_tag", "length")),
      tie("value"),
      { maxKeys: 5, noNullPrototype: true }
    )
  )
})).value

export const bytes: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 64 })

/** JSON values with bytes among them. */
export const withBinary: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: "small" },
    json,
    bytes,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie("value"), { maxKeys: 4, noNullPrototype: true })
  )
})).value

/** Values that notepack.io 2 reads back as they were, `undefined` and dates among them. */
export const notepackValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: "small" },
    fc.constantFrom(null, undefined, true, false, "", NaN, Infinity, -Infinity),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noInteger: true }),
    fc.string({ unit: "grapheme", maxLength: 300 }),
    fc.date({ noInvalidDate: true }),
    bytes.map((bytes) => Buffer.from(bytes)),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(
      fc.oneof(fc.string(), fc.nat(2_000).map(String), fc.constantFrom("toString", "constructor", "😀")).filter(
        // It would become the prototype.
        (key) => key !== "__proto__"
      ),
      tie("value"),
      { maxKeys: 20, noNullPrototype: true }
    )
  )
})).value

export const eventName = fc
  .oneof(fc.string(), fc.constantFrom("message", "a b", "", "__proto__", "2", "[]", "/x,"))
  .filter(
    (name) =>
      !["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"].includes(name)
  )

export const namespace = fc.oneof(
  fc.constantFrom("/", "/a", "/custom", "/a/b", "/q?x=1&y=2", "/1", "/[", '/"', "/ü"),
  fc.string().map((name) => "/" + name.replaceAll(",", ""))
)

export const id = fc.oneof(fc.constant(undefined), fc.nat(), fc.constantFrom(0, Number.MAX_SAFE_INTEGER))

/** Text with what has different lengths in UTF-16 and UTF-8, or no form in UTF-8, or needs to be escaped. */
export const text = fc
  .array(fc.constantFrom("a", "1", ":", "é", "€", "😀", "\ud83d", "\ude00", "\ufeff", "\0", "\x1e", "\n", "\\", "\\n"))
  .map((parts) => parts.join(""))

/** Text near the grammar, and text far from it. */
export const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .tuple(
      fc.constantFrom("", "0", "1", "2", "3", "4", "5", "6", "7", "b", "51-", "50-", "61-", "599-", "5-1-", "51e0-"),
      fc.constantFrom("", "/a,", "/a", "/,", ",", "/a?b=1,"),
      fc.constantFrom("", "0", "12", "007", "9007199254740993", " 1", "1e3", "-1"),
      fc.oneof(
        fc.constant(""),
        json.map((value) => JSON.stringify(value)),
        fc.array(json, { maxLength: 3 }).map((args) => JSON.stringify(["event", ...args])),
        fc.constantFrom(
          "[",
          "{",
          '["a",{"_placeholder":true,"num":0}]',
          '["a",{"_placeholder":true,"num":"splice"}]',
          '["a",{"_placeholder":true,"num":-1}]',
          '["a",{"_placeholder":true,"num":0.5}]',
          '["connect"]',
          '[{"toString":"foo"}]',
          '["a",{"__proto__":{"x":1}}]'
        ),
        fc.nat(200).map((depth) => "[".repeat(depth) + "]".repeat(depth))
      )
    )
    .map((parts) => parts.join(""))
)
