/**
 * Servers with sockets in memory, over a bus in memory.
 */
import { Clock, Effect, Exit, Fiber, Scope, Stream } from "effect"

import type { Adapter, BroadcastFlags, BroadcastPacket, Selection } from "../../src/adapter/Adapter.ts"
import * as DistributedAdapter from "../../src/adapter/DistributedAdapter.ts"
import type { ServersMissingError } from "../../src/SocketIoError.ts"
import { FakeHost } from "./fakeHost.ts"
import type { BusServer, MemoryBus, ServerOptions } from "./memoryBus.ts"

export interface Member {
  readonly server: BusServer
  readonly host: FakeHost
  readonly adapter: Adapter
  /** Leaves the cluster in good order. */
  readonly leave: Effect.Effect<void>
}

/** One more server joins the cluster. */
export const join = Effect.fnUntraced(function* (
  bus: MemoryBus,
  name: string,
  options: ServerOptions & DistributedAdapter.Options = {}
): Effect.fn.Return<Member, never, Scope.Scope> {
  const server = bus.server(name, options)
  const host = new FakeHost(name)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const adapter = yield* DistributedAdapter.make(host, server.open, server.monitor, options).pipe(
    Effect.provideService(Clock.Clock, server.clock),
    Scope.provide(scope)
  )
  host.adapter = adapter
  return { server, host, adapter, leave: Scope.close(scope, Exit.void) }
})

export const all: Selection = { rooms: [], except: [] }

export const rooms = (...rooms: ReadonlyArray<string>): Selection => ({ rooms, except: [] })

export const flags: BroadcastFlags = { volatile: false, local: false, compress: true }

export const packet = (event: string, ...args: ReadonlyArray<unknown>): BroadcastPacket => ({
  data: [event, ...args],
  mayHaveBinary: true
})

/** The values of a stream so far, and its end. */
export interface Gathered<A> {
  readonly items: ReadonlyArray<A>
  /** The number of missing servers; `undefined` while it goes on. */
  readonly missing: () => number | undefined
  readonly fiber: Fiber.Fiber<void, ServersMissingError>
}

/** Runs a stream in the background. */
export const gather = <A>(
  stream: Stream.Stream<A, ServersMissingError>
): Effect.Effect<Gathered<A>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const items: Array<A> = []
    let missing: number | undefined
    const fiber = yield* Stream.runForEach(stream, (item) => Effect.sync(() => void items.push(item))).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          missing = 0
        })
      ),
      Effect.tapError((error) =>
        Effect.sync(() => {
          missing = error.missing
        })
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    return { items, missing: () => missing, fiber }
  })

/** Asks in the background. */
export const ask = <A>(
  question: Effect.Effect<A, ServersMissingError<A>>
): Effect.Effect<
  {
    readonly result: () => { readonly value: A; readonly missing: number } | undefined
    readonly fiber: Fiber.Fiber<A, ServersMissingError<A>>
  },
  never,
  Scope.Scope
> =>
  Effect.gen(function* () {
    let result: { readonly value: A; readonly missing: number } | undefined
    const fiber = yield* question.pipe(
      Effect.tap((value) =>
        Effect.sync(() => {
          result = { value, missing: 0 }
        })
      ),
      Effect.tapError(({ missing, partial }) =>
        Effect.sync(() => {
          result = { value: partial, missing }
        })
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    return { result: () => result, fiber }
  })
