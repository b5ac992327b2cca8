import * as Effect from "effect/Effect"

import type { BroadcastPacket } from "../../adapter/Adapter.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { decodePayload } from "../../internal/contractCodec.ts"
import { decodeAck } from "../../internal/decodeAck.ts"
import { encodeDeclared, encodeUntyped, outgoingOf } from "../../internal/emits.ts"
import type { Emission } from "./emissions.ts"
import type { Encoding } from "./ports.ts"

/** Any event, as it is. */
export const untypedEncoding: Encoding = {
  isDeclared: false,
  packet: encodeUntyped,
  argumentsOf: (args) => args as ReadonlyArray<unknown>,
  received: ({ data }) => ({ payload: data.slice(1) }),
  decodeAck: (_event, args) => Effect.succeed(args),
  decodeData: (data) => data
}

/** The events that a contract declares. */
class ContractEncoding implements Encoding {
  readonly isDeclared = true
  private readonly contract: CompiledContract

  constructor(contract: CompiledContract) {
    this.contract = contract
  }

  packet(event: string, args: ReadonlyArray<unknown>): BroadcastPacket {
    return encodeDeclared(this.contract, event, args[0])
  }

  argumentsOf(payload: unknown): ReadonlyArray<unknown> {
    return [payload]
  }

  /**
   * The value that was emitted, and not a copy. An event that was emitted without the contract is
   * decoded.
   */
  received({ data, declared }: Emission): { readonly payload: unknown } | undefined {
    if (declared !== undefined) return declared
    const codec = this.contract.outgoing.get(data[0])
    if (codec === undefined) return undefined
    const payload = decodePayload(codec, data)
    return payload._tag === "Success" ? { payload: payload.value } : undefined
  }

  decodeAck(event: string, args: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    return decodeAck(outgoingOf(this.contract, event), args)
  }

  decodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const decoded: Record<string, unknown> = {}
    for (const [field, codec] of this.contract.data) {
      const value = Object.hasOwn(data, field) ? codec.decode(data[field]) : undefined
      // A field that another version of the program has set, and this one cannot decode, is
      // omitted.
      if (value?._tag === "Success") decoded[field] = value.value
    }
    return decoded
  }
}

const byContract = new WeakMap<CompiledContract, Encoding>()

/** The encoding of a contract's events: one for all that use the contract. */
export const encodingOf = (contract: CompiledContract): Encoding => {
  if (contract.untyped) return untypedEncoding
  let encoding = byContract.get(contract)
  if (encoding === undefined) byContract.set(contract, (encoding = new ContractEncoding(contract)))
  return encoding
}
