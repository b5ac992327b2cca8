/**
 * The program of the page of the browser tests: our client, under functions that a test calls from outside. It is bundled for the browser.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import * as ClientExtras from "../../src/client/ClientExtras.ts"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type * as Namespace from "../../src/Namespace.ts"
import type { StreamOverflow } from "../../src/StreamOptions.ts"

/** The values that a test sends, with `{ bytes, as }` for those that JSON does not have. */
export type Sent =
  | string
  | { readonly bytes: ReadonlyArray<number>; readonly as: "ArrayBuffer" | "Uint8Array" | "Blob" | "File" }

const scope = Scope.makeUnsafe()
let socket: ClientSocket<Namespace.Untyped>
let watched: Stream.Stream<ReadonlyArray<unknown>, StreamOverflow>

const toValue = (sent: Sent): unknown => {
  if (typeof sent === "string") return sent
  const bytes = new Uint8Array(sent.bytes)
  switch (sent.as) {
    case "ArrayBuffer":
      return bytes.buffer
    case "Blob":
      return new Blob([bytes])
    case "File":
      return new File([bytes], "a file", { type: "text/plain" })
    default:
      return bytes
  }
}

/** The values that came in, as JSON; bytes have their type. */
const toJson = (value: unknown): unknown =>
  ArrayBuffer.isView(value) || value instanceof ArrayBuffer
    ? {
        bytes: Array.from(value instanceof ArrayBuffer ? new Uint8Array(value) : (value as Uint8Array)),
        as: value.constructor.name
      }
    : value

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(Effect.timeout(effect, "20 seconds"))

/** Emits an event whose answer is another event; gives that one's arguments. */
const ask = (event: string, answer: string, args: ReadonlyArray<unknown>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const answers = yield* socket.subscribe(answer)
      yield* socket.emit(event, ...args)
      const [first] = yield* Stream.runCollect(Stream.take(answers, 1))
      return (first as ReadonlyArray<unknown>).map(toJson)
    })
  )

const page = {
  connect: (options: ClientOptions) =>
    run(
      Effect.gen(function* () {
        const client = yield* Layer.build(
          SocketIoClient.layer({
            ...options,
            reconnection: Schedule.spaced("50 millis"),
            extras: [ClientExtras.closeOnPageHide]
          })
        )
        socket = yield* Effect.provideContext(SocketIoClient.connect("/"), client)
        yield* socket.respond("question", (...args) => Effect.succeed(args[0]))
        return socket.id
      }).pipe(Effect.provideService(Scope.Scope, scope))
    ),
  echo: (...sent: ReadonlyArray<Sent>) => run(ask("message", "message-back", sent.map(toValue))),
  acknowledged: (...sent: ReadonlyArray<Sent>) =>
    run(Effect.map(socket.emitWithAck("message-with-ack", ...sent.map(toValue)), (answer) => answer.map(toJson))),
  /** Sends many messages at once, every other one with a Blob; gives what comes back. */
  exchangeMany: (count: number) =>
    run(
      Effect.scoped(
        Effect.gen(function* () {
          const answers = yield* socket.subscribe("message-back")
          for (let i = 0; i < count; i++) {
            yield* i % 2 === 0 ? socket.emit("message", i) : socket.emit("message", i, new Blob([String(i)]))
          }
          const messages = yield* Stream.runCollect(Stream.take(answers, count))
          return messages.map((args) => args.map(toJson))
        })
      )
    ),
  join: (room: string) => run(socket.emitWithAck("join", room)),
  /** Sends to the others in a room. */
  toRoom: (room: string, ...sent: ReadonlyArray<Sent>) =>
    run(socket.emitWithAck("to-room", room, ...sent.map(toValue))),
  /** Keeps what comes in from now on for `watched`. */
  watch: (event: string) =>
    run(
      Effect.map(Effect.provideService(socket.subscribe(event), Scope.Scope, scope), (stream) => {
        watched = stream
      })
    ),
  watched: (count: number) =>
    run(Effect.map(Stream.runCollect(Stream.take(watched, count)), (events) => events.map((args) => args.map(toJson)))),
  answered: (sent: Sent) => run(ask("ask", "answered", [toValue(sent)])),
  /** Waits until the server sees the connection on the transport. */
  isOver: (transport: string) =>
    run(
      Effect.repeat(socket.emitWithAck("transport"), {
        until: ([name]) => name === transport,
        schedule: Schedule.spaced("20 millis")
      }).pipe(Effect.as(transport))
    ),
  /** Waits until the socket has another id than the one before. */
  reconnected: (before: string) =>
    run(
      Stream.runHead(
        Stream.filter(socket.status, (status) => status._tag === "Connected" && status.id !== before)
      ).pipe(Effect.map(() => socket.id))
    ),
  /** Whether the page was restored from the back/forward cache, since it was last shown. */
  wasRestored: () => Promise.resolve(wasRestored),
  leave: () => Effect.runPromise(Scope.close(scope, Exit.void))
}

let wasRestored = false
addEventListener("pageshow", ({ persisted }) => {
  wasRestored = persisted
})

Object.assign(globalThis, page)
