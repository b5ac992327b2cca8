import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

import type * as Event from "../Event.ts"
import type { AnyService } from "../NamespaceMiddleware.ts"
import type { Codec, EventCodec, NameCodec } from "./contractCodec.ts"
import type { NamespacePattern } from "./namespacePattern.ts"

// Contracts import this module, and with it Schema. Nothing else does, so that programs without a
// contract stay small.

/**
 * Makes a schema's codec faster, before its first use. Servers give Schema's compiler; pages can
 * afford neither its size nor a policy that allows it.
 */
export type Prepare = (codec: Event.AnySchema) => void

export const compile = (schema: Event.AnySchema, prepare?: Prepare): Codec => {
  const codec = Schema.toCodecJson(schema) as unknown as Event.AnySchema
  prepare?.(codec)
  return {
    decode: neverThrowing(Schema.decodeUnknownExit(codec)),
    encode: neverThrowing(encodeInput(schema, Schema.encodeUnknownExit(codec))),
    mayHaveBinary: mayHaveBinary(SchemaAST.toEncoded(codec.ast), new Set())
  }
}

/**
 * Types cannot tell an object of the right form from an instance of a `Schema.Class`, at any depth
 * of a value, and encoding takes only instances. A refused value is made an instance, if it can be.
 */
const encodeInput =
  (schema: Event.AnySchema, encode: Codec["encode"]): Codec["encode"] =>
  (value) => {
    const exit = encode(value)
    if (exit._tag === "Success") return exit
    let made: unknown
    try {
      made = schema.make(value)
    } catch {
      return exit
    }
    return encode(made)
  }

/** A user's check or transformation that throws is a defect of that value alone. */
const neverThrowing =
  <A>(convert: (value: unknown) => Exit.Exit<A, Schema.SchemaError>) =>
  (value: unknown): Exit.Exit<A, Schema.SchemaError> => {
    try {
      return convert(value)
    } catch (defect) {
      return Exit.die(defect)
    }
  }

const argumentCount = (ast: SchemaAST.AST): number => (ast._tag === "Arrays" ? ast.elements.length : 1)

/** What a contract declares, as far as its codecs need it. */
export interface Declaration {
  readonly _tag: string
  readonly auth: Event.AnySchema
  readonly clientToServer: ReadonlyMap<string, Event.Any>
  readonly serverToClient: ReadonlyMap<string, Event.Any>
  readonly serverToServer: ReadonlyMap<string, Event.Any>
  readonly data: Readonly<Record<string, Event.AnySchema>>
  readonly params: Readonly<Record<string, Event.AnySchema>> | undefined
  readonly pattern: NamespacePattern | undefined
  readonly middlewares: ReadonlyArray<AnyService>
  readonly concurrency: number | undefined
  readonly untyped: boolean
}

export interface CompiledMiddleware {
  readonly service: AnyService
  readonly auth: Codec
  readonly error: Codec
}

/** A contract, with a codec for everything that it declares. */
export interface CompiledContract extends NameCodec {
  readonly contract: Declaration
  /** Whether it declares no events, and any may come and go. It has no codecs of events then. */
  readonly untyped: boolean
  readonly incoming: ReadonlyMap<string, EventCodec>
  readonly outgoing: ReadonlyMap<string, EventCodec>
  readonly serverToServer: ReadonlyMap<string, EventCodec>
  readonly auth: Codec
  /** Whether the contract says what the auth payload is. */
  readonly declaresAuth: boolean
  readonly data: ReadonlyMap<string, Codec>
  readonly middlewares: ReadonlyArray<CompiledMiddleware>
}

/** The schema of the auth payload where a contract declares none: it takes anything. */
export const undeclaredAuth: Event.AnySchema = Schema.Unknown.annotate({})

/** Compiles a contract. */
export const compileContract = (contract: Declaration, prepare: Prepare | undefined): CompiledContract => {
  const codec = (schema: Event.AnySchema) => compile(schema, prepare)
  const events = (declared: ReadonlyMap<string, Event.Any>): ReadonlyMap<string, EventCodec> =>
    new Map(Array.from(declared, ([name, event]) => [name, compileEvent(event, prepare)]))
  const fields = (schemas: Declaration["data"]): ReadonlyMap<string, Codec> =>
    new Map(Object.entries(schemas).map(([name, schema]) => [name, codec(schema)]))
  return {
    contract,
    untyped: contract.untyped,
    incoming: events(contract.clientToServer),
    outgoing: events(contract.serverToClient),
    serverToServer: events(contract.serverToServer),
    auth: codec(contract.auth),
    declaresAuth: contract.auth !== undeclaredAuth,
    data: fields(contract.data),
    middlewares: contract.middlewares.map((service) => ({
      service,
      auth: codec(service.auth),
      error: codec(service.error)
    })),
    pattern: contract.pattern,
    params: fields(contract.params ?? {})
  }
}

export const compileEvent = (event: Event.Any, prepare?: Prepare): EventCodec => ({
  event,
  payload: compile(event.payload, prepare),
  ack: compile(event.ack, prepare),
  error: compile(event.error, prepare),
  length: event.arity === "none" ? 0 : event.arity === "one" ? 1 : argumentCount(event.payload.ast),
  ackIsVoid: !event.hasAck || event.ack.ast._tag === "Void"
})

/** Whether values of the encoded form can hold bytes. If it cannot be told, they can. */
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
