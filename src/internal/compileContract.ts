import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

import type * as Event from "../Event.ts"
import type { AnyService } from "../NamespaceMiddleware.ts"
import type { Codec, EventCodec, NameCodec } from "./contractCodec.ts"
import type { NamespacePattern } from "./namespacePattern.ts"

// Contracts import this module, and with it Schema. No other module does, so that programs without
// a contract stay small.

/**
 * Makes a schema's codec faster, before its first use. Servers pass Schema's compiler. Pages cannot
 * afford it: its size is too large, and their policy may not allow it.
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
 * Types cannot distinguish an object of the right form from an instance of a `Schema.Class`, at any
 * depth of a value, but encoding takes only instances. A refused value is therefore turned into an
 * instance, if possible.
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

/** The declarations of a contract that its codecs need. */
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

/** Makes something of a contract's declarations. */
export type Compile<A> = (contract: Declaration) => A

export interface CompiledMiddleware {
  readonly service: AnyService
  readonly auth: Codec
  readonly error: Codec
}

/** A contract with a codec for each of its declarations, as servers need it. */
export interface CompiledContract extends NameCodec {
  readonly contract: Declaration
  /**
   * Whether it declares no events, so that any event may come and go. It has no codecs of events
   * then.
   */
  readonly untyped: boolean
  readonly incoming: ReadonlyMap<string, EventCodec>
  readonly outgoing: ReadonlyMap<string, EventCodec>
  readonly serverToServer: ReadonlyMap<string, EventCodec>
  readonly auth: Codec
  /** Whether the contract declares the auth payload. */
  readonly declaresAuth: boolean
  readonly data: ReadonlyMap<string, Codec>
  readonly middlewares: ReadonlyArray<CompiledMiddleware>
  /**
   * The middlewares that a client may run again, by the event with which it does; `undefined` if
   * none.
   */
  readonly refreshes: ReadonlyMap<string, CompiledMiddleware> | undefined
}

/** The schema of an auth payload that a contract does not declare: it accepts anything. */
export const undeclaredAuth: Event.AnySchema = Schema.Unknown.annotate({})

/** Compiles a contract for a server. Clients need less of it: see `makeClientContract`. */
export const compileContract = (contract: Declaration, prepare?: Prepare): CompiledContract => {
  const codec = (schema: Event.AnySchema) => compile(schema, prepare)
  const events = (declared: ReadonlyMap<string, Event.Any>) => compileEvents(declared, prepare)
  const middlewares = contract.middlewares.map((service) => ({
    service,
    auth: codec(service.auth),
    error: codec(service.error)
  }))
  // A contract that declares no events has those of its middlewares all the same.
  const received = new Map(contract.clientToServer)
  const refreshes = new Map<string, CompiledMiddleware>()
  for (const middleware of middlewares) {
    const request = middleware.service.refresh?.request
    if (!request) continue
    received.set(request._tag, request)
    refreshes.set(request._tag, middleware)
  }
  return {
    contract,
    untyped: contract.untyped,
    incoming: events(received),
    outgoing: events(contract.serverToClient),
    serverToServer: events(contract.serverToServer),
    auth: codec(contract.auth),
    declaresAuth: contract.auth !== undeclaredAuth,
    data: compileFields(contract.data, prepare),
    middlewares,
    refreshes: refreshes.size > 0 ? refreshes : undefined,
    pattern: contract.pattern,
    params: compileFields(contract.params, prepare)
  }
}

export const compileFields = (schemas: Declaration["params"] = {}, prepare?: Prepare): NameCodec["params"] =>
  new Map(Object.entries(schemas).map(([name, schema]) => [name, compile(schema, prepare)]))

export const compileEvents = (
  events: ReadonlyMap<string, Event.Any>,
  prepare?: Prepare
): ReadonlyMap<string, EventCodec> =>
  new Map(Array.from(events, ([name, event]) => [name, compileEvent(event, prepare)]))

export const compileEvent = (event: Event.Any, prepare?: Prepare): EventCodec => {
  const { arity, payload } = event
  const ast = SchemaAST.toEncoded(payload.ast)
  const args = arity === "many" && ast._tag === "Arrays" ? ast.elements : []
  return {
    event,
    payload: compile(payload, prepare),
    ack: compile(event.ack, prepare),
    error: compile(event.error, prepare),
    length: arity === "one" ? 1 : args.length,
    required: args.filter(({ context }) => !context?.isOptional).length,
    ackIsVoid: !event.hasAck || event.ack.ast._tag === "Void"
  }
}

/** Whether values of the encoded form can hold bytes. If this is unknown, they can. */
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
