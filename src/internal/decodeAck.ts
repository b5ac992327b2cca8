import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"

import { AckError, type AckErrorReason } from "../SocketIoError.ts"
import { decodeArgument, describe, type EventCodec } from "./contractCodec.ts"

/** Reads an acknowledgement's arguments as its event declares them. */
export const decodeAck = (codec: EventCodec, args: ReadonlyArray<unknown>): Effect.Effect<any, any> => {
  const { event } = codec
  const answer = Object(args[0]) as { readonly _tag?: unknown; readonly value?: unknown; readonly error?: unknown }
  if (!event.hasError) {
    const exit = codec.ackIsVoid ? Exit.void : decodeArgument(codec.ack, args, 0)
    // A server may say why it does not handle an event, whether or not that declares failures.
    const isRefused = answer._tag === "Failure" && (codec.ackIsVoid || !Exit.isSuccess(exit))
    return (isRefused && refusal(codec, answer.error)) || answered(codec, exit)
  }
  if (answer._tag === "Success") return codec.ackIsVoid ? Effect.void : answered(codec, codec.ack.decode(answer.value))
  if (answer._tag !== "Failure") return invalid(codec, 'expected _tag "Success" or "Failure"')
  const error = codec.error.decode(answer.error)
  if (Exit.isSuccess(error)) return Effect.fail(error.value)
  return refusal(codec, answer.error) ?? invalid(codec, describe(error))
}

/** The failures that every event may be answered with, whatever it declares. */
const reasons: Readonly<Record<string, AckErrorReason>> = {
  PayloadRefused: "payload refused",
  EventRefused: "event refused",
  InternalError: "handler failed"
}

const refusal = (codec: EventCodec, error: unknown): Effect.Effect<never, AckError> | undefined => {
  const { _tag, data, message } = Object(error) as {
    readonly _tag?: unknown
    readonly data?: unknown
    readonly message?: unknown
  }
  if (typeof _tag !== "string" || !Object.hasOwn(reasons, _tag)) return undefined
  return Effect.fail(
    new AckError({
      event: codec.event._tag,
      reason: reasons[_tag]!,
      ...(typeof message === "string" ? { description: message } : {}),
      data
    })
  )
}

const answered = (codec: EventCodec, exit: Exit.Exit<any, Schema.SchemaError>): Effect.Effect<any, AckError> =>
  Exit.isSuccess(exit) ? Effect.succeed(exit.value) : invalid(codec, describe(exit))

const invalid = (codec: EventCodec, description: string): Effect.Effect<never, AckError> =>
  Effect.fail(new AckError({ event: codec.event._tag, reason: "invalid acknowledgement", description }))
