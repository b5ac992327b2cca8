import * as Effect from "effect/Effect"
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
type Reason = "Stopped" | "Idle" | "Lost" | "InternalError" | "Gone" | "Trimmed" | "Unreadable"

interface Items {
  readonly stream: string
  readonly from: number
  readonly values: ReadonlyArray<any>
  readonly end?: { readonly _tag: string; readonly error?: unknown }
}

/** Something that concerns a reader: the socket's status, or the arguments of the event with values. */
type News = SocketStatus | Arguments

/** What there is to give: values, and how the reading ends after them. */
interface Step {
  readonly values: ReadonlyArray<unknown>
  readonly end?: Stream.Stream<never, unknown> | undefined
}

const NOTHING: Step = { values: [] }

/** The messages that may wait for a reader. The window bounds them, unless the server ignores it. */
const CAPACITY = 10_000

/** Reads a stream by its id. It asks for the values after its position, at first and after each outage. */
export const readStream = <Ended>(
  socket: StreamSocket,
  { after, event, id, window }: Position,
  ended: (reason: Reason, at: number, from?: number) => Ended
): Stream.Stream<any, any> => {
  const items = `${event}:items`

  const reading = Effect.gen(function* () {
    let at = after
    /** The position up to which the server knows that values were read. */
    let told = after
    let isOver = false
    const buffer = makeStreamBuffer<News, "fail">(event, { capacity: CAPACITY })

    const finish = (end: Stream.Stream<never, unknown>, values: ReadonlyArray<unknown> = []): Step => {
      isOver = true
      return { values, end }
    }
    const cut = (reason: Reason, from?: number) => finish(Stream.fail(ended(reason, at, from)))
    const disconnected = () => finish(Stream.fail(new AckError({ event, reason: { _tag: "Disconnected" } })))

    const ask: Effect.Effect<Step> = Effect.suspend(() =>
      socket.emitWithAck(`${event}:read`, { stream: id, after: at, window })
    ).pipe(
      Effect.map(({ from, gone }: { readonly from: number; readonly gone: boolean }) => {
        told = at
        return gone ? cut("Gone") : from > at ? cut("Trimmed", from) : NOTHING
      }),
      // After an outage the status tells when to ask again.
      Effect.catch((error) =>
        Effect.succeed(error.reason._tag === "Disconnected" ? NOTHING : finish(Stream.fail(error)))
      )
    )

    const decode = (args: Arguments): Items | undefined =>
      socket.wire === undefined
        ? (args[0] as Items)
        : (socket.wire.decode(socket.namespace, items, [items, ...args], () => {})?.[0] as Items | undefined)

    const onItems = (args: Arguments): Effect.Effect<Step> => {
      const batch = decode(args)
      if (batch === undefined) return Effect.succeed(cut("Unreadable"))
      const { end, from, values } = batch
      // Values are missing. The answer tells whether the server still has them.
      if (from > at) return ask
      const added = values.slice(at - from)
      at += added.length
      if (end === undefined) return Effect.succeed({ values: added })
      if (end._tag === "Success") return Effect.succeed(finish(Stream.empty, added))
      const failure = end._tag === "Failure" ? end.error : ended(end._tag as Reason, at)
      return Effect.succeed(finish(Stream.fail(failure), added))
    }

    const onStatus = (status: SocketStatus): Effect.Effect<Step> => {
      if (status._tag === "Connected") return ask
      const willRetry =
        status._tag === "Connecting" || (status._tag === "Failed" ? status.error.willRetry : status.willRetry)
      return Effect.succeed(willRetry ? NOTHING : disconnected())
    }

    /** Tells the server that values were read, once the reader asks for more. */
    const tell = Effect.suspend(() => {
      if (isOver || at - told < window / 2 || !socket.connected) return Effect.void
      told = at
      return socket.emit(`${event}:ack`, { stream: id, at })
    })

    yield* socket.onAny((name, args) =>
      Effect.sync(() => {
        if (name === items && Object(args[0]).stream === id) buffer.offer(args)
      })
    )
    yield* Stream.runForEach(socket.status, (status) => Effect.sync(() => buffer.offer(status))).pipe(
      Effect.ensuring(Effect.sync(buffer.end)),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* Effect.addFinalizer(() =>
      isOver || !socket.connected
        ? Effect.void
        : // The server sends nothing more to a reader without a window.
          socket.emit(`${event}:read`, { stream: id, after: at, window: 0 })
    )

    return Stream.fromPull(Effect.succeed(buffer.pull)).pipe(
      Stream.mapEffect((news) => ("_tag" in news ? onStatus(news) : onItems(news))),
      // The scope of the socket has closed.
      Stream.concat(Stream.sync(() => (isOver ? NOTHING : disconnected()))),
      Stream.takeUntil(({ end }) => end !== undefined),
      Stream.flatMap(({ end, values }) =>
        Stream.fromArray(values).pipe(
          Stream.concat(Stream.fromEffectDrain(tell)),
          end === undefined ? (self) => self : Stream.concat(end)
        )
      )
    )
  })

  return Stream.unwrap(reading)
}
