import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"
import * as Schema from "effect/Schema"
import * as SchemaJITCompiler from "effect/schema/SchemaJITCompiler"
import * as Scope from "effect/Scope"

import type { CompiledContract, Prepare } from "../../internal/compileContract.ts"
import * as Namespace from "../../Namespace.ts"
import type { ConnectRefused } from "../../NamespaceMiddleware.ts"
import { ambiguities } from "./ambiguity.ts"
import { DynamicNamespaces, type NamespaceRequest } from "./dynamic.ts"
import { limitsOf } from "./eventLimits.ts"
import { handleOf } from "./handle.ts"
import type { Build } from "./ports.ts"
import type { ServerRuntime } from "./server.ts"

/** A contract's codecs, made faster by Schema's compiler: only servers have it. */
export const compiledOf = (namespace: Namespace.Any): CompiledContract => namespace.compiled(enableCompiler)

const enableCompiler: Prepare = (codec) => {
  SchemaJITCompiler.enable(codec.ast)
  SchemaJITCompiler.enable(Schema.flip(codec).ast)
}

/** The services of the caller, and the scheduler that all handlers share. */
const contextOf = (runtime: ServerRuntime): Effect.Effect<Context.Context<any>, never, any> =>
  Effect.map(Effect.context<any>(), (context) =>
    Context.add(context, Scheduler.Scheduler, Context.get(runtime.environment.context, Scheduler.Scheduler))
  )

/** Warns of schemas by which clients can make the server work for seconds. */
const warn = (contract: CompiledContract): Effect.Effect<void> =>
  Effect.suspend(() => {
    const found = ambiguities(contract)
    if (found.length === 0) return Effect.void
    return Effect.logWarning(
      `"${contract.contract._tag}": ${found.join(", ")} can take time that doubles with every level of nesting, as a union contains ` +
        "itself through several members that take the same values. A literal field that differs tells them apart."
    )
  })

/** Serves a namespace until the scope closes. A mistake of the application is a defect. */
export const serveNamespace = (
  runtime: ServerRuntime,
  namespace: string | Namespace.Any,
  build: Build
): Effect.Effect<void, never, any> =>
  Effect.gen(function* () {
    const { directory, environment } = runtime
    const contract = typeof namespace === "string" ? undefined : compiledOf(namespace)
    const name = typeof namespace === "string" ? namespace : namespace._tag
    Namespace.checkName(name)
    if (contract !== undefined) {
      if (contract.pattern !== undefined) {
        throw new Error(`"${name}" is a contract of dynamic namespaces: use layerDynamicNamespace`)
      }
      limitsOf(contract)
      yield* warn(contract)
    }
    const context = yield* contextOf(runtime)
    yield* Effect.acquireRelease(
      Effect.sync(() => directory.register(name, { contract, context, build })),
      (namespace) =>
        // The finalizers of its sockets may need the services that the layer was built with.
        environment.closing.closeNamespaces(
          () => namespace.unregister(),
          (other) => other === name
        )
    )
  })

/** The choices of a layer of dynamic namespaces. */
export interface DynamicChoices {
  readonly idleTimeToLive?: Duration.Input
  readonly maxIdle?: number
  readonly match?: (request: NamespaceRequest) => Effect.Effect<boolean, never, any>
}

/** The names that are dynamic namespaces: a contract's, those of an expression, or a predicate's. */
type Matching = Namespace.Any | RegExp | ((request: NamespaceRequest) => Effect.Effect<boolean, never, any>)

/** Serves dynamic namespaces until the scope closes. A mistake of the application is a defect. */
export const serveDynamic = (
  runtime: ServerRuntime,
  namespace: Matching,
  open: (namespace: any) => Effect.Effect<Build, ConnectRefused, any>,
  options: DynamicChoices = {}
): Effect.Effect<void, never, any> =>
  Effect.gen(function* () {
    const { directory, environment } = runtime
    const pattern = namespace instanceof RegExp ? namespace : undefined
    if (pattern?.global || pattern?.sticky) throw new Error("stateful regular expressions are not supported")
    const isContract = pattern === undefined && "_tag" in namespace
    const contract = isContract ? compiledOf(namespace as Namespace.Any) : undefined
    const plain = contract === undefined
    if (contract !== undefined) {
      const name = contract.contract._tag
      if (contract.pattern === undefined) {
        throw new Error(`"${name}" is not a contract of dynamic namespaces: use layerNamespace`)
      }
      if (directory.dynamicOf(contract) !== undefined) {
        throw new Error(`the namespaces "${name}" are served by two layers`)
      }
      limitsOf(contract)
      yield* warn(contract)
    }
    const group = new DynamicNamespaces(environment, {
      label: contract?.contract._tag ?? (pattern === undefined ? "(dynamic)" : String(pattern)),
      contract,
      context: yield* contextOf(runtime),
      // Before the release of the layer below, hence closed after it.
      scope: yield* Scope.fork(yield* Effect.scope),
      lifecycle: contract === undefined ? undefined : directory.lifecycleOf(contract),
      test: pattern === undefined ? (plain ? undefined : () => true) : (name) => pattern.test(name),
      match: plain && pattern === undefined ? (namespace as typeof options.match) : options.match,
      open: (namespace, params) => open(plain ? handleOf(namespace, true) : { ...handleOf(namespace, false), params }),
      idleTimeToLive: Duration.toMillis(Duration.fromInputUnsafe(options.idleTimeToLive ?? "10 seconds")),
      maxIdle: options.maxIdle ?? 1_000
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => directory.addDynamic(group)),
      () =>
        environment.closing.closeNamespaces(
          () => directory.removeDynamic(group),
          (name) => group.mayMatch(name)
        )
    )
  })
