import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import type { AnyService } from "../NamespaceMiddleware.ts"
import { type ClientWire, makeClientWire } from "./clientWire.ts"
import type { Codec, EventCodec } from "./contractCodec.ts"
import { compilePattern, type NamespacePattern } from "./namespacePattern.ts"

// Contracts bring this along, with Schema: nothing else imports it, so that programs without a contract stay small.

/** Makes a schema's codec faster, before anybody uses it. */
export type Prepare = (ast: SchemaAST.AST) => void

let prepare: Prepare | undefined

/**
 * What every codec that is compiled from now on is prepared with. Servers say so: a page shall not bring a compiler along, and may not
 * be allowed to use it.
 */
export const prepareCodecs = (how: Prepare): void => {
  prepare = how
}

export const compile = (schema: Event.AnySchema): Codec => {
  const codec = Schema.toCodecJson(schema) as unknown as Event.AnySchema
  if (prepare !== undefined) for (const { ast } of [codec, Schema.flip(codec)]) prepare(ast)
  return {
    decode: neverThrowing(Schema.decodeUnknownExit(codec)),
    encode: neverThrowing(encodeInput(schema, Schema.encodeUnknownExit(codec))),
    mayHaveBinary: mayHaveBinary(SchemaAST.toEncoded(codec.ast), new Set())
  }
}

/**
 * Types cannot tell an object of the right form from an instance of a `Schema.Class`, wherever in a value it is, and encoding
 * takes instances alone. What it refuses is made one, if it can be.
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

export const compileEvent = (event: Event.Any): EventCodec => ({
  event,
  payload: compile(event.payload),
  ack: compile(event.ack),
  error: compile(event.error),
  length: event.arity === "none" ? 0 : event.arity === "one" ? 1 : argumentCount(event.payload.ast),
  ackIsVoid: !event.hasAck || event.ack.ast._tag === "Void"
})

export const compileEvents = (events: ReadonlyMap<string, Event.Any>): ReadonlyMap<string, EventCodec> => {
  const compiled = new Map<string, EventCodec>()
  for (const [name, event] of events) compiled.set(name, compileEvent(event))
  return compiled
}

const argumentCount = (ast: SchemaAST.AST): number => (ast._tag === "Arrays" ? ast.elements.length : 1)

export interface CompiledMiddleware {
  readonly service: AnyService
  readonly auth: Codec
  readonly error: Codec
}

/** A contract, with a codec for everything that it declares. */
export interface CompiledContract {
  readonly contract: Namespace.Any
  readonly incoming: ReadonlyMap<string, EventCodec>
  readonly outgoing: ReadonlyMap<string, EventCodec>
  readonly serverToServer: ReadonlyMap<string, EventCodec>
  readonly auth: Codec
  /** Whether the contract says what the auth payload is. */
  readonly declaresAuth: boolean
  readonly data: ReadonlyMap<string, Codec>
  readonly middlewares: ReadonlyArray<CompiledMiddleware>
  /** How the names of its namespaces are made, if they are dynamic. */
  readonly pattern: NamespacePattern | undefined
  readonly params: ReadonlyMap<string, Codec>
  readonly forClients: () => ClientWire
}

/** The schema of an auth payload of which a contract says nothing: it takes anything. */
export const undeclaredAuth: Event.AnySchema = Schema.Unknown.annotate({})

/** Compiles a contract. */
export const compileContract = (contract: Namespace.Any): CompiledContract => {
  const compiled: CompiledContract = {
    contract,
    incoming: compileEvents(contract.clientToServer),
    outgoing: compileEvents(contract.serverToClient),
    serverToServer: compileEvents(contract.serverToServer),
    auth: compile(contract.auth),
    declaresAuth: contract.auth !== undeclaredAuth,
    data: compileFields(contract.data),
    middlewares: contract.middlewares.map((service) => ({
      service,
      auth: compile(service.auth),
      error: compile(service.error)
    })),
    pattern: contract.params === undefined ? undefined : compilePattern(contract._tag),
    params: compileFields(contract.params ?? {}),
    forClients: () => makeClientWire(compiled)
  }
  return compiled
}

const compileFields = (fields: Namespace.Any["data"]): ReadonlyMap<string, Codec> =>
  new Map(Object.entries(fields).map(([name, schema]) => [name, compile(schema)]))

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
