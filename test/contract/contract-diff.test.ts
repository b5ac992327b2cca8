/**
 * Changes of contracts: each rule with a pair of contracts, and generated messages that prove its verdict.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, SchemaTransformation } from "effect"
import * as z from "zod"

import * as Binary from "../../src/Binary.ts"
import * as ContractDiff from "../../src/ContractDiff.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import { costly } from "../support/extent.ts"
import { exchange } from "./exchange.ts"

const changes = (before: Namespace.Any, after: Namespace.Any): ReadonlyArray<ContractDiff.Change> =>
  ContractDiff.compare(
    ContractDiff.parse(ContractDiff.stringify(ContractDiff.snapshot([before]))),
    ContractDiff.parse(ContractDiff.stringify(ContractDiff.snapshot([after])))
  )

const worst = (all: ReadonlyArray<ContractDiff.Change>): ContractDiff.Level => all[0]?.level ?? "safe"

const received = (...events: ReadonlyArray<Event.Any>) => Namespace.make("/chat", { clientToServer: events })
const sent = (...events: ReadonlyArray<Event.Any>) => Namespace.make("/chat", { serverToClient: events })

type Payload = Event.AnySchema

/** The rule; or that where clients send, and that where the server does. */
type Rule = ContractDiff.RuleId | readonly [ContractDiff.RuleId, ContractDiff.RuleId]

const ruleOf = (rule: Rule, side: 0 | 1): ContractDiff.RuleId => (typeof rule === "string" ? rule : rule[side])

const event = (payload: Payload): Event.Any => Event.make("say", { payload })
const ack = (ack: Payload): Event.Any => Event.make("say", { ack })

type Pair = readonly [before: Payload, after: Payload]

const Text = Schema.String
const ofZod = (schema: z.ZodType): Payload => Event.standard(schema as z.ZodString)
const S = Schema.Struct
const tagged = (tag: string) => Schema.TaggedStruct(tag, { at: Schema.Finite })
const tree = (leaf: Payload): Payload => {
  const node: Payload = S({ leaf, below: Schema.Array(Schema.suspend((): Payload => node)) }) as never
  return node
}
const Fields = S({ a: Text })
class Made extends Schema.Class<Made>("Made")({ a: Text }) {}
const refusing = {
  decode: (fields: { readonly a: string }) => {
    if (fields.a === "") throw new Error("empty")
    return new Made(fields)
  },
  encode: ({ a }: Made) => ({ a })
}
const named = (name: string) => Schema.makeFilter((text: string) => text !== name, { identifier: `not ${name}` })

/** The name of a change of a payload, and its level where clients send it and where the server does. */
const payloads: Record<string, readonly [rule: Rule, receive: string, send: string, pair: Pair]> = {
  "a required field is new": ["required-field-added", "breaking", "safe", [S({ a: Text }), S({ a: Text, b: Text })]],
  "an optional field is new": [
    "optional-field-added",
    "safe",
    "safe",
    [S({ a: Text }), S({ a: Text, b: Schema.optionalKey(Text) })]
  ],
  "a required field is removed": ["field-removed", "safe", "breaking", [S({ a: Text, b: Text }), S({ a: Text })]],
  "an optional field is removed": [
    "field-removed",
    "safe",
    "safe",
    [S({ a: Text, b: Schema.optional(Text) }), S({ a: Text })]
  ],
  "a field becomes required": [
    "field-became-required",
    "breaking",
    "safe",
    [S({ a: Schema.optionalKey(Text) }), S({ a: Text })]
  ],
  "a field becomes optional": [
    "field-became-optional",
    "safe",
    "breaking",
    [S({ a: Text }), S({ a: Schema.optionalKey(Text) })]
  ],
  "a field gets a default": [
    "field-became-optional",
    "safe",
    "breaking",
    [
      S({ a: Text }),
      S({ a: Text.pipe(Schema.withDecodingDefaultKey(Effect.succeed("x"), { encodingStrategy: "omit" })) })
    ]
  ],
  "an enumeration grows": [
    "union-grew",
    "safe",
    "breaking",
    [Schema.Literals(["a", "b"]), Schema.Literals(["a", "b", "c"])]
  ],
  "an enumeration shrinks": [
    "union-shrank",
    "breaking",
    "safe",
    [Schema.Literals(["a", "b", "c"]), Schema.Literals(["a", "b"])]
  ],
  "a union grows": ["union-grew", "safe", "breaking", [tagged("A"), Schema.Union([tagged("A"), tagged("B")])]],
  "a union shrinks": ["union-shrank", "breaking", "safe", [Schema.Union([tagged("A"), tagged("B")]), tagged("B")]],
  "null is allowed": ["union-grew", "safe", "breaking", [Text, Schema.NullOr(Text)]],
  "any text is allowed": ["bound-loosened", "safe", "breaking", [Schema.Literals(["a", "b"]), Text]],
  "a length is bounded": ["bound-tightened", "breaking", "safe", [Text, Text.check(Schema.isMaxLength(3))]],
  "a length is less bounded": [
    "bound-loosened",
    "safe",
    "breaking",
    [Text.check(Schema.isBetweenLength(2, 3)), Text.check(Schema.isMinLength(1))]
  ],
  "a minimum rises": [
    "bound-tightened",
    "breaking",
    "safe",
    [Schema.Int.check(Schema.isGreaterThan(0)), Schema.Int.check(Schema.isGreaterThanOrEqualTo(5))]
  ],
  "a maximum rises": [
    "bound-loosened",
    "safe",
    "breaking",
    [Schema.Finite.check(Schema.isLessThan(5)), Schema.Finite.check(Schema.isLessThanOrEqualTo(50))]
  ],
  "numbers must be whole": ["bound-tightened", "breaking", "safe", [Schema.Finite, Schema.Int]],
  "numbers must be finite": ["union-shrank", "breaking", "safe", [Schema.Number, Schema.Finite]],
  "numbers must be multiples": [
    "bound-tightened",
    "breaking",
    "safe",
    [Schema.Int.check(Schema.isMultipleOf(2)), Schema.Int.check(Schema.isMultipleOf(4))]
  ],
  "a pattern is new": ["bound-tightened", "breaking", "safe", [Text, Text.check(Schema.isPattern(/^[a-z]*$/))]],
  "a check is new": ["bound-tightened", "breaking", "safe", [Text, Text.check(Schema.isUUID())]],
  "a list is longer": [
    "bound-tightened",
    "breaking",
    "safe",
    [Schema.Array(Text), Schema.Array(Text).check(Schema.isMinLength(2))]
  ],
  "a bound of a decoded number rises": [
    "bound-tightened",
    "breaking",
    "safe",
    [Schema.FiniteFromString.check(Schema.isGreaterThan(0)), Schema.FiniteFromString.check(Schema.isGreaterThan(10))]
  ],
  "a type changes": ["type-changed", "breaking", "breaking", [Text, Schema.Finite]],
  "a type changes deep inside": [
    "type-changed",
    "breaking",
    "breaking",
    [S({ a: Schema.Array(S({ b: Text })) }), S({ a: Schema.Array(S({ b: Schema.Boolean })) })]
  ],
  "a type changes in a recursive schema": ["type-changed", "breaking", "breaking", [tree(Text), tree(Schema.Int)]],
  "bytes become a text": ["type-changed", "breaking", "breaking", [Binary.Bytes, Schema.Uint8Array]],
  "a text must be a date": [["type-changed", "bound-tightened"], "breaking", "safe", [Text, Schema.Date]],
  "anything must be a text": [["type-changed", "bound-tightened"], "breaking", "safe", [Schema.Unknown, Text]],
  "JSON must not be bytes": ["type-changed", "breaking", "breaking", [Binary.Bytes, Schema.Unknown]],
  "a check of the application is new": [
    ["not-understood", "bound-tightened"],
    "risky",
    "safe",
    [Text, Text.check(named("a"))]
  ],
  "a check of the application is another one": [
    "not-understood",
    "risky",
    "risky",
    [Text.check(named("a")), Text.check(named("b"))]
  ],
  "a pattern changes": [
    "not-understood",
    "risky",
    "risky",
    [Text.check(Schema.isPattern(/^a/)), Text.check(Schema.isPattern(/a/))]
  ],
  "a transformation of the application makes the instances of a class": [
    ["not-understood", "bound-tightened"],
    "risky",
    "safe",
    [Fields, Fields.pipe(Schema.decodeTo(Schema.toType(Made), SchemaTransformation.transform(refusing)))]
  ],
  "a schema of another library is another one": [
    "not-understood",
    "risky",
    "risky",
    [ofZod(z.object({ a: z.string() })), ofZod(z.object({ a: z.string().min(3) }))]
  ],
  "a record gets other values": [
    "bound-tightened",
    "breaking",
    "safe",
    [Schema.Record(Text, Schema.Finite), Schema.Record(Text, Schema.Int)]
  ],
  "a class takes the place of a struct": [
    "optional-field-added",
    "safe",
    "safe",
    [S({ a: Text }), class A extends Schema.Class<A>("A")({ a: Text, b: Schema.optionalKey(Text) }) {}]
  ]
}

const value = <A extends Payload>(schema: A, error: Payload) => Event.make("say", { ack: schema, error })
const Failed = Schema.TaggedStruct("Failed", { reason: Text })
const Full = Schema.TaggedStruct("Full", { size: Schema.Int })

/** The same for changes of whole events. */
const events: Record<
  string,
  readonly [rule: Rule, receive: string, send: string, before: Event.Any | undefined, after: Event.Any | undefined]
> = {
  "an event is new": ["event-added", "safe", "safe", undefined, event(Text)],
  "an event is removed": ["event-removed", "breaking", "safe", event(Text), undefined],
  "an acknowledged event is removed": ["event-removed", "breaking", "breaking", ack(Text), undefined],
  "an argument is new": [
    "arity-changed",
    "breaking",
    "breaking",
    Event.make("say", { args: [Text] }),
    Event.make("say", { args: [Text, Text] })
  ],
  "an argument is removed": ["arity-changed", "breaking", "breaking", event(Text), Event.make("say")],
  "an argument may be missing": [
    "bound-loosened",
    "safe",
    "breaking",
    Event.make("say", { args: [Text, Text] }),
    Event.make("say", { args: [Text, Schema.optionalKey(Text)] })
  ],
  "an acknowledgement is new": ["ack-added", "safe", "breaking", Event.make("say"), ack(Text)],
  "an acknowledgement is removed": ["ack-removed", "breaking", "safe", ack(Text), ack(Schema.Void)],
  "the value of an acknowledgement grows": ["union-grew", "breaking", "safe", ack(Text), ack(Schema.NullOr(Text))],
  "the value of an acknowledgement has a field less": [
    "field-removed",
    "breaking",
    "safe",
    ack(S({ a: Text, b: Text })),
    ack(S({ a: Text }))
  ],
  "failures are new": ["type-changed", "breaking", "breaking", ack(Text), value(Text, Failed)],
  "failures are removed": ["type-changed", "breaking", "breaking", value(Text, Failed), ack(Text)],
  "failures are new, without a value": [
    ["error-grew", "type-changed"],
    "risky",
    "breaking",
    Event.make("say"),
    Event.make("say", { error: Failed })
  ],
  "a failure is new": ["error-grew", "risky", "safe", value(Text, Failed), value(Text, Schema.Union([Failed, Full]))],
  "a failure is removed": [
    "error-shrank",
    "safe",
    "breaking",
    value(Text, Schema.Union([Failed, Full])),
    value(Text, Failed)
  ],
  "a rate limit is new": [
    "rate-limit-tightened",
    "risky",
    "",
    event(Text),
    Event.make("say", { payload: Text, rateLimit: { limit: 5 } })
  ],
  "a rate limit is lower": [
    "rate-limit-tightened",
    "risky",
    "",
    Event.make("say", { payload: Text, rateLimit: { limit: 5 } }),
    Event.make("say", { payload: Text, rateLimit: { limit: 5, interval: "2 seconds" } })
  ],
  "a rate limit is higher": [
    "rate-limit-loosened",
    "safe",
    "",
    Event.make("say", { payload: Text, rateLimit: { limit: 5 } }),
    Event.make("say", { payload: Text, rateLimit: { limit: 9 } })
  ],
  "messages need an id": ["type-changed", "breaking", "", event(Text), Event.make("say", { payload: Text, once: {} })],
  "messages are handled once, by their payload": [
    "not-understood",
    "risky",
    "",
    event(Text),
    Event.make("say", { payload: Text, once: { key: (text: string) => text } })
  ],
  "fewer handlers run at once": [
    "concurrency-lowered",
    "risky",
    "",
    event(Text),
    Event.make("say", { payload: Text, concurrency: 1 })
  ],
  "more handlers run at once": [
    "concurrency-raised",
    "safe",
    "",
    Event.make("say", { payload: Text, concurrency: 1 }),
    Event.make("say", { payload: Text, concurrency: 2 })
  ]
}

class Keeper extends NamespaceMiddleware.Service<Keeper>()("test/Keeper", { auth: S({ token: Text }) }) {}
class Banning extends NamespaceMiddleware.Service<Banning>()("test/Banning", { error: Failed }) {}

const auth = (auth: Payload) => Namespace.make("/chat", { auth })
const dynamic = (id: Schema.Codec<any, string>) => Namespace.dynamic("/chat/:id", { params: { id } })

/** The same for changes of namespaces. */
const namespaces: Record<
  string,
  readonly [rule: ContractDiff.RuleId, level: string, before: Namespace.Any, after: Namespace.Any]
> = {
  "an auth payload is declared": [
    "required-field-added",
    "breaking",
    Namespace.make("/chat"),
    auth(S({ token: Text }))
  ],
  "an auth payload without required fields is declared": [
    "not-understood",
    "risky",
    Namespace.make("/chat"),
    auth(S({ token: Schema.optionalKey(Text) }))
  ],
  "an auth payload is not declared any more": [
    "field-removed",
    "safe",
    auth(S({ token: Text })),
    Namespace.make("/chat")
  ],
  "an auth payload has a field more": [
    "required-field-added",
    "breaking",
    auth(S({ a: Text })),
    auth(S({ a: Text, b: Text }))
  ],
  "a middleware reads another field": [
    "required-field-added",
    "breaking",
    auth(S({ name: Text })),
    auth(S({ name: Text })).middleware(Keeper)
  ],
  "a middleware reads a field that clients send already": [
    "field-removed",
    "safe",
    auth(S({ token: Text, name: Text })),
    Namespace.make("/chat").middleware(Keeper)
  ],
  "a middleware may refuse": [
    "error-grew",
    "risky",
    Namespace.make("/chat"),
    Namespace.make("/chat").middleware(Banning)
  ],
  "a parameter is a number": ["type-changed", "breaking", dynamic(Text), dynamic(Schema.FiniteFromString)],
  "a parameter is any text": ["bound-loosened", "safe", dynamic(Schema.Literals(["a", "b"])), dynamic(Text)],
  "events are not declared any more": ["not-understood", "risky", received(event(Text)), Namespace.untyped("/chat")]
}

const count = costly(10_000, 500, 100)

/** Checks the verdict of a pair, and proves it with messages: a counterexample is printed. */
const prove = (rule: string, level: string, before: Namespace.Any, after: Namespace.Any, seed: number) => {
  const all = changes(before, after)
  const text = JSON.stringify(all, undefined, 1)
  assert.include(
    all.map((change) => `${change.rule} ${change.level}`),
    `${rule} ${level}`,
    text
  )
  const verdict = worst(all)
  // The rule decides, and not another one beside it.
  assert.strictEqual(verdict, level, text)
  if (verdict === "risky") return undefined
  const [counterexample] = exchange(before, after, count, seed)
  if (verdict === "safe") assert.isUndefined(counterexample, `${text}\n${JSON.stringify(counterexample)}`)
  if (verdict === "breaking") {
    assert.isDefined(counterexample, text)
    const { problem, value, where } = counterexample!
    return `${where} ${JSON.stringify(value) ?? ""}: ${problem.replaceAll(/\s+/g, " ")}`
  }
  return undefined
}

const print = (counterexample: string | undefined): void => {
  if (counterexample !== undefined && process.env["COUNTEREXAMPLES"] !== undefined) console.log(counterexample)
}

describe("ContractDiff.compare", () => {
  for (const [i, [name, [rule, receive, send, [before, after]]]] of Object.entries(payloads).entries()) {
    it(`${name}: ${receive} where clients send it`, () => {
      print(prove(ruleOf(rule, 0), receive, received(event(before)), received(event(after)), i))
    })
    it(`${name}: ${send} where the server sends it`, () => {
      print(prove(ruleOf(rule, 1), send, sent(event(before)), sent(event(after)), i))
    })
  }

  for (const [i, [name, [rule, receive, send, before, after]]] of Object.entries(events).entries()) {
    const list = (event: Event.Any | undefined) => (event === undefined ? [] : [event])
    it(`${name}: ${receive} where clients send it`, () => {
      print(prove(ruleOf(rule, 0), receive, received(...list(before)), received(...list(after)), i))
    })
    it(`${name}: ${send || "nothing"} where the server sends it`, () => {
      if (send === "") assert.deepStrictEqual(changes(sent(...list(before)), sent(...list(after))), [])
      else print(prove(ruleOf(rule, 1), send, sent(...list(before)), sent(...list(after)), i))
    })
  }

  for (const [i, [name, [rule, level, before, after]]] of Object.entries(namespaces).entries()) {
    it(`${name}: ${level}`, () => print(prove(rule, level, before, after, i)))
  }

  it("a namespace is removed: breaking; a namespace is new: safe", () => {
    const [none, some] = [ContractDiff.snapshot([]), ContractDiff.snapshot([received(event(Text))])]
    assert.deepStrictEqual(
      [ContractDiff.compare(some, none), ContractDiff.compare(none, some)].map(([change]) => [
        change!.rule,
        change!.level
      ]),
      [
        ["namespace-removed", "breaking"],
        ["namespace-added", "safe"]
      ]
    )
  })

  it("tells apart events whose names end alike", () => {
    const events = (payload: Payload) => ["a:say", "say"].map((name) => Event.make(name, { payload }))
    assert.deepStrictEqual(
      changes(received(...events(Text)), received(...events(Schema.Int))).map(({ where }) => where),
      ["/chat:a:say", "/chat:say"]
    )
  })

  it("has a pair for every rule", () => {
    const pairs = [...Object.values(payloads), ...Object.values(events), ...Object.values(namespaces)]
    const tested = new Set<string>(["namespace-removed", "namespace-added", ...pairs.flatMap(([rule]) => rule)])
    assert.deepStrictEqual(
      Object.keys(ContractDiff.rules).filter((rule) => !tested.has(rule)),
      []
    )
  })
})
