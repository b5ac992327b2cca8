/**
 * Clients whose server is the test: over connections in memory, under a clock that the test moves.
 */
import { Effect, Stream } from "effect"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { ClientSocketBase, SocketStatus } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import { makeFakePlatform } from "./fakeClientPlatform.ts"

/** A client over WebSocket. `use` runs an effect with it, and `last` is the connection that was opened last. */
export const fakeClient = <R = never>(options: Partial<ClientOptions<R>> = {}) =>
  Effect.gen(function* () {
    const platform = makeFakePlatform()
    const client = yield* SocketIoClient.make<R>({ url: "http://test", transports: ["websocket"], ...options }).pipe(
      Effect.provideService(ClientPlatform, platform)
    )
    const use = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, SocketIoClient.SocketIoClient, client)
    return { platform, use, last: () => platform.sockets.at(-1)! }
  })

/** The same with a socket of the default namespace. */
export const fakeSocket = <R = never>(options: Partial<ClientOptions<R>> = {}) =>
  Effect.gen(function* () {
    const { use, ...client } = yield* fakeClient(options)
    return { ...client, socket: yield* use(SocketIoClient.socket("/")) }
  })

/** Everything that the status of a socket tells. */
export const statusesOf = Effect.fnUntraced(function* ({ status }: ClientSocketBase) {
  const statuses: Array<SocketStatus> = []
  yield* Effect.forkScoped(
    Stream.runForEach(status, (status) => Effect.sync(() => statuses.push(status))),
    { startImmediately: true }
  )
  return statuses
})
