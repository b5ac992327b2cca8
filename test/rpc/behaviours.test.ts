/**
 * The behaviours of Effect RPC, over each transport and parser.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Queue, Schedule, Stream } from "effect"
import { RpcClient } from "effect/rpc"

import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { Book, connectedLibrary, type LibraryClient, NotFound, type Way } from "./library.ts"

const ways: ReadonlyArray<Way> = [
  { name: "WebSocket", transports: ["websocket"] },
  { name: "polling", transports: ["polling"] },
  { name: "an upgrade", transports: ["polling", "websocket"] },
  { name: "WebSocket with msgpack", transports: ["websocket"], parser: msgpack }
]

/** Asks for the counts until they are as they must be. */
const until = (client: LibraryClient, is: (counts: Effect.Success<ReturnType<LibraryClient["Counts"]>>) => boolean) =>
  Effect.repeat(client.Counts(), { until: is, schedule: Schedule.spaced(2) }).pipe(Effect.timeout("10 seconds"))

for (const way of ways) {
  describe(`RPC over ${way.name}`, () => {
    const calls = (what: string, test: (client: LibraryClient) => Effect.Effect<unknown, any, any>) =>
      it.live(
        what,
        () =>
          Effect.gen(function* () {
            const { client } = yield* connectedLibrary(way)
            yield* test(client)
          }).pipe(Effect.scoped) as Effect.Effect<void, any>
      )

    calls("gives the success of a call, decoded", (client) =>
      Effect.gen(function* () {
        const book = yield* client.Find({ id: "1" })
        assert.instanceOf(book, Book)
        assert.deepStrictEqual(book, new Book({ id: "1", title: "Title of 1", at: new Date(0) }))
      })
    )

    calls("gives a typed failure", (client) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(client.Find({ id: "none" }))
        assert.instanceOf(error, NotFound)
        assert.strictEqual((error as NotFound).id, "none")
      })
    )

    calls("gives the value of a Deferred that a handler returns", (client) =>
      Effect.map(client.FindLater({ id: "2" }), (book) => assert.strictEqual(book.title, "Title of 2"))
    )

    calls("keeps an Option as it is", (client) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* client.Maybe({ id: "none" }), Option.none())
        assert.strictEqual(Option.getOrThrow(yield* client.Maybe({ id: "3" })).id, "3")
      })
    )

    calls("calls an Rpc with a dot in its name", (client) =>
      Effect.map(client["shelf.count"](), (count) => assert.strictEqual(count, 3))
    )

    calls("passes headers, and the context of a middleware to nested effects", (client) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* client.WhoAmI(), "anybody, English")
        assert.strictEqual(yield* client.WhoAmI().pipe(RpcClient.withHeaders({ Reader: "Ada" })), "Ada, English")
        assert.strictEqual(yield* client.WhoAmI(undefined, { headers: { reader: "Grace" } }), "Grace, English")
        const refused = yield* Effect.flip(client.WhoAmI().pipe(RpcClient.withHeaders({ reader: "nobody" })))
        assert.strictEqual((refused as { readonly _tag: string })._tag, "Unknown")
      })
    )

    calls("gives a defect as a defect, and the next call works", (client) =>
      Effect.gen(function* () {
        const cause = yield* Effect.flip(Effect.sandbox(client.Crash()))
        assert.deepStrictEqual(cause, Cause.die("boom"))
        const detailed = yield* Effect.flip(Effect.sandbox(client.CrashInDetail()))
        const defect = Cause.squash(detailed)
        assert.instanceOf(defect, Error)
        assert.strictEqual((defect as Error).message, "in detail")
        assert.include(String((defect as Error).stack), "library.ts")
        assert.strictEqual(yield* client["shelf.count"](), 3)
      })
    )

    calls("gives every element of a stream, in its order", (client) =>
      Effect.gen(function* () {
        const chapters = yield* Stream.runCollect(client.Chapters({ count: 200 }))
        assert.deepStrictEqual(
          chapters,
          Array.from({ length: 200 }, (_, i) => i + 1)
        )
      })
    )

    calls("gives the failure of a stream after its elements", (client) =>
      Effect.gen(function* () {
        const seen: Array<number> = []
        const error = yield* Effect.flip(Stream.runForEach(client.Torn(), (page) => Effect.sync(() => seen.push(page))))
        assert.deepStrictEqual(seen, [1, 2])
        assert.instanceOf(error, NotFound)
      })
    )

    calls("closes the handler's scope when the reader has enough", (client) =>
      Effect.gen(function* () {
        const pages = yield* Stream.runCollect(Stream.take(client.Pages({ from: 7 }), 5))
        assert.deepStrictEqual(pages, [7, 8, 9, 10, 11])
        const { pages: written } = yield* until(client, ({ closed }) => closed === 1)
        const again = yield* client.Counts()
        assert.strictEqual(again.pages, written)
      })
    )

    calls("makes a handler wait for its reader", (client) =>
      Effect.gen(function* () {
        const queue: Queue.Dequeue<number, unknown> = yield* client.Pages(
          { from: 0 },
          { asQueue: true, streamBufferSize: 1 }
        )
        // The window is full: 16 chunks are not acknowledged. One page is in the hands of the writer.
        const { pages } = yield* until(client, ({ pages }) => pages >= 17)
        yield* Effect.repeat(client["shelf.count"](), { times: 20 })
        assert.strictEqual((yield* client.Counts()).pages, pages)
        assert.isAtMost(pages, 20)
        for (let page = 0; page < 40; page++) assert.strictEqual(yield* Queue.take(queue), page)
        yield* until(client, ({ pages }) => pages > 40)
      })
    )

    calls("interrupts the handler of a call that is interrupted", (client) =>
      Effect.gen(function* () {
        const waiting = yield* Effect.forkChild(client.Wait(), { startImmediately: true })
        yield* client["shelf.count"]()
        assert.isUndefined(waiting.pollUnsafe())
        yield* Fiber.interrupt(waiting)
        yield* until(client, ({ interrupted }) => interrupted === 1)
      })
    )

    calls("answers many calls at once, each with its own answer", (client) =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 200 }, (_, i) => String(i))
        const books = yield* Effect.forEach(ids, (id) => client.Find({ id }), { concurrency: "unbounded" })
        assert.deepStrictEqual(
          books.map(({ id }) => id),
          ids
        )
      })
    )

    calls("does not wait for the handler of a discarded call", (client) =>
      Effect.gen(function* () {
        yield* client.Wait(undefined, { discard: true })
        yield* client.Tally({ by: 2 }, { discard: true })
        yield* until(client, ({ tally }) => tally === 2)
      })
    )

    calls("carries bytes as attachments", (client) =>
      Effect.gen(function* () {
        const bytes = yield* client.Scan({ bytes: new Uint8Array([1, 2, 255]) })
        assert.deepStrictEqual([...bytes], [255, 2, 1])
      })
    )

    it.live("handles a notification, and answers nothing", () =>
      Effect.gen(function* () {
        const { client, socket } = yield* connectedLibrary(way)
        const came: Array<any> = []
        yield* socket.respond("rpc", (frame) => Effect.sync(() => came.push(frame)))
        const tally = { _tag: "Request", tag: "Tally", payload: { by: 3 }, headers: [], isNotification: true }
        yield* socket.emit("rpc", tally)
        yield* socket.emit("rpc", { ...tally, tag: "Crash", payload: null })
        yield* socket.emit("rpc", { ...tally, tag: "Wait", payload: null })
        const { tally: counted } = yield* until(client, ({ tally }) => tally > 0)
        assert.strictEqual(counted, 3)
        // The answers to the questions for the count, and nothing else.
        assert.isTrue(came.every(({ _tag, exit }) => _tag === "Exit" && "tally" in exit.value))
      }).pipe(Effect.scoped)
    )

    it.live("ends all calls with a fatal defect, and the server does not go on with them", () =>
      Effect.gen(function* () {
        const { client } = yield* connectedLibrary(way, {})
        const waiting = yield* Effect.forkChild(Effect.exit(client.Wait()), { startImmediately: true })
        yield* client["shelf.count"]()
        assert.deepStrictEqual(yield* Effect.flip(Effect.sandbox(client.Crash())), Cause.die("boom"))
        const exit = yield* Fiber.join(waiting)
        assert.isTrue(Exit.hasDies(exit))
        yield* until(client, ({ interrupted }) => interrupted === 1)
      }).pipe(Effect.scoped)
    )
  })
}
