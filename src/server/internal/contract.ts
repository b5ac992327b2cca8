import { type Codec, compile, compileEvents, type EventCodec } from "../../internal/contractCodec.ts"
import { compilePattern, type NamespacePattern } from "../../internal/namespacePattern.ts"
import type * as Namespace from "../../Namespace.ts"
import type { AnyService } from "../../NamespaceMiddleware.ts"

export interface CompiledMiddleware {
  readonly service: AnyService
  readonly auth: Codec
  readonly error: Codec
}

/** A contract, with a codec for everything that it declares. */
export interface CompiledContract {
  readonly contract: Namespace.Any
  readonly incoming: ReadonlyMap<string, EventCodec>
  readonly outgoing: ReadonlyMap<string, EventCodec>
  readonly serverToServer: ReadonlyMap<string, EventCodec>
  readonly auth: Codec
  readonly data: ReadonlyMap<string, Codec>
  readonly middlewares: ReadonlyArray<CompiledMiddleware>
  /** How the names of its namespaces are made, if they are dynamic. */
  readonly pattern: NamespacePattern | undefined
  readonly params: ReadonlyMap<string, Codec>
}

const compiled = new WeakMap<Namespace.Any, CompiledContract>()

/** Compiles a contract, once for all who ask. */
export const compileContract = (contract: Namespace.Any): CompiledContract => {
  let result = compiled.get(contract)
  if (result === undefined) {
    result = {
      contract,
      incoming: compileEvents(contract.clientToServer),
      outgoing: compileEvents(contract.serverToClient),
      serverToServer: compileEvents(contract.serverToServer),
      auth: compile(contract.auth),
      data: compileFields(contract.data),
      middlewares: contract.middlewares.map((service) => ({
        service,
        auth: compile(service.auth),
        error: compile(service.error)
      })),
      pattern: contract.params === undefined ? undefined : compilePattern(contract._tag),
      params: compileFields(contract.params ?? {})
    }
    compiled.set(contract, result)
  }
  return result
}

const compileFields = (fields: Namespace.Any["data"]): ReadonlyMap<string, Codec> =>
  new Map(Object.entries(fields).map(([name, schema]) => [name, compile(schema)]))
