import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

import { failure, internalError, payloadRefused } from "./answers.ts"
import type { CompiledContract } from "./compileContract.ts"
import {
  type Codec,
  decodePayload,
  describe,
  encodeExit,
  encodePayload,
  formatName,
  getOrThrow
} from "./contractCodec.ts"
import { decodeAck, unsent } from "./decodeAck.ts"
import { log } from "./log.ts"
import type { AckError } from "../SocketIoError.ts"

/**
 * A contract as its clients use it. They take it from the contract rather than import it, so that a
 * page without a contract does not bundle it.
 */
export interface ClientContract {
  /** The name of the namespace, or of the one that has these parameters. */
  readonly name: (params: Readonly<Record<string, unknown>> | undefined) => string
  /** The auth payload as it is sent; there may be none. */
  readonly encodeAuth: (auth: unknown) => unknown
  /** How its events are converted; `undefined` where it declares none, and any may come and go. */
  readonly wire: ClientWire | undefined
}

/** Converts a contract's events for its clients. */
export interface ClientWire {
  /**
   * An event's data, `[name, ...args]`, and whether there may be bytes in it. Throws on an event or
   * a payload that the contract does not declare.
   */
  readonly encode: (event: string, payload: unknown) => readonly [data: ReadonlyArray<unknown>, mayHaveBinary: boolean]
  /**
   * An event's acknowledgement as it is declared, from its arguments, or from the failure that kept
   * the event from being sent.
   */
  readonly answered: (event: string, answer: Effect.Effect<ReadonlyArray<unknown>, AckError>) => Effect.Effect<any, any>
  /**
   * Throws on the name of an event that the server does not send. Numbers name no event, and pass.
   */
  readonly check: (event: string | number) => void
  /**
   * An event's payload, in an array; `undefined` for an event that the contract does not declare,
   * and for a payload that its schema refuses. The latter calls `onRefused`, with the log entry to
   * write and the arguments that acknowledge the event.
   */
  readonly decode: (
    namespace: string,
    event: string,
    data: ReadonlyArray<unknown>,
    onRefused: (logged: Effect.Effect<void>, answer: ReadonlyArray<unknown> | undefined) => void
  ) => readonly [payload: unknown] | undefined
  /**
   * The arguments that the end of a handler acknowledges its event with, if any. Throws on a value
   * or failure that the contract does not declare.
   */
  readonly encodeExit: (event: string, exit: Exit.Exit<unknown, unknown>) => ReadonlyArray<unknown> | undefined
}

export const makeClientContract = (compiled: CompiledContract): ClientContract => {
  const { auth, contract, middlewares } = compiled
  return {
    name: (params = {}) => (compiled.pattern === undefined ? contract._tag : formatName(compiled, params)),
    encodeAuth: (value) => {
      if (value === undefined) return value
      const encode = (codec: Codec) => getOrThrow(codec.encode(value), `auth payload of "${contract._tag}"`)
      // The contract and each middleware read their own part of the payload.
      const declaring = middlewares.filter(({ service }) => service.auth.ast._tag !== "Unknown")
      const own = encode(auth)
      return declaring.length === 0 ? own : Object.assign({}, own, ...declaring.map(({ auth }) => encode(auth)))
    },
    wire: compiled.untyped ? undefined : makeClientWire(compiled)
  }
}

const makeClientWire = ({ contract, incoming, outgoing }: CompiledContract): ClientWire => {
  const refuse = (event: string, whose: string) =>
    new Error(`"${event}" is no event of the ${whose} in "${contract._tag}"`)
  return {
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
      // A schema that throws is a bug on this side: the server learns nothing of it.
      const died = Cause.hasDies(decoded.cause)
      const error = died ? internalError : payloadRefused(description)
      const message = died ? "event handler failed" : "payload refused"
      onRefused(
        log(died ? "Error" : "Debug", message, { event, namespace, description }, decoded.cause),
        codec.event.hasError ? failure(error) : undefined
      )
      return undefined
    },
    encodeExit: (event, exit) => encodeExit(outgoing.get(event)!, exit)
  }
}
