import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { ClientWire } from "../../internal/clientWire.ts"
import { makeStreamBuffer } from "../../internal/streamBuffer.ts"
import { AckError } from "../../SocketIoError.ts"
import type { ClientSocketBase, SocketStatus } from "../ClientSocket.ts"
import type { Arguments } from "./inbound.ts"

/** A socket, as the readers of streams use it; contracts only narrow its type. */
export interface StreamSocket extends ClientSocketBase {
  readonly emit: (event: string, ...args: Arguments) => Effect.Effect<void>
  readonly emitWithAck: (event: string, ...args: Arguments) => Effect.Effect<any, AckError>
  /** The conversion of the contract's events. */
  readonly wire?: ClientWire | undefined
}

interface Position {
  readonly event: string
  readonly id: string
  readonly after: number
  readonly window: number
}

/** How a reading ends before the end of its stream. */
type Reason =
  | { readonly _tag: "Stopped" | "Idle" | "Lost" | "InternalError" | "Gone" | "Unreadable" }
  | { readonly _tag: "Trimmed"; readonly from: number }

interface Items {
  readonly stream: string
  readonly from: number
  readonly values: ReadonlyArray<any>
  readonly end?: { readonly _tag: string; readonly error?: unknown }
}

/**
 * Something that concerns a reader: the socket's status, or the arguments of the event with values.
 */
type News = SocketStatus | Arguments

type Values = ReadonlyArray<unknown>

type Chunk = readonly [unknown, ...Array<unknown>]

/**
 * The messages that may wait for a reader. The window bounds them, unless the server ignores it.
 */
const CAPACITY = 10_000

/**
 * Reads a stream by its id. It asks for the values after its position, at first and after each
 * outage.
 */
export const readStream = <Ended>(
  socket: StreamSocket,
  { after, event, id, window }: Position,
  ended: (reason: Reason, at: number) => Ended
): Stream.Stream<any, any> => {
  const items = `${event}:items`

  const reading = Effect.gen(function* () {
    let at = after
    /** The position up to which the server knows that values were read. */
    let told = after
    /** How the reading ends, after the values that there are. */
    let over: Effect.Effect<never, unknown> | undefined
    let waiting: Array<News> = []
    const buffer = makeStreamBuffer<News, "fail">(event, { capacity: CAPACITY })

    const finish = (how: Effect.Effect<never, unknown>, values: Values = []): Values => {
      over = how
      return values
    }
    const cut = (reason: Reason) => finish(Effect.fail(ended(reason, at)))

    const ask: Effect.Effect<Values> = Effect.suspend(() =>
      socket.emitWithAck(`${event}:read`, { stream: id, after: at, window })
    ).pipe(
      Effect.map(({ from, gone }: { readonly from: number; readonly gone: boolean }): Values => {
        told = at
        return gone ? cut({ _tag: "Gone" }) : from > at ? cut({ _tag: "Trimmed", from }) : []
      }),
      // After an outage the status tells when to ask again.
      Effect.catch((error) =>
        Effect.sync((): Values => (error.reason._tag === "Disconnected" ? [] : finish(Effect.fail(error))))
      )
    )

    const onItems = (args: Arguments): Values | Effect.Effect<Values> => {
      const { wire } = socket
      const batch = wire === undefined ? args : wire.decode(socket.namespace, items, [items, ...args], () => {})
      if (batch === undefined) return cut({ _tag: "Unreadable" })
      const { end, from, values } = batch[0] as Items
      // Values are missing. The answer tells whether the server still has them.
      if (from > at) return ask
      const added = values.slice(at - from)
      at += added.length
      if (end === undefined) return added
      if (end._tag === "Success") return finish(Cause.done(), added)
      return finish(Effect.fail(end._tag === "Failure" ? end.error : ended({ _tag: end._tag } as Reason, at)), added)
    }

    const onStatus = (status: SocketStatus): Values | Effect.Effect<Values> => {
      if (status._tag === "Connected") return ask
      const { willRetry } =
        status._tag === "Failed" ? status.error : status._tag === "Connecting" ? { willRetry: true } : status
      return willRetry ? [] : finish(Effect.fail(new AckError({ event, reason: { _tag: "Disconnected" } })))
    }

    /** Tells the server that values were read: the reader asks for more. */
    const tell = Effect.suspend(() => {
      if (over !== undefined || at - told < window / 2 || !socket.connected) return Effect.void
      told = at
      return socket.emit(`${event}:ack`, { stream: id, at })
    })

    const next: Effect.Effect<Chunk, unknown> = Effect.suspend(() => {
      if (over !== undefined) return over
      const news = waiting.shift()
      if (news === undefined) {
        return Effect.flatMap(buffer.pull, (pulled) => {
          waiting = Array.from(pulled)
          return next
        })
      }
      const values = "_tag" in news ? onStatus(news) : onItems(news)
      return Effect.flatMap(Effect.isEffect(values) ? values : Effect.succeed(values), (some) =>
        some.length > 0 ? Effect.succeed(some as Chunk) : next
      )
    })

    yield* socket.onAny((name, args) =>
      Effect.sync(() => {
        if (name === items && Object(args[0]).stream === id) buffer.offer(args)
      })
    )
    yield* Stream.runForEach(socket.status, (status) => Effect.sync(() => buffer.offer(status))).pipe(
      // The scope of the socket has closed.
      Effect.ensuring(
        Effect.sync(() => buffer.offer({ _tag: "Disconnected", reason: "io client disconnect", willRetry: false }))
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* Effect.addFinalizer(() =>
      over !== undefined || !socket.connected
        ? Effect.void
        : // The server sends nothing more to a reader without a window.
          socket.emit(`${event}:read`, { stream: id, after: at, window: 0 })
    )
    return Effect.andThen(tell, next)
  })

  // The types are those of the event, which the caller knows.
  return Stream.fromChannel(Channel.fromTransform((_, scope) => Scope.provide(reading, scope))) as Stream.Stream<
    any,
    any
  >
}
