/**
 * Unions that contain themselves: which of them let a client make the server work.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schema } from "effect"

import * as Event from "../../src/Event.ts"
import { compile } from "../../src/internal/compileContract.ts"
import * as Namespace from "../../src/Namespace.ts"
import { isAmbiguous } from "../../src/server/internal/ambiguity.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

/** A schema that is made of itself. */
const recursive = (make: (self: Event.AnySchema) => Event.AnySchema): Event.AnySchema => {
  const schema: Event.AnySchema = make(Schema.suspend(() => schema))
  return schema
}

class Left extends Schema.Class<Left>("test/Left")({ next: Schema.suspend((): Event.AnySchema => Side) }) {}
class Right extends Schema.Class<Right>("test/Right")({
  next: Schema.suspend((): Event.AnySchema => Side),
  weight: Schema.Int
}) {}
const Side: Event.AnySchema = Schema.Union([Left, Right, Schema.Null])

/** A step by which a value goes deeper. */
type Wrap = (value: unknown) => unknown

const harmful: Readonly<Record<string, Event.AnySchema>> = {
  "structs with a field in common": recursive((self) =>
    Schema.Union([Schema.Struct({ a: self }), Schema.Struct({ a: self, b: Schema.String }), Schema.Null])
  ),
  "structs of other fields, as a client may send both": recursive((self) =>
    Schema.Union([Schema.Struct({ and: self }), Schema.Struct({ or: self }), Schema.Null])
  ),
  "a struct and a record": recursive((self) =>
    Schema.Union([Schema.Struct({ a: self }), Schema.Record(Schema.String, self), Schema.Null])
  ),
  "an array and a tuple": recursive((self) => Schema.Union([Schema.Array(self), Schema.Tuple([self]), Schema.Null])),
  "a union in a field of a struct": recursive((self) =>
    Schema.Struct({ x: Schema.Union([Schema.Struct({ a: self }), Schema.Struct({ a: self, b: Schema.String })]) })
  ),
  "a union in a union": recursive((self) =>
    Schema.Union([Schema.Struct({ a: self }), Schema.Union([Schema.Struct({ a: self, b: self }), Schema.Null])])
  ),
  classes: Side,
  "a literal that is looked at too late, and not an only one": recursive((self) =>
    Schema.Union([
      Schema.Struct({ a: self, kind: Schema.Literals(["and", "or"]) }),
      Schema.Struct({ a: self, kind: Schema.Literals(["not"]), b: Schema.optionalKey(self) }),
      Schema.Struct({ a: self, kind: Schema.Literals(["xor", "nor"]) })
    ])
  )
}

const harmless: Readonly<Record<string, Event.AnySchema>> = {
  "members with a tag": recursive((self) =>
    Schema.Union([
      Schema.Struct({ _tag: Schema.Literal("A"), a: self }),
      Schema.Struct({ a: self, _tag: Schema.Literal("B") }),
      Schema.Null
    ])
  ),
  "tuples that begin with a tag": recursive((self) =>
    Schema.Union([
      Schema.Tuple([Schema.Literal("+"), self, self]),
      Schema.Tuple([Schema.Literal("-"), self]),
      Schema.Number
    ])
  ),
  "members with a literal of several, before what they contain": recursive((self) =>
    Schema.Union([
      Schema.Struct({ kind: Schema.Literals(["and", "or"]), of: Schema.Array(self) }),
      Schema.Struct({ kind: Schema.Literal("not"), of: Schema.Array(self) })
    ])
  ),
  "arrays, records and primitives": recursive((self) =>
    Schema.Union([Schema.Array(self), Schema.Record(Schema.String, self), Schema.String, Schema.Null])
  ),
  "Schema.Json": Schema.Json,
  "one member that contains the union": recursive((self) =>
    Schema.Union([Schema.Struct({ a: self }), Schema.Struct({ leaf: Schema.String }), Schema.Null])
  ),
  "trees without a choice": recursive((self) =>
    Schema.Struct({ children: Schema.Array(self), other: Schema.optionalKey(self) })
  ),
  "structs that end somewhere": Schema.Union([
    Schema.Struct({ a: Schema.Union([Schema.Struct({ x: Schema.Int }), Schema.Struct({ y: Schema.Int })]) }),
    Schema.Struct({ a: Schema.Int })
  ])
}

/** How often the innermost part of a value that fits nothing is looked at. */
const tries = (make: (self: Event.AnySchema, leaf: Event.AnySchema) => Event.AnySchema, wrap: Wrap, depth: number) => {
  let times = 0
  const leaf = Schema.String.check(
    Schema.makeFilter(() => {
      times++
      return false
    })
  )
  let value: unknown = "leaf"
  for (let i = 0; i < depth; i++) value = wrap(value)
  assert.strictEqual(compile(recursive((self) => make(self, leaf))).decode(value)._tag, "Failure")
  return times
}

describe("a union that contains itself", () => {
  for (const [what, schema] of Object.entries(harmful)) {
    it(`is warned of where it has ${what}`, () => {
      assert.isTrue(isAmbiguous(schema))
    })
  }

  for (const [what, schema] of Object.entries(harmless)) {
    it(`is not warned of where it has ${what}`, () => {
      assert.isFalse(isAmbiguous(schema))
    })
  }

  it("takes work that doubles with each level where it is warned of, and not where a tag tells its members apart", () => {
    const structs = (self: Event.AnySchema, leaf: Event.AnySchema) =>
      Schema.Union([Schema.Struct({ and: self }), Schema.Struct({ or: self }), leaf])
    const both = (x: unknown) => ({ and: x, or: x })
    assert.deepStrictEqual([tries(structs, both, 4), tries(structs, both, 8)], [16, 256])
    const tagged = (self: Event.AnySchema, leaf: Event.AnySchema) =>
      Schema.Union([
        Schema.Struct({ _tag: Schema.Literal("A"), x: self }),
        Schema.Struct({ _tag: Schema.Literal("B"), x: self }),
        leaf
      ])
    const one = (x: unknown) => ({ _tag: "B", x })
    assert.deepStrictEqual([tries(tagged, one, 4), tries(tagged, one, 8)], [1, 1])
  })
})

describe("a contract that lets clients send such a thing", () => {
  const served = (contract: Namespace.Any) =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const layer = contract.params === undefined ? SocketIoServer.layerNamespace : SocketIoServer.layerDynamicNamespace
      const build = () => Effect.succeed(contract.params === undefined ? {} : () => Effect.succeed({}))
      yield* Layer.build(
        (layer as any)(contract, build).pipe(
          Layer.provideMerge(TestSocketIo.layer()),
          Layer.provide(
            Logger.layer([Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))])
          )
        ) as Layer.Layer<never>
      )
      return lines
    })
  const schema = harmful.classes!
  const Tree = Event.make("tree", { payload: schema })
  const Fine = Event.make("fine", { payload: harmless["Schema.Json"]! })
  const Asked = Event.make("asked", { ack: schema })

  it.effect("is told of once, with its events, when a layer serves it", () =>
    Effect.gen(function* () {
      const lines = yield* served(
        Namespace.make("/trees", { auth: schema, clientToServer: [Tree, Fine], serverToClient: [Asked] })
      )
      assert.lengthOf(lines, 1)
      assert.match(
        lines[0]!,
        /^Warn "\/trees": the auth payload, the payload of "tree", the acknowledgement of "asked" can take time/
      )
      assert.lengthOf(yield* served(Namespace.dynamic("/trees/:id", { clientToServer: [Tree] })), 1)
    })
  )

  it.effect("is not one that sends it to them, or has none", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* served(Namespace.make("/fine", { clientToServer: [Fine], serverToClient: [Tree, Fine] })),
        []
      )
    })
  )
})
