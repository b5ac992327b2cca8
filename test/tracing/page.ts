/**
 * The program of a test's page: our client with a tracer that exports its spans. It is bundled for the browser.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import * as Scope from "effect/Scope"

import * as ClientTelemetry from "../../src/client/ClientTelemetry.ts"
import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { Shop } from "./shop.ts"

const scope = Scope.makeUnsafe()
let shop: ClientSocket<typeof Shop>
let tracing: Context.Context<never>

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(Effect.timeout(effect, "20 seconds"))

const page = {
  /** Connects to a server, and answers what that asks. */
  start: (url: string, collector: string, serviceName: string) =>
    run(
      Effect.gen(function* () {
        tracing = yield* Layer.build(
          OtlpTracer.layer({
            url: `${collector}/v1/traces`,
            resource: { serviceName },
            exportInterval: "20 millis"
          }).pipe(Layer.provide([FetchHttpClient.layer, OtlpSerialization.layerJson]))
        )
        const Client = SocketIoClient.layer({ url, extras: [ClientTelemetry.make()] })
        yield* Effect.gen(function* () {
          const client = yield* Layer.build(Client)
          shop = yield* Effect.provideContext(SocketIoClient.connect(Shop), client)
          yield* shop.respond("sold", () => Effect.void)
          yield* shop.respond("confirm", () => Effect.succeed(serviceName))
        }).pipe(Effect.provideContext(tracing))
      }).pipe(Effect.provideService(Scope.Scope, scope))
    ),
  order: (article: string) =>
    run(Effect.provideContext(Effect.withSpan(shop.emitWithAck("order", article), "purchase"), tracing))
}

Object.assign(globalThis, page)

export type TracedPage = typeof page
