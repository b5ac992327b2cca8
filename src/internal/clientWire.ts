import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

import type { CompiledContract } from "./compileContract.ts"
import { decodePayload, describe, encodeAuth, encodeExit, encodePayload, formatName } from "./contractCodec.ts"
import { decodeAck, unsent } from "./decodeAck.ts"
import { log } from "./log.ts"
import type { AckError } from "../SocketIoError.ts"

/** What a contract does for its clients. They find it there, so that those without a contract do not bring it along. */
export interface ClientWire {
  /** The name of the namespace, or of the one that has these parameters. */
  readonly name: (params: Readonly<Record<string, unknown>> | undefined) => string
  readonly encodeAuth: (auth: unknown) => unknown
  /** An event's data, `[name, ...args]`, and whether there may be bytes in it. Throws on what the contract does not declare. */
  readonly encode: (event: string, payload: unknown) => readonly [data: ReadonlyArray<unknown>, mayHaveBinary: boolean]
  /** An event's acknowledgement as it is declared, from its arguments, or from what kept the event from being sent. */
  readonly answered: (event: string, answer: Effect.Effect<ReadonlyArray<unknown>, AckError>) => Effect.Effect<any, any>
  /** Throws on an event that the server does not send; what is no name is none. */
  readonly check: (event: string | number) => void
  /**
   * An event's payload, in an array. There is none of one that the contract does not declare, nor of one that a schema refuses:
   * then it calls back, with what is logged, and what answers the event.
   */
  readonly decode: (
    namespace: string,
    event: string,
    data: ReadonlyArray<unknown>,
    onRefused: (logged: Effect.Effect<void>, answer: ReadonlyArray<unknown> | undefined) => void
  ) => readonly [payload: unknown] | undefined
  /** What the end of an event's handler answers, if anything. Throws on what the contract does not declare. */
  readonly encodeExit: (event: string, exit: Exit.Exit<unknown, unknown>) => ReadonlyArray<unknown> | undefined
}

export const makeClientWire = (compiled: CompiledContract): ClientWire => {
  const { contract, incoming, outgoing } = compiled
  const refuse = (event: string, whose: string) =>
    new Error(`"${event}" is no event of the ${whose} in "${contract._tag}"`)
  return {
    name: (params = {}) => (compiled.pattern === undefined ? contract._tag : formatName(compiled, params)),
    encodeAuth: (auth) => encodeAuth(compiled, auth),
    encode: (event, payload) => {
      const codec = incoming.get(event)
      if (codec === undefined) throw refuse(event, "client")
      return [encodePayload(codec, payload), codec.payload.mayHaveBinary]
    },
    answered: (event, answer) =>
      Effect.flatMap(
        Effect.catchCause(answer, (cause) => unsent(event, cause)),
        (args) => decodeAck(incoming.get(event)!, args)
      ),
    check: (event) => {
      if (typeof event === "string" && !outgoing.has(event)) throw refuse(event, "server")
    },
    decode: (namespace, event, data, onRefused) => {
      const codec = outgoing.get(event)
      if (codec === undefined) return undefined
      const decoded = decodePayload(codec, data)
      if (decoded._tag === "Success") return [decoded.value]
      const description = describe(decoded)
      // A schema that throws is a bug on this side, and none of the server's business.
      const died = Cause.hasDies(decoded.cause)
      const error = died ? { _tag: "InternalError" } : { _tag: "PayloadRefused", message: description }
      const message = died ? "event handler failed" : "payload refused"
      onRefused(
        log(died ? "Error" : "Debug", message, { event, namespace, description }, decoded.cause),
        codec.event.hasError ? [{ _tag: "Failure", error }] : undefined
      )
      return undefined
    },
    encodeExit: (event, exit) => encodeExit(outgoing.get(event)!, exit)
  }
}
