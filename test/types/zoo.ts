/**
 * One schema of each kind whose form on the wire has a type.
 */
import { Schema } from "effect"

class Person extends Schema.Class<Person>("Person")({ name: Schema.String, born: Schema.optionalKey(Schema.Date) }) {}
class Full extends Schema.TaggedError<Full>()("Full", { capacity: Schema.Int, person: Person }) {}
interface Tree {
  readonly at: Date
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  at: Schema.Date,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
})
class Opaque {
  readonly value = 1
  double() {
    return this.value * 2
  }
}

export const zoo = {
  string: Schema.String,
  checked: Schema.NonEmptyString.check(Schema.isMaxLength(3)),
  branded: Schema.String.pipe(Schema.brand("Id")),
  finite: Schema.Finite,
  int: Schema.Int,
  boolean: Schema.Boolean,
  null: Schema.Null,
  undefined: Schema.Undefined,
  void: Schema.Void,
  never: Schema.Never,
  unknown: Schema.Unknown,
  bigInt: Schema.BigInt,
  symbol: Schema.Symbol,
  literal: Schema.Literal("a"),
  literals: Schema.Literals(["a", 1, true]),
  template: Schema.TemplateLiteral(["a-", Schema.String]),
  nullOr: Schema.NullOr(Schema.Date),
  undefinedOr: Schema.UndefinedOr(Schema.Date),
  union: Schema.Union([Schema.Date, Schema.Finite, Schema.Struct({ a: Schema.Date })]),
  array: Schema.Array(Schema.Date),
  mutableArray: Schema.Array(Schema.BigInt),
  nonEmpty: Schema.NonEmptyArray(Schema.Date),
  tuple: Schema.Tuple([Schema.Date, Schema.Finite]),
  optionalTuple: Schema.Tuple([Schema.Date, Schema.optionalKey(Schema.BigInt)]),
  struct: Schema.Struct({ date: Schema.Date, inner: Schema.Struct({ bytes: Schema.Uint8Array }) }),
  optionals: Schema.Struct({
    optional: Schema.optional(Schema.Date),
    optionalKey: Schema.optionalKey(Schema.Date),
    undefinedOr: Schema.UndefinedOr(Schema.String)
  }),
  tagged: Schema.TaggedStruct("A", { date: Schema.Date }),
  record: Schema.Record(Schema.String, Schema.Date),
  class: Person,
  taggedError: Full,
  tree: Tree,
  nameAndMessage: Schema.Struct({ name: Schema.String, message: Schema.String }),
  fromString: Schema.FiniteFromString,
  dateFromString: Schema.DateFromString,
  jsonString: Schema.fromJsonString(Schema.Struct({ a: Schema.Date })),
  json: Schema.Json,
  date: Schema.Date,
  bytes: Schema.Uint8Array,
  url: Schema.URL,
  searchParams: Schema.URLSearchParams,
  regExp: Schema.RegExp,
  errorInstance: Schema.ErrorInstance(),
  defect: Schema.Defect(),
  option: Schema.Option(Schema.Date),
  optionOfOption: Schema.Option(Schema.Option(Schema.BigInt)),
  result: Schema.Result(Schema.Date, Full),
  exit: Schema.Exit(Schema.Date, Full, Schema.Defect()),
  cause: Schema.Cause(Full, Schema.Defect()),
  reason: Schema.CauseReason(Schema.Date, Schema.Defect()),
  chunk: Schema.Chunk(Schema.Date),
  hashMap: Schema.HashMap(Schema.BigInt, Person),
  hashSet: Schema.HashSet(Schema.Date),
  map: Schema.ReadonlyMap(Schema.String, Schema.Date),
  set: Schema.ReadonlySet(Schema.Date),
  duration: Schema.Duration,
  dateTimeUtc: Schema.DateTimeUtc,
  dateTimeZoned: Schema.DateTimeZoned,
  timeZone: Schema.TimeZone,
  timeZoneOrNull: Schema.NullOr(Schema.TimeZone),
  timeZoneOffset: Schema.TimeZoneOffset,
  timeZoneNamed: Schema.TimeZoneNamed,
  bigDecimal: Schema.BigDecimal,
  byteSize: Schema.ByteSize,
  redacted: Schema.Redacted(Schema.Date),
  opaque: Schema.instanceOf(Opaque),
  opaqueWithin: Schema.Struct({ opaque: Schema.instanceOf(Opaque), host: Schema.HostPort })
}
