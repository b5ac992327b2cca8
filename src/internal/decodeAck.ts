import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"

import { AckError, type AckErrorReason } from "../SocketIoError.ts"
import { EVENT_REFUSED, EVENT_UNHANDLED, FAILURE, INTERNAL_ERROR, PAYLOAD_REFUSED, SUCCESS } from "./answers.ts"
import { decodeArgument, describe, type EventCodec } from "./contractCodec.ts"
import { defectOf } from "./defectOf.ts"

/** Decodes an acknowledgement's arguments as its event declares them. */
export const decodeAck = (codec: EventCodec, args: ReadonlyArray<unknown>): Effect.Effect<any, any> => {
  const { event } = codec
  const answer = Object(args[0]) as { readonly _tag?: unknown; readonly value?: unknown; readonly error?: unknown }
  if (!event.hasError) {
    const exit = codec.ackIsVoid ? Exit.void : decodeArgument(codec.ack, args, 0)
    // A server may refuse an event with a reason, whether or not the event declares failures.
    const isRefused = answer._tag === FAILURE && (codec.ackIsVoid || !isFailureDeclared(codec, exit))
    return (isRefused && refusal(event._tag, answer.error)) || answered(codec, exit)
  }
  if (answer._tag === SUCCESS) return codec.ackIsVoid ? Effect.void : answered(codec, codec.ack.decode(answer.value))
  if (answer._tag !== FAILURE) return invalid(codec, 'no "Success" or "Failure"')
  const error = codec.error.decode(answer.error)
  if (Exit.isSuccess(error)) return Effect.fail(error.value)
  return refusal(codec.event._tag, answer.error) ?? invalid(codec, describe(error))
}

/**
 * Whether an acknowledgement that looks like a refusal is a value of the declared type. If the
 * schema has dropped every field of it, that is no evidence.
 */
const isFailureDeclared = (codec: EventCodec, exit: Exit.Exit<any, Schema.SchemaError>): boolean => {
  const encoded = Exit.isSuccess(exit) ? codec.ack.encode(exit.value) : exit
  return Exit.isSuccess(encoded) && Object(encoded.value)._tag === FAILURE
}

/** The failures that may answer every event, and the reasons that the caller gets for them. */
const refusals: ReadonlyMap<unknown, AckErrorReason["_tag"]> = new Map([
  [PAYLOAD_REFUSED, "PayloadRefused"],
  [EVENT_REFUSED, "EventRefused"],
  [EVENT_UNHANDLED, "EventNotHandled"],
  [INTERNAL_ERROR, "HandlerFailed"]
])

/**
 * Returns the failure of an event that asks for an acknowledgement and could not be encoded. The
 * payload may come from a user's input, so a schema that refuses it is a failure; everything else
 * is a bug.
 */
export const unsent = <E>(event: string, cause: Cause.Cause<E>): Effect.Effect<never, E | AckError> =>
  refusal(event, defectOf(cause.reasons[0]!)) ?? Effect.failCause(cause)

const refusal = (event: string, error: unknown): Effect.Effect<never, AckError> | undefined => {
  const { _tag: tag, data, message } = Object(error) as Readonly<Record<string, unknown>>
  const _tag = refusals.get(tag)
  if (_tag === undefined) return undefined
  const described = typeof message === "string" && { description: message }
  const reason = { _tag, ...described, ...(data !== undefined && { data }) } as AckErrorReason
  return Effect.fail(new AckError({ event, reason }))
}

const answered = (codec: EventCodec, exit: Exit.Exit<any, Schema.SchemaError>): Effect.Effect<any, AckError> =>
  Exit.isSuccess(exit) ? Effect.succeed(exit.value) : invalid(codec, describe(exit))

const invalid = (codec: EventCodec, description: string): Effect.Effect<never, AckError> =>
  Effect.fail(new AckError({ event: codec.event._tag, reason: { _tag: "InvalidAcknowledgement", description } }))
