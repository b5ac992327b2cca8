/**
 * A namespace for each document. It opens with its first reader, holds the document while somebody
 * reads it, and saves the document when nobody has read it for a while.
 *
 *     npx node examples/dynamic-namespaces.ts
 *
 * In another terminal, in `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000/document/7")
 *     await socket.emitWithAck("append", "hello")      // the document's lines
 *
 * Leave `npx node`: the server's log shows that the document is saved and closed.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Context, Effect, Layer, Ref, Schema, Stream } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"

class Document extends Namespace.dynamic("/document/:id", {
  // The name holds a string. Clients that ask for anything but a number are refused.
  params: { id: Schema.FiniteFromString },
  clientToServer: [
    Event.make("append", { payload: Schema.String, ack: Schema.Array(Schema.String) }),
    Event.make("read", { ack: Schema.Array(Schema.String) })
  ],
  serverToClient: [Event.make("appended", { payload: Schema.String }), Event.make("notice", { payload: Schema.String })]
}) {}

/** The store of the documents. In a real application it is a database. */
class Shelf extends Context.Service<
  Shelf,
  {
    readonly load: (id: number) => Effect.Effect<ReadonlyArray<string>>
    readonly save: (id: number, lines: ReadonlyArray<string>) => Effect.Effect<void>
  }
>()("documents/Shelf") {}

const ShelfLive = Layer.sync(Shelf, () => {
  const shelf = new Map<number, ReadonlyArray<string>>()
  return {
    load: (id) => Effect.sync(() => shelf.get(id) ?? []),
    save: (id, lines) =>
      Effect.andThen(
        Effect.sync(() => shelf.set(id, lines)),
        Effect.logInfo(`document ${id} saved`)
      )
  }
})

const DocumentsLive = Layer.unwrap(
  Effect.map(Config.Duration("IDLE").pipe(Config.withDefault("10 seconds")), (idleTimeToLive) =>
    SocketIoServer.layerDynamicNamespace(
      Document,
      // This runs once for each document, in a scope of its own.
      Effect.fnUntraced(function* (document) {
        const { load, save } = yield* Shelf
        const { id } = document.params
        const lines = yield* Ref.make(yield* load(id))
        yield* Effect.addFinalizer(() => Effect.flatMap(Ref.get(lines), (all) => save(id, all)))
        // This runs once for each reader.
        return (socket) =>
          Effect.succeed(
            Document.of({
              append: (line) =>
                Effect.andThen(
                  socket.broadcast.emit("appended", line),
                  Ref.updateAndGet(lines, (all) => [...all, line])
                ),
              read: () => Ref.get(lines)
            })
          )
      }),
      { idleTimeToLive }
    )
  )
)

/** Tells all readers of all documents when another document opens. */
const Notices = Layer.effectDiscard(
  Effect.gen(function* () {
    const documents = yield* SocketIoServer.dynamicNamespaces(Document)
    yield* documents.openings({ overflow: "dropOldest" }).pipe(
      Stream.runForEach(
        Effect.fnUntraced(function* ({ params }) {
          const { length } = yield* documents.active
          yield* Effect.logInfo(`document ${params.id} opened, ${length} are open`)
          yield* documents.emit("notice", `document ${params.id} is open`)
        })
      ),
      Effect.forkScoped({ startImmediately: true })
    )
  })
)

const Main = NodeSocketIoServer.serve(Layer.mergeAll(DocumentsLive, Notices), {
  port: Number(process.env.PORT ?? 3000)
}).pipe(Layer.provide(ShelfLive))

NodeRuntime.runMain(Layer.launch(Main))
