import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

import * as Namespace from "../../Namespace.ts"

/** The reason why the command gives no verdict, in words for its user. */
export class CheckError extends Data.TaggedError("CheckError")<{ readonly message: string }> {}

/**
 * Loads modules, and returns the contracts that they export, each once. Fails if a module cannot be
 * loaded or exports none.
 */
export const loadContracts = (
  modules: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Namespace.Any>, CheckError> =>
  Effect.map(Effect.forEach(modules, loadModule), (lists) => Array.from(new Set(lists.flat())))

const loadModule = (path: string): Effect.Effect<ReadonlyArray<Namespace.Any>, CheckError> =>
  Effect.tryPromise({
    try: () => import(pathToFileURL(resolve(path)).href) as Promise<Readonly<Record<string, unknown>>>,
    catch: (error) => new CheckError({ message: `${path} cannot be loaded: ${String(error)}` })
  }).pipe(
    Effect.flatMap((exports) => {
      const contracts = Object.values(exports).filter(Namespace.isNamespace)
      return contracts.length > 0
        ? Effect.succeed(contracts)
        : Effect.fail(new CheckError({ message: `${path} exports no contract of a namespace` }))
    })
  )
