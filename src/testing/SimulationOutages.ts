/**
 * Outages of simulated networks: clients that are separated from the server, and networks that fail
 * at random.
 *
 * Users meet all of it as a part of `Simulation`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"

import type { Network } from "./Network.ts"

/**
 * Something with a network, such as a `TestClient` or a raw client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Networked {
  readonly network: Network
}

/**
 * Separates clients from the server, together and unnoticed, until the scope closes. Data that was
 * sent meanwhile arrives then.
 *
 * @since 0.1.0
 * @category accessors
 */
export const partition = (clients: Iterable<Networked>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.forEach(clients, ({ network }) => network.stall, { discard: true }),
    () => Effect.forEach(clients, ({ network }) => network.restore, { discard: true })
  )

/**
 * The kinds of outages, and how often they happen.
 *
 * @since 0.1.0
 * @category options
 */
export interface OutageOptions {
  /** The time between two outages, on average. Default: 10 seconds. */
  readonly every?: Duration.Input
  /** The longest duration of one outage. Default: 10 seconds. */
  readonly lasting?: Duration.Input
}

const upTo = (millis: number) => Effect.map(Random.next, (random) => Duration.millis(random * millis))

/**
 * Makes outages from now on until the scope closes: at random times it drops the connections of a
 * random client, or cuts or stalls its network, for a random time. When the scope closes, all
 * networks work again.
 *
 * @since 0.1.0
 * @category accessors
 */
export const outages = Effect.fnUntraced(function* (
  clients: Iterable<Networked>,
  { every = "10 seconds", lasting = "10 seconds" }: OutageOptions = {}
): Effect.fn.Return<void, never, Scope.Scope> {
  const networks = Array.from(clients, ({ network }) => network)
  const [pause, length] = [every, lasting].map((duration) => Duration.toMillis(duration))
  const outage = Effect.gen(function* () {
    yield* Effect.sleep(yield* upTo(2 * pause!))
    const network = networks[Math.floor((yield* Random.next) * networks.length)]!
    const kind = Math.floor((yield* Random.next) * 3)
    if (kind === 0) return yield* network.drop
    yield* kind === 1 ? network.cut : network.stall
    yield* Effect.sleep(yield* upTo(length!))
    return yield* network.restore
  })
  yield* Effect.acquireRelease(Effect.void, () => Effect.forEach(networks, ({ restore }) => restore, { discard: true }))
  yield* Effect.forkScoped(Effect.forever(outage))
})
