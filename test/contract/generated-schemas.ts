/**
 * Generated schemas, in pairs that differ in a few places: descriptions that fast-check can make smaller, and what they describe.
 */
import { Arbitrary, Effect, Schema } from "effect"
import * as fc from "fast-check"

import * as Binary from "../../src/Binary.ts"
import type { AnySchema } from "../../src/Event.ts"

export type Spec =
  | { readonly kind: "text"; readonly min?: number; readonly max?: number; readonly check?: string }
  | {
      readonly kind: "number"
      readonly whole: boolean
      readonly above?: number
      readonly below?: number
      readonly times?: number
    }
  | { readonly kind: "plain"; readonly name: keyof typeof plain }
  | { readonly kind: "literals"; readonly values: ReadonlyArray<string | number | boolean> }
  | { readonly kind: "struct"; readonly isClass: boolean; readonly fields: Readonly<Record<string, Field>> }
  | { readonly kind: "list"; readonly item: Spec; readonly min?: number }
  | { readonly kind: "tuple"; readonly items: ReadonlyArray<Spec>; readonly optional: number }
  | { readonly kind: "union"; readonly members: ReadonlyArray<Spec> }
  | { readonly kind: "record"; readonly value: Spec }
  | { readonly kind: "option"; readonly value: Spec }
  | { readonly kind: "tree"; readonly leaf: Spec }

interface Field {
  readonly spec: Spec
  readonly presence: "required" | "optionalKey" | "optional" | "default"
}

const Even = Schema.Int.check(Schema.makeFilter((n: number) => n % 2 === 0, { identifier: "Even" }))

const plain = {
  number: Schema.Number,
  boolean: Schema.Boolean,
  null: Schema.Null,
  undefined: Schema.Undefined,
  date: Schema.Date,
  numeral: Schema.FiniteFromString,
  positiveNumeral: Schema.FiniteFromString.check(Schema.isGreaterThan(0)),
  bigint: Schema.BigInt,
  bytes: Binary.Bytes,
  trimmed: Schema.Trim,
  unknown: Schema.Unknown,
  any: Schema.Any,
  never: Schema.Never,
  empty: Schema.Struct({}),
  duration: Schema.Duration,
  even: Even,
  uuid: Schema.String.check(Schema.isUUID()),
  template: Schema.TemplateLiteral(["a", Schema.Int]),
  json: Schema.fromJsonString(Schema.Struct({ a: Schema.Int })),
  lowercase: Schema.String.check(Schema.isPattern(/^[a-z]*$/)),
  set: Schema.HashSet(Schema.Finite),
  redacted: Schema.Redacted(Schema.String),
  nullableOption: Schema.OptionFromNullOr(Schema.String)
} as const

const checks: Readonly<Record<string, unknown>> = {
  "not a": Schema.makeFilter((text: string) => text !== "a", { identifier: "not a" }),
  "not b": Schema.makeFilter((text: string) => text !== "b", { identifier: "not b" }),
  lower: Schema.isLowercased(),
  starts: Schema.isStartingWith("a"),
  points: Schema.isMinCodePoints(1)
}

const narrowed = (schema: any, ...checks: ReadonlyArray<unknown>) => {
  const given = checks.filter((check) => check !== undefined)
  return given.length === 0 ? schema : schema.check(...given)
}

const when = <A, B>(value: A | undefined, make: (value: A) => B): B | undefined =>
  value === undefined ? undefined : make(value)

export const schemaOf = (spec: Spec): AnySchema => {
  switch (spec.kind) {
    case "text":
      return narrowed(
        Schema.String,
        when(spec.min, (min) => Schema.isMinLength(min)),
        when(spec.max, (max) => Schema.isMaxLength(max)),
        when(spec.check, (check) => checks[check])
      )
    case "number":
      return narrowed(
        spec.whole ? Schema.Int : Schema.Finite,
        when(spec.above, (above) => Schema.isGreaterThan(above)),
        when(spec.below, (below) => Schema.isLessThanOrEqualTo(below)),
        when(spec.times, (times) => Schema.isMultipleOf(times))
      )
    case "plain":
      return plain[spec.name] as never
    case "literals":
      return Schema.Literals(spec.values as [string]) as never
    case "struct": {
      const fields = Object.fromEntries(Object.entries(spec.fields).map(([name, field]) => [name, fieldOf(field)]))
      return (spec.isClass ? class Made extends Schema.Class<any>("Made")(fields) {} : Schema.Struct(fields)) as never
    }
    case "list":
      return narrowed(
        Schema.Array(schemaOf(spec.item)),
        when(spec.min, (min) => Schema.isMinLength(min))
      )
    case "tuple":
      return Schema.Tuple(
        spec.items.map((item, i) =>
          i >= spec.items.length - spec.optional ? Schema.optionalKey(schemaOf(item)) : schemaOf(item)
        )
      ) as never
    case "union":
      return Schema.Union(spec.members.map(schemaOf)) as never
    case "record":
      return Schema.Record(Schema.String, schemaOf(spec.value)) as never
    case "option":
      return Schema.Option(schemaOf(spec.value)) as never
    case "tree": {
      const tree: AnySchema = Schema.Struct({
        leaf: schemaOf(spec.leaf),
        below: Schema.Array(Schema.suspend((): AnySchema => tree))
      }) as never
      return tree
    }
  }
}

const fieldOf = ({ presence, spec }: Field): AnySchema => {
  const schema = schemaOf(spec)
  if (presence === "optionalKey") return Schema.optionalKey(schema) as never
  if (presence === "optional") return Schema.optional(schema) as never
  if (presence === "default") {
    // The same value each time; a schema without one has no default.
    const arbitrary = Arbitrary.schema(schema)
    const [value] = Effect.runSync(Arbitrary.sampleEffect(arbitrary, { count: 1, seed: 1, size: 3 }))
    return schema.pipe(Schema.withDecodingDefault(Effect.succeed(Schema.encodeUnknownSync(schema)(value)))) as never
  }
  return schema
}

const little = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined, freq: 2 })

const record = <A extends object>(shape: { [K in keyof A]: fc.Arbitrary<A[K]> }) =>
  fc.record(shape as any) as fc.Arbitrary<A>

const leaf: fc.Arbitrary<Spec> = fc.oneof(
  record<any>({
    kind: fc.constant("text"),
    min: little(fc.integer({ min: 0, max: 3 })),
    max: little(fc.integer({ min: 3, max: 6 })),
    check: little(fc.constantFrom(...Object.keys(checks)))
  }),
  record<any>({
    kind: fc.constant("number"),
    whole: fc.boolean(),
    above: little(fc.integer({ min: -5, max: 5 })),
    below: little(fc.integer({ min: 5, max: 100 })),
    times: little(fc.constantFrom(1, 2, 4))
  }).map((spec) => (spec.whole ? spec : Object.assign({}, spec, { times: undefined }))),
  record<any>({ kind: fc.constant("plain"), name: fc.constantFrom(...Object.keys(plain)) }),
  record<any>({
    kind: fc.constant("literals"),
    values: fc.uniqueArray(fc.constantFrom("a", "b", "c", 1, 2, true, false), { minLength: 1, maxLength: 4 })
  })
)

const fields = (spec: fc.Arbitrary<Spec>) =>
  fc.dictionary(
    fc.constantFrom("a", "b", "_tag", "c d"),
    record<Field>({ spec, presence: fc.constantFrom("required", "required", "optionalKey", "optional", "default") }),
    { minKeys: 1, maxKeys: 3 }
  )

const tagged = (spec: fc.Arbitrary<Spec>): fc.Arbitrary<Spec> =>
  fc.tuple(fc.constantFrom("A", "B", "C"), fields(spec)).map(([tag, fields]) => ({
    kind: "struct",
    isClass: false,
    fields: { ...fields, _tag: { presence: "required", spec: { kind: "literals", values: [tag] } } }
  }))

export const specs: fc.Arbitrary<Spec> = fc.letrec<{ spec: Spec }>((tie) => ({
  spec: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    { weight: 3, arbitrary: leaf },
    {
      weight: 3,
      arbitrary: record<any>({ kind: fc.constant("struct"), isClass: fc.boolean(), fields: fields(tie("spec")) })
    },
    {
      weight: 1,
      arbitrary: record<any>({
        kind: fc.constant("list"),
        item: tie("spec"),
        min: little(fc.integer({ min: 0, max: 2 }))
      })
    },
    {
      weight: 1,
      arbitrary: fc.array(tie("spec"), { maxLength: 3 }).chain((items) =>
        record<any>({
          kind: fc.constant("tuple"),
          items: fc.constant(items),
          optional: fc.integer({ min: 0, max: items.length })
        })
      )
    },
    {
      weight: 2,
      arbitrary: record<any>({
        kind: fc.constant("union"),
        members: fc.array(fc.oneof(tie("spec"), tagged(tie("spec"))), { minLength: 1, maxLength: 3 })
      })
    },
    { weight: 1, arbitrary: record<any>({ kind: fc.constant("record"), value: tie("spec") }) },
    { weight: 1, arbitrary: record<any>({ kind: fc.constant("option"), value: tie("spec") }) },
    { weight: 1, arbitrary: record<any>({ kind: fc.constant("tree"), leaf: tie("spec") }) }
  )
})).spec as fc.Arbitrary<Spec>

/** The same description with changes in some places, which numbers choose. */
const changed = (spec: Spec, other: Spec, choose: () => number): Spec => {
  const choice = choose()
  if (choice < 0.02) return other
  const below = (inner: Spec) => changed(inner, other, choose)
  const shifted = (value: number | undefined) =>
    choose() < 0.5 ? undefined : (value ?? 1) + Math.floor(choose() * 3) - 1
  const atLeast = (value: number | undefined) => (value === undefined ? undefined : Math.max(0, value))
  const isTouched = choice < 0.2
  switch (spec.kind) {
    case "text":
      return isTouched ? ({ ...spec, min: atLeast(shifted(spec.min)), max: shifted(spec.max ?? 5) } as Spec) : spec
    case "number":
      return isTouched
        ? ({
            ...spec,
            above: shifted(spec.above),
            below: shifted(spec.below ?? 9),
            whole: choose() < 0.5,
            times: undefined
          } as unknown as Spec)
        : spec
    case "plain":
      return spec
    case "literals":
      return isTouched
        ? {
            ...spec,
            values: choose() < 0.5 ? [...spec.values, "d"] : spec.values.slice(0, Math.max(1, spec.values.length - 1))
          }
        : spec
    case "struct": {
      const entries = Object.entries(spec.fields).flatMap(([name, field]): Array<[string, Field]> => {
        if (choose() < 0.03) return []
        const presence =
          choose() < 0.06
            ? (["required", "optionalKey", "optional", "default"] as const)[Math.floor(choose() * 4)]!
            : field.presence
        return [[name, { presence, spec: below(field.spec) }]]
      })
      if (choose() < 0.1) entries.push(["new", { presence: choose() < 0.5 ? "optionalKey" : "required", spec: other }])
      return entries.length === 0
        ? spec
        : { ...spec, isClass: choose() < 0.1 ? !spec.isClass : spec.isClass, fields: Object.fromEntries(entries) }
    }
    case "list":
      return { ...spec, item: below(spec.item), ...(isTouched ? { min: atLeast(shifted(spec.min)) } : {}) } as Spec
    case "tuple":
      return {
        ...spec,
        items: spec.items.map(below),
        optional: isTouched ? Math.floor(choose() * (spec.items.length + 1)) : spec.optional
      }
    case "union": {
      const members = spec.members.map(below)
      if (choose() < 0.1) members.push(other)
      return { ...spec, members: choose() < 0.1 && members.length > 1 ? members.slice(1) : members }
    }
    case "record":
    case "option":
      return { ...spec, value: below(spec.value) }
    case "tree":
      return { ...spec, leaf: below(spec.leaf) }
  }
}

export interface SpecPair {
  readonly before: Spec
  readonly after: Spec
}

export const pairs: fc.Arbitrary<SpecPair> = fc
  .tuple(specs, specs, fc.array(fc.noBias(fc.integer({ min: 0, max: 999 })), { minLength: 10, maxLength: 80 }))
  .map(([before, other, numbers]) => {
    let at = 0
    return { before, after: changed(before, other, () => numbers[at++ % numbers.length]! / 1_000) }
  })
