/**
 * A group of RPCs that does everything that RPCs can do, and its handlers.
 */
import { Context, Deferred, Effect, Layer, Option, Queue, Schema, type Scope, Stream } from "effect"
import { Headers } from "effect/http"
import { Rpc, RpcClient, RpcGroup, RpcMiddleware, RpcServer } from "effect/rpc"

import * as Binary from "../../src/Binary.ts"
import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type * as Namespace from "../../src/Namespace.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import type { PacketParser } from "../../src/protocol/PacketParser.ts"
import { Parser } from "../../src/Parser.ts"
import * as SocketIoRpcClient from "../../src/rpc/SocketIoRpcClient.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import { serve } from "../support/serve.ts"

export class Book extends Schema.Class<Book>("rpc/Book")({
  id: Schema.String,
  title: Schema.String,
  at: Schema.Date
}) {}

export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { id: Schema.String }) {}

export class Reader extends Context.Service<Reader, { readonly name: string; readonly language: string }>()(
  "rpc/Reader"
) {}

class Unknown extends Schema.TaggedError<Unknown>()("Unknown", {}) {}

/** Takes the reader's name from the headers. */
export class Readers extends RpcMiddleware.Service<Readers, { provides: Reader }>()("rpc/Readers", {
  error: Unknown,
  requiredForClient: true
}) {}

export class Library extends RpcGroup.make(
  Rpc.make("Find", { payload: { id: Schema.String }, success: Book, error: NotFound }),
  Rpc.make("FindLater", { payload: { id: Schema.String }, success: Book }),
  Rpc.make("Maybe", { payload: { id: Schema.String }, success: Schema.Option(Book) }),
  Rpc.make("shelf.count", { success: Schema.Int }),
  Rpc.make("WhoAmI", { success: Schema.String }),
  Rpc.make("Pages", { payload: { from: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Torn", { success: Schema.Int, error: NotFound, stream: true }),
  Rpc.make("Chapters", { payload: { count: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Crash"),
  Rpc.make("CrashInDetail", { defect: Schema.Defect({ includeStack: true }) }),
  Rpc.make("Wait"),
  Rpc.make("Scan", { payload: { bytes: Binary.Bytes }, success: Binary.Bytes }),
  Rpc.make("Tally", { payload: { by: Schema.Int } }),
  Rpc.make("Counts", {
    success: Schema.Struct({ pages: Schema.Int, closed: Schema.Int, interrupted: Schema.Int, tally: Schema.Int })
  })
).middleware(Readers) {}

const bookOf = (id: string) => new Book({ id, title: `Title of ${id}`, at: new Date(0) })

/** Handlers that count what happens to them. */
export const LibraryLive = Library.toLayer(
  Effect.sync(() => {
    const counts = { pages: 0, closed: 0, interrupted: 0, tally: 0 }
    return Library.of({
      Find: ({ id }) => (id === "none" ? Effect.fail(new NotFound({ id })) : Effect.succeed(bookOf(id))),
      FindLater: ({ id }) =>
        Effect.map(Deferred.make<Book>(), (later) => {
          Deferred.doneUnsafe(later, Effect.delay(Effect.succeed(bookOf(id)), 5))
          return later
        }),
      Maybe: ({ id }) => Effect.succeed(id === "none" ? Option.none() : Option.some(bookOf(id))),
      "shelf.count": () => Effect.succeed(3),
      WhoAmI: () => Effect.map(Reader, ({ language, name }) => `${name}, ${language}`),
      // A page is written only when somebody takes it.
      Pages: Effect.fnUntraced(function* ({ from }) {
        const pages = yield* Queue.bounded<number>(0)
        yield* Effect.addFinalizer(() => Effect.sync(() => counts.closed++))
        let page = from
        yield* Effect.suspend(() => Queue.offer(pages, page++)).pipe(
          Effect.tap(() => Effect.sync(() => counts.pages++)),
          Effect.forever,
          Effect.forkScoped
        )
        return pages
      }),
      Torn: () => Stream.concat(Stream.make(1, 2), Stream.fail(new NotFound({ id: "page 3" }))),
      Chapters: ({ count }) => Stream.range(1, count).pipe(Stream.rechunk(1)),
      Crash: () => Effect.die("boom"),
      CrashInDetail: () => Effect.die(new TypeError("in detail")),
      Wait: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => counts.interrupted++)),
      Scan: ({ bytes }) => Effect.succeed(bytes.toReversed()),
      Tally: ({ by }) => Effect.sync(() => void (counts.tally += by)),
      Counts: () => Effect.sync(() => ({ ...counts }))
    })
  })
)

export const ReadersLive = Layer.succeed(
  Readers,
  Readers.of((effect, { headers }) =>
    headers["reader"] === "nobody"
      ? Effect.fail(new Unknown())
      : Effect.provideService(effect, Reader, {
          name: headers["reader"] ?? "anybody",
          language: headers["language"] ?? "no language"
        })
  )
)

/** The client's part: it tells the language. */
export const ReadersClient = RpcMiddleware.layerClient(Readers, ({ next, request }) =>
  next({ ...request, headers: Headers.set(request.headers, "language", "English") })
)

export const handlers = Layer.mergeAll(LibraryLive, ReadersLive)

/** The RPC server of the library. Defects end their own call alone, unless a test says otherwise. */
export const libraryServer = (options: { readonly disableFatalDefects?: boolean } = { disableFatalDefects: true }) =>
  RpcServer.layer(Library, options).pipe(Layer.provide(handlers))

export type LibraryClient = RpcClient.FromGroup<typeof Library, any>

export const makeClient = RpcClient.make(Library).pipe(Effect.provide(ReadersClient))

export interface Way {
  readonly name: string
  readonly transports: NonNullable<ClientOptions["transports"]>
  readonly parser?: PacketParser
}

/** Serves the library in a namespace of its own, and connects to it. */
export const connectedLibrary = Effect.fnUntraced(function* (
  { parser, transports }: Pick<Way, "parser" | "transports">,
  options: SocketIoRpcServer.ServerOptions & { readonly disableFatalDefects?: boolean } = { disableFatalDefects: true },
  protocol: SocketIoRpcClient.ProtocolOptions = {}
): Effect.fn.Return<
  { readonly client: LibraryClient; readonly socket: ClientSocket<Namespace.Untyped> },
  any,
  Scope.Scope
> {
  const parsed = parser === undefined ? Layer.empty : Layer.succeed(Parser, parser)
  const { url } = yield* serve(
    libraryServer(options).pipe(Layer.provide(SocketIoRpcServer.layerProtocol("/library", options)))
  ).pipe(Effect.provide(parsed))
  const context = yield* Layer.build(
    SocketIoRpcClient.layerProtocol("/library", protocol).pipe(
      Layer.provideMerge(SocketIoClient.layer({ url, transports })),
      Layer.provide(NodeClientPlatform.layer),
      Layer.provide(parsed)
    )
  )
  // The socket that the protocol uses.
  const socket = yield* SocketIoClient.connect("/library").pipe(Effect.provide(context))
  return { client: yield* Effect.provide(makeClient, context), socket }
})
