import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"

import type * as Event from "../Event.ts"
import { failure, internalError, PAYLOAD_REFUSED, success } from "./answers.ts"
import { defectOf } from "./defectOf.ts"
import type { NamespacePattern } from "./namespacePattern.ts"

/**
 * Converts one wire value. It is made once per schema: deriving a codec costs far more than using
 * it.
 */
export interface Codec {
  readonly decode: (wire: unknown) => Exit.Exit<any, Schema.SchemaError>
  readonly encode: (value: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly mayHaveBinary: boolean
}

/** An event's codecs, by the direction in which it is used. */
export interface EventCodec {
  readonly event: Event.Any
  readonly payload: Codec
  readonly ack: Codec
  readonly error: Codec
  /** The number of wire arguments that the payload takes. */
  readonly length: number
  /** The number of them that cannot be left out, if there are several. */
  readonly required: number
  readonly ackIsVoid: boolean
}

/** The names of a contract's namespaces, if they are dynamic: the pattern, and its parameters. */
export interface NameCodec {
  readonly pattern: NamespacePattern | undefined
  readonly params: ReadonlyMap<string, Codec>
}

/**
 * Decodes the payload of an EVENT packet's `[name, ...args]`. Arguments beyond the declared ones
 * are ignored.
 */
export const decodePayload = (codec: EventCodec, data: ReadonlyArray<unknown>): Exit.Exit<any, Schema.SchemaError> => {
  switch (codec.event.arity) {
    case "none":
      return nothing
    case "one":
      return decodeArgument(codec.payload, data, 1)
    case "many":
      return decodeArguments(codec, data.slice(1, 1 + codec.length))
  }
}

/**
 * Decodes several arguments. `null` stands for one that was left out where something comes after
 * it, such as attributes.
 */
const decodeArguments = (
  { payload, required }: EventCodec,
  args: ReadonlyArray<unknown>
): Exit.Exit<any, Schema.SchemaError> => {
  const exit = payload.decode(args)
  if (exit._tag === "Success") return exit
  let { length } = args
  while (length > required && args[length - 1] === null) length--
  return length < args.length ? payload.decode(args.slice(0, length)) : exit
}

/**
 * Decodes one of the arguments of a packet. A missing argument is read as `null`, which stands for
 * `undefined` on the wire: clients omit arguments without a value.
 */
export const decodeArgument = (
  codec: Codec,
  args: ReadonlyArray<unknown>,
  at: number
): Exit.Exit<any, Schema.SchemaError> => {
  const exit = codec.decode(args[at])
  if (exit._tag === "Success" || at < args.length) return exit
  const left = codec.decode(null)
  return left._tag === "Success" ? left : exit
}

/** Encodes a payload as `[name, ...args]`. Throws on a value that is not of the payload's type. */
export const encodePayload = (codec: EventCodec, payload: unknown): [string, ...Array<unknown>] => {
  const name = codec.event._tag
  if (codec.event.arity === "none") return [name]
  const encoded = getOrThrow(codec.payload.encode(payload), `payload of "${name}"`)
  return codec.event.arity === "one" ? [name, encoded] : [name, ...(encoded as Array<unknown>)]
}

/**
 * Encodes a handler's value as the arguments of an acknowledgement. Throws on a value that is not
 * of the declared type.
 */
export const encodeSuccess = (codec: EventCodec, value: unknown): ReadonlyArray<unknown> => {
  const { ackIsVoid, event } = codec
  if (ackIsVoid) return event.hasError ? success() : []
  const encoded = getOrThrow(codec.ack.encode(value), `acknowledgement of "${event._tag}"`)
  return event.hasError ? success(encoded) : [encoded]
}

/**
 * Encodes one of an event's declared failures as the arguments of an acknowledgement. Throws on a
 * failure that is not declared.
 */
export const encodeFailure = (codec: EventCodec, error: unknown): ReadonlyArray<unknown> =>
  failure(getOrThrow(codec.error.encode(error), `failure of "${codec.event._tag}"`))

/**
 * Encodes the exit of a handler as the arguments of an acknowledgement. Returns `undefined` if the
 * handler was interrupted, or failed and its event declares no failures. Throws on a value or
 * failure that the contract does not declare.
 */
export const encodeExit = (
  codec: EventCodec,
  exit: Exit.Exit<unknown, unknown>
): ReadonlyArray<unknown> | undefined => {
  if (exit._tag === "Success") return encodeSuccess(codec, exit.value)
  if (!codec.event.hasError || Cause.hasInterruptsOnly(exit.cause)) return undefined
  const failed = exit.cause.reasons.find(Cause.isFailReason)
  return failed ? encodeFailure(codec, failed.error) : failure(internalError)
}

/** Returns the name of the dynamic namespace with these parameters. Throws if there is none. */
export const formatName = (names: NameCodec, params: Readonly<Record<string, unknown>>): string => {
  const raw: Record<string, string> = {}
  for (const [parameter, codec] of names.params) {
    raw[parameter] = getOrThrow(codec.encode(params[parameter]), `parameter "${parameter}"`) as string
  }
  return names.pattern!.format(raw)
}

/**
 * Returns the success value of an encoding. Throws on a value that is not of the schema's type. The
 * error says whether the schema refused the value or died of it.
 */
export const getOrThrow = (exit: Exit.Exit<unknown, Schema.SchemaError>, what: string): unknown => {
  if (exit._tag === "Success") return exit.value
  const _tag = exit.cause.reasons[0]!._tag === "Fail" && PAYLOAD_REFUSED
  throw Object.assign(new Error(`${what}: ${describe(exit)}`), { _tag })
}

/** Describes the error of a value in one line. */
export const describe = (exit: Exit.Failure<unknown, Schema.SchemaError>): string => {
  const reason = exit.cause.reasons[0]!
  const problem = reason._tag === "Fail" ? reason.error.message : String(defectOf(reason))
  return problem.replaceAll(/\s*\n\s*/g, " ")
}

const nothing: Exit.Exit<any, never> = Exit.void
