import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"

import { AckError, type AckErrorReason } from "../SocketIoError.ts"
import { defectOf } from "./defectOf.ts"
import { decodeArgument, describe, type EventCodec } from "./contractCodec.ts"

/** Reads an acknowledgement's arguments as its event declares them. */
export const decodeAck = (codec: EventCodec, args: ReadonlyArray<unknown>): Effect.Effect<any, any> => {
  const { event } = codec
  const answer = Object(args[0]) as { readonly _tag?: unknown; readonly value?: unknown; readonly error?: unknown }
  if (!event.hasError) {
    const exit = codec.ackIsVoid ? Exit.void : decodeArgument(codec.ack, args, 0)
    // A server may say why it does not handle an event, whether or not that declares failures.
    const isRefused = answer._tag === "Failure" && (codec.ackIsVoid || !isFailureDeclared(codec, exit))
    return (isRefused && refusal(event._tag, answer.error)) || answered(codec, exit)
  }
  if (answer._tag === "Success") return codec.ackIsVoid ? Effect.void : answered(codec, codec.ack.decode(answer.value))
  if (answer._tag !== "Failure") return invalid(codec, 'no "Success" or "Failure"')
  const error = codec.error.decode(answer.error)
  if (Exit.isSuccess(error)) return Effect.fail(error.value)
  return refusal(codec.event._tag, answer.error) ?? invalid(codec, describe(error))
}

/** Whether an acknowledgement that looks like a refusal is a value of the declared type: a schema may also have left out all of it. */
const isFailureDeclared = (codec: EventCodec, exit: Exit.Exit<any, Schema.SchemaError>): boolean => {
  const encoded = Exit.isSuccess(exit) ? codec.ack.encode(exit.value) : exit
  return Exit.isSuccess(encoded) && Object(encoded.value)._tag === "Failure"
}

/** The failures that every event may be answered with, whatever it declares. */
const reasons: ReadonlyMap<unknown, AckErrorReason> = new Map([
  ["PayloadRefused", "payload refused"],
  ["EventRefused", "event refused"],
  ["EventUnhandled", "event not handled"],
  ["InternalError", "handler failed"]
])

/**
 * What becomes of an event that asks for an acknowledgement and could not be encoded. A payload may well be a user's input: who waits is
 * told that the schema has refused it. Everything else that is thrown is a bug.
 */
export const unsent = <E>(event: string, cause: Cause.Cause<E>): Effect.Effect<never, E | AckError> =>
  refusal(event, defectOf(cause.reasons[0]!)) ?? Effect.failCause(cause)

const refusal = (event: string, error: unknown): Effect.Effect<never, AckError> | undefined => {
  const { _tag, data, message } = Object(error) as {
    readonly _tag?: unknown
    readonly data?: unknown
    readonly message?: unknown
  }
  const reason = reasons.get(_tag)
  if (reason === undefined) return undefined
  return Effect.fail(
    new AckError({
      event,
      reason,
      ...(typeof message === "string" ? { description: message } : {}),
      data
    })
  )
}

const answered = (codec: EventCodec, exit: Exit.Exit<any, Schema.SchemaError>): Effect.Effect<any, AckError> =>
  Exit.isSuccess(exit) ? Effect.succeed(exit.value) : invalid(codec, describe(exit))

const invalid = (codec: EventCodec, description: string): Effect.Effect<never, AckError> =>
  Effect.fail(new AckError({ event: codec.event._tag, reason: "invalid acknowledgement", description }))
