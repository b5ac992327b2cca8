import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"

import type { CompiledContract } from "../../internal/compileContract.ts"
import { compiledOf } from "../../internal/schemaCompiler.ts"
import * as Namespace from "../../Namespace.ts"
import type { ConnectRefused } from "../../NamespaceMiddleware.ts"
import { ambiguities } from "./ambiguity.ts"
import { DynamicNamespaces, type NamespaceRequest } from "./dynamic.ts"
import { limitsOf } from "./eventLimits.ts"
import { handleOf } from "./handle.ts"
import { checkWindows } from "./once.ts"
import type { Build } from "./ports.ts"
import type { ServerRuntime } from "./server.ts"
import { streamEventsOf } from "./streamEvents.ts"

/** The services of the caller, and the scheduler that all handlers share. */
const contextOf = (runtime: ServerRuntime): Effect.Effect<Context.Context<any>, never, any> =>
  Effect.map(Effect.context<any>(), (context) =>
    Context.add(context, Scheduler.Scheduler, Context.get(runtime.environment.context, Scheduler.Scheduler))
  )

/** Warns of schemas that let clients keep the server busy for seconds. */
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
    const contract = compiledOf(typeof namespace === "string" ? Namespace.untyped(namespace) : namespace)
    const name = contract.contract._tag
    Namespace.checkName(name)
    if (contract.pattern !== undefined) {
      throw new Error(`"${name}" is a contract of dynamic namespaces: use layerDynamicNamespace`)
    }
    limitsOf(contract)
    checkWindows(contract)
    yield* warn(contract)
    const context = yield* contextOf(runtime)
    const streams = streamEventsOf(contract, context, environment)
    yield* Effect.acquireRelease(
      Effect.sync(() => directory.register(name, { contract, context, build, streams })),
      (namespace) =>
        // The finalizers of its sockets may need the services that the layer was built with.
        environment.closing.closeNamespaces(
          () => {
            streams?.close()
            return { sessions: namespace.unregister() }
          },
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

/** Serves dynamic namespaces until the scope closes. A mistake of the application is a defect. */
export const serveDynamic = (
  runtime: ServerRuntime,
  namespace: Namespace.Any | RegExp,
  open: (namespace: any) => Effect.Effect<Build, ConnectRefused, any>,
  options: DynamicChoices = {}
): Effect.Effect<void, never, any> =>
  Effect.gen(function* () {
    const { directory, environment } = runtime
    const contract = compiledOf(namespace instanceof RegExp ? Namespace.untypedDynamic(namespace) : namespace)
    const label = contract.contract._tag
    if (contract.pattern === undefined) {
      throw new Error(`"${label}" is not a contract of dynamic namespaces: use layerNamespace`)
    }
    if (directory.dynamicOf(contract) !== undefined) {
      throw new Error(`the namespaces "${label}" are served by two layers`)
    }
    limitsOf(contract)
    checkWindows(contract)
    yield* warn(contract)
    const context = yield* contextOf(runtime)
    const streams = streamEventsOf(contract, context, environment)
    const group = new DynamicNamespaces(environment, {
      label,
      contract,
      context,
      streams,
      // This is added before the release of the layer below, so it closes after it.
      scope: yield* Scope.fork(yield* Effect.scope),
      lifecycle: directory.lifecycleOf(contract),
      onOpen: (namespace) => directory.opened.publish(namespace),
      match: options.match,
      open: (namespace, params) => open({ ...handleOf(namespace, contract.untyped), params }),
      idleTimeToLive: Duration.toMillis(options.idleTimeToLive ?? "10 seconds"),
      maxIdle: options.maxIdle ?? 1_000
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => directory.addDynamic(group)),
      () =>
        environment.closing.closeNamespaces(
          () => {
            streams?.close()
            return directory.removeDynamic(group)
          },
          (name) => group.mayMatch(name)
        )
    )
  })
