import * as Schema from "effect/Schema"
import * as SchemaJITCompiler from "effect/schema/SchemaJITCompiler"

import type * as Namespace from "../Namespace.ts"
import { type Compile, compileContract, type CompiledContract, type Prepare } from "./compileContract.ts"

/**
 * A contract's codecs, made faster by Schema's compiler. Programs in pages do without: see
 * `Prepare`.
 */
export const compiledOf = (namespace: Namespace.Any): CompiledContract => namespace.compiled(compileForServer)

const compileForServer: Compile<CompiledContract> = (contract) => compileContract(contract, enableCompiler)

/** Makes a codec faster by Schema's compiler. */
export const enableCompiler: Prepare = (codec) => {
  SchemaJITCompiler.enable(codec.ast)
  SchemaJITCompiler.enable(Schema.flip(codec).ast)
}
