import { isReservedEvent } from "../protocol/SocketPacket.ts"
import type { CompiledContract } from "./compileContract.ts"
import { encodePayload, type EventCodec } from "./contractCodec.ts"
import { refuseFunctions } from "./refuseFunctions.ts"

/** The name of an event and its wire arguments. */
export type EncodedEvent = readonly [event: string, ...args: Array<unknown>]

/** An event for clients, encoded. */
export interface EncodedPacket {
  readonly data: [event: string, ...args: Array<unknown>]
  readonly mayHaveBinary: boolean
}

/** Any event, as it is. Throws on a reserved name and on a function. */
export const encodeUntyped = (event: string, args: ReadonlyArray<unknown>): EncodedPacket => {
  if (isReservedEvent(event)) throw new Error(`"${event}" is a reserved event name`)
  refuseFunctions(event, args)
  return { data: [event, ...args], mayHaveBinary: true }
}

/** An event that a contract sends to clients. Throws on a payload that its schema refuses. */
export const encodeDeclared = (contract: CompiledContract, event: string, payload: unknown): EncodedPacket => {
  const codec = outgoingOf(contract, event)
  return { data: encodePayload(codec, payload), mayHaveBinary: codec.payload.mayHaveBinary }
}

/**
 * The codec of an event that a contract sends to clients. Throws if it declares none of the name.
 */
export const outgoingOf = ({ contract, outgoing }: CompiledContract, event: string): EventCodec => {
  const codec = outgoing.get(event)
  if (codec !== undefined) return codec
  throw new Error(`"${event}" is not among the events that "${contract._tag}" sends to clients`)
}

/**
 * The codec of an event that a contract declares between servers. Throws if it declares none of the
 * name.
 */
export const betweenServers = (contract: CompiledContract | undefined, name: string, event: string): EventCodec => {
  const codec = contract?.serverToServer.get(event)
  if (codec !== undefined) return codec
  throw new Error(`"${event}" is not among the events between servers of "${name}"`)
}

/** An event between servers: by its codec, or as it is. Throws as the others do. */
export const encodeServerEvent = (
  codec: EventCodec | undefined,
  event: string,
  args: ReadonlyArray<unknown>
): EncodedEvent => {
  if (codec !== undefined) return encodePayload(codec, args[0])
  refuseFunctions(event, args)
  return [event, ...args]
}
