import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

import type * as Event from "../Event.ts"

/** Converts one wire value. Made once per schema: deriving a codec costs far more than using it. */
export interface Codec {
  readonly decode: (wire: unknown) => Exit.Exit<any, Schema.SchemaError>
  readonly encode: (value: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly mayHaveBinary: boolean
}

export const compile = (schema: Event.AnySchema): Codec => {
  const codec = Schema.toCodecJson(schema) as unknown as Event.AnySchema
  return {
    decode: neverThrowing(Schema.decodeUnknownExit(codec)),
    encode: neverThrowing(Schema.encodeUnknownExit(codec)),
    mayHaveBinary: mayHaveBinary(SchemaAST.toEncoded(codec.ast), new Set())
  }
}

/** A check or transformation of the user's that throws is a defect of that value alone. */
const neverThrowing =
  <A>(convert: (value: unknown) => Exit.Exit<A, Schema.SchemaError>) =>
  (value: unknown): Exit.Exit<A, Schema.SchemaError> => {
    try {
      return convert(value)
    } catch (defect) {
      return Exit.die(defect)
    }
  }

/** An event's codecs, by the direction in which it is used. */
export interface EventCodec {
  readonly event: Event.Any
  readonly payload: Codec
  readonly ack: Codec
  readonly error: Codec
  /** The number of wire arguments that the payload takes. */
  readonly length: number
  readonly ackIsVoid: boolean
}

export const compileEvent = (event: Event.Any): EventCodec => ({
  event,
  payload: compile(event.payload),
  ack: compile(event.ack),
  error: compile(event.error),
  length: event.arity === "none" ? 0 : event.arity === "one" ? 1 : argumentCount(event.payload.ast),
  ackIsVoid: event.ack.ast._tag === "Void"
})

export const compileEvents = (events: ReadonlyMap<string, Event.Any>): ReadonlyMap<string, EventCodec> => {
  const compiled = new Map<string, EventCodec>()
  for (const [name, event] of events) compiled.set(name, compileEvent(event))
  return compiled
}

/** Decodes the payload of an EVENT packet's `[name, ...args]`. Arguments beyond the declared ones are ignored. */
export const decodePayload = (codec: EventCodec, data: ReadonlyArray<unknown>): Exit.Exit<any, Schema.SchemaError> => {
  switch (codec.event.arity) {
    case "none":
      return nothing
    case "one":
      return codec.payload.decode(data[1])
    case "many":
      return codec.payload.decode(data.slice(1, 1 + codec.length))
  }
}

/** Encodes a payload as `[name, ...args]`. Throws on a value that is not of the payload's type: a bug of the caller. */
export const encodePayload = (codec: EventCodec, payload: unknown): [string, ...Array<unknown>] => {
  const name = codec.event._tag
  if (codec.event.arity === "none") return [name]
  const encoded = getOrThrow(codec.payload.encode(payload), `payload of "${name}"`)
  return codec.event.arity === "one" ? [name, encoded] : [name, ...(encoded as Array<unknown>)]
}

/** The success value of an encoding; throws on a value that is not of the schema's type. */
export const getOrThrow = (exit: Exit.Exit<unknown, Schema.SchemaError>, what: string): unknown => {
  if (exit._tag === "Success") return exit.value
  throw new Error(`${what}: ${describe(exit)}`)
}

/** What is wrong with a value, in one line. */
export const describe = (exit: Exit.Failure<unknown, Schema.SchemaError>): string => {
  const reason = exit.cause.reasons[0]
  return reason === undefined
    ? "failed"
    : reason._tag === "Fail"
      ? reason.error.message.replaceAll(/\s*\n\s*/g, " ")
      : reason._tag === "Die"
        ? String(reason.defect)
        : "interrupted"
}

const nothing = Schema.decodeUnknownExit(Schema.Void)(undefined)

const argumentCount = (ast: SchemaAST.AST): number => (ast._tag === "Arrays" ? ast.elements.length : 1)

/** Whether values of the encoded form can hold bytes. In doubt they can. */
const mayHaveBinary = (ast: SchemaAST.AST, seen: Set<SchemaAST.AST>): boolean => {
  if (seen.has(ast)) return false
  seen.add(ast)
  switch (ast._tag) {
    case "Null":
    case "Undefined":
    case "Void":
    case "Never":
    case "String":
    case "Number":
    case "Boolean":
    case "Literal":
    case "Enum":
    case "TemplateLiteral":
      return false
    case "Arrays":
      return [...ast.elements, ...ast.rest].some((element) => mayHaveBinary(element, seen))
    case "Objects":
      return (
        ast.propertySignatures.some((signature) => mayHaveBinary(signature.type, seen)) ||
        ast.indexSignatures.some((signature) => mayHaveBinary(signature.type, seen))
      )
    case "Union":
      return ast.types.some((type) => mayHaveBinary(type, seen))
    case "Suspend":
      return mayHaveBinary(ast.thunk(), seen)
    default:
      return true
  }
}
