import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

import { failure, internalError, payloadRefused } from "./answers.ts"
import { type Compile, compile, compileEvents, compileFields, type Declaration } from "./compileContract.ts"
import {
  type Codec,
  decodePayload,
  describe,
  encodeExit,
  encodePayload,
  type EventCodec,
  formatName,
  getOrThrow
} from "./contractCodec.ts"
import { decodeAck, unsent } from "./decodeAck.ts"
import { log } from "./log.ts"
import { WireData } from "./wireData.ts"
import type { AckError } from "../SocketIoError.ts"

/**
 * A contract in the form that clients use. They take it from the contract rather than import it, so
 * that a page without a contract does not bundle it.
 */
export interface ClientContract {
  /** Returns the name of the namespace; of a dynamic one, the name with these parameters. */
  readonly name: (params: Readonly<Record<string, unknown>> | undefined) => string
  /** Encodes the auth payload, which may be absent. */
  readonly encodeAuth: (auth: unknown) => unknown
  /** The conversion of its events; `undefined` for a contract that declares none. */
  readonly wire: ClientWire | undefined
}

/** Converts a contract's events for its clients. */
export interface ClientWire {
  /** The codec of an event of clients. */
  readonly codec: (event: string) => EventCodec | undefined
  /** The codec of an event of the server. */
  readonly serverCodec: (event: string) => EventCodec | undefined
  /**
   * Encodes an event as its data, `[name, ...args]`, and returns whether it may hold bytes. Throws
   * on an event or a payload that the contract does not declare. It takes `WireData` as they are,
   * declared or not.
   */
  readonly encode: (
    event: string,
    ...payload: ReadonlyArray<unknown>
  ) => readonly [data: ReadonlyArray<unknown>, mayHaveBinary: boolean]
  /**
   * Decodes an event's acknowledgement as declared, from its arguments, or from the failure that
   * kept the event from being sent.
   */
  readonly answered: (event: string, answer: Effect.Effect<ReadonlyArray<unknown>, AckError>) => Effect.Effect<any, any>
  /**
   * Throws on the name of an event that the server does not send. Numbers name no event, and are
   * allowed.
   */
  readonly check: (event: string | number) => void
  /**
   * Decodes an event's payload into an array. Returns `undefined` for an event that the contract
   * does not declare, and for a payload that its schema refuses. In the second case it calls
   * `onRefused`, with the log entry to write and the arguments that acknowledge the event.
   */
  readonly decode: (
    namespace: string,
    event: string,
    data: ReadonlyArray<unknown>,
    onRefused: (logged: Effect.Effect<void>, answer: ReadonlyArray<unknown> | undefined) => void
  ) => readonly [payload: unknown] | undefined
  /**
   * Encodes the exit of a handler as the arguments of the event's acknowledgement, if there is one.
   * Throws on a value or failure that the contract does not declare.
   */
  readonly encodeExit: (event: string, exit: Exit.Exit<unknown, unknown>) => ReadonlyArray<unknown> | undefined
}

/** Compiles a contract for clients. */
export const makeClientContract: Compile<ClientContract> = (contract) => {
  const { _tag, middlewares, params, pattern, untyped } = contract
  const auth = compile(contract.auth)
  // The contract and each middleware read their own parts of the payload.
  const more = middlewares.flatMap(({ auth }) => (auth.ast._tag === "Unknown" ? [] : [compile(auth)]))
  const names = pattern && { pattern, params: compileFields(params) }
  return {
    name: (values = {}) => (names ? formatName(names, values) : _tag),
    encodeAuth: (value) => {
      if (value === undefined) return value
      const encode = (codec: Codec) => getOrThrow(codec.encode(value), `auth payload of "${_tag}"`)
      const own = encode(auth)
      return more.length === 0 ? own : Object.assign({}, own, ...more.map(encode))
    },
    wire: untyped ? undefined : makeClientWire(contract)
  }
}

const makeClientWire = (contract: Declaration): ClientWire => {
  const incoming = compileEvents(contract.clientToServer)
  const outgoing = compileEvents(contract.serverToClient)
  const refuse = (event: string, whose: string) =>
    new Error(`"${event}" is no event of the ${whose} in "${contract._tag}"`)
  return {
    codec: (event) => incoming.get(event),
    serverCodec: (event) => outgoing.get(event),
    encode: (event, payload) => {
      const codec = incoming.get(event)
      if (payload instanceof WireData) return [payload.data, codec?.payload.mayHaveBinary ?? true]
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
      // A schema that throws is a bug on this side, so the server is not told.
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
