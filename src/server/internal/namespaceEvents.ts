import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

import type { OverflowError, StreamOptions } from "../../StreamOptions.ts"
import type { NewsOverflow } from "../NamespaceHandle.ts"
import { costOfStreamed } from "./backlog.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import { Reader } from "./reader.ts"
import { viewOf } from "./views.ts"

/**
 * The events of all sockets of a namespace, from the moment on in which the stream is run: those
 * that its contract declares, or all others. One buffer takes them, and each counts in the backlog
 * of its own connection.
 */
export const eventsOf = <O extends NewsOverflow = "fail">(
  { environment, hubs }: NamespaceRuntime,
  isUntyped: boolean,
  options: StreamOptions<O> = {}
): Stream.Stream<any, OverflowError<O>> => {
  const subscription = Effect.acquireRelease(
    Effect.sync(() => {
      const reader = new Reader("events", { overflow: "fail", ...options }, environment.options)
      const remove = hubs.events.subscribe({
        offer: ({ data, event, isDeclared, socket, value }) => {
          if (isDeclared === isUntyped) return
          const content = isUntyped ? { args: value } : { payload: value }
          reader.offer(
            { socket: viewOf(socket, isUntyped), event, ...content },
            costOfStreamed(data),
            socket.connection
          )
        },
        end: () => reader.end()
      })
      return { reader, remove }
    }),
    ({ reader, remove }) =>
      Effect.sync(() => {
        remove()
        reader.close()
      })
  )
  // The policy says whether it fails.
  return Stream.unwrap(
    Effect.map(subscription, ({ reader }) => Stream.fromPull(Effect.succeed(reader.pull)))
  ) as Stream.Stream<any, OverflowError<O>>
}
