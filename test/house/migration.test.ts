/**
 * The application that is ported from the official server: the official client sees the same before and after.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Socket } from "socket.io-client"

import { runExample } from "../support/examples.ts"
import { request, within } from "../support/RawClient.ts"
import { connect, refusal } from "../support/serve.ts"

/** The events of a client, and a wait for those that a step causes. */
class Ear {
  readonly heard: Array<string> = []
  private readonly waiting = new Set<() => void>()

  listenTo(socket: Socket): void {
    socket.onAny((event: string, ...args: ReadonlyArray<unknown>) => {
      this.heard.push(`${event} ${JSON.stringify(args.filter((arg) => typeof arg !== "function"))}`)
      for (const check of this.waiting) check()
    })
    socket.on("vote", (question: string, answer: (vote: boolean) => void) => {
      answer(question === "tea?")
    })
  }

  has(count: number): Effect.Effect<void> {
    return Effect.promise(() =>
      within(
        `event ${count} after ${this.heard.join(", ")}`,
        new Promise<void>((resolve) => {
          const check = () => {
            if (this.heard.length < count) return
            this.waiting.delete(check)
            resolve()
          }
          this.waiting.add(check)
          check()
        })
      )
    )
  }
}

/** Everything that clients see of the application. */
const transcriptOf = (url: string) =>
  Effect.gen(function* () {
    const transcript: Array<unknown> = []
    const note = (what: string, value: unknown) => transcript.push([what, value])
    const get = (path: string) =>
      Effect.map(
        Effect.promise(() => request(url + path)),
        ({ body }) => JSON.parse(body)
      )
    const ears: Record<string, Ear> = {}
    const enter = (name: string, token: string, path = "") => {
      const ear = (ears[name] = new Ear())
      return connect(url + path, { auth: { token }, transports: ["websocket"] }, (socket) => ear.listenTo(socket))
    }
    const ask = (socket: Socket, event: string, ...args: ReadonlyArray<unknown>) =>
      Effect.promise(async () => {
        note(event, await socket.timeout(10_000).emitWithAck(event, ...args))
      })

    for (const token of ["guess", ""]) {
      const refused = yield* refusal(url, { auth: { token } })
      note("refused", [refused.message, refused.data])
    }
    const ada = yield* enter("ada", "ada-token")
    const bob = yield* enter("bob", "bob-token")
    const eve = yield* enter("eve", "eve-token")
    for (const name of ["ada", "bob", "eve"]) yield* ears[name]!.has(1)

    // Rooms, and the broadcast to all of a room but those who are muted.
    yield* ask(ada, "join", "No Room")
    yield* ask(ada, "join", "lobby")
    yield* ask(bob, "join", "lobby")
    yield* ears["ada"]!.has(2)
    yield* ask(eve, "join", "lobby")
    yield* ears["ada"]!.has(3)
    yield* ears["bob"]!.has(2)
    note("rooms", yield* get("/rooms/lobby"))
    eve.emit("mute")
    yield* ask(eve, "check", "nobody")
    ada.emit("say", "lobby", "hello")
    yield* ears["ada"]!.has(4)
    yield* ears["bob"]!.has(3)

    // Questions with a deadline: to a room, some of which does not answer, and to one socket.
    yield* ask(ada, "poll", "lobby", "tea?")
    yield* ask(ada, "poll", "lobby", "coffee?")
    bob.off("vote")
    yield* ask(ada, "poll", "lobby", "tea?")
    bob.on("still there", (answer: (text: string) => void) => answer("yes"))
    yield* ask(ada, "check", "Bob")
    yield* ask(ada, "check", "Eve")

    // An upload in pieces.
    yield* ask(bob, "upload", { name: "a.png", size: 6 })
    yield* ask(bob, "chunk", 7, Buffer.from([1]))
    for (const bytes of [[1, 2, 3], [4, 5], [6]]) yield* ask(bob, "chunk", 1, Buffer.from(bytes))
    yield* ears["ada"]!.has(5)

    // A namespace for each board.
    const one = yield* enter("one", "ada-token", "/board-7")
    const two = yield* enter("two", "bob-token", "/board-7")
    yield* enter("other", "eve-token", "/board-8")
    yield* ears["one"]!.has(1)
    yield* ears["two"]!.has(1)
    yield* ears["other"]!.has(1)
    one.emit("draw", 0.5, 1)
    yield* ears["two"]!.has(2)
    two.emit("draw", 1, 0)
    yield* ears["one"]!.has(2)
    for (const [path, token] of [
      ["/board-x", "ada-token"],
      ["/board-7", "guess"]
    ] as const) {
      const refused = yield* refusal(url + path, { auth: { token } })
      note("refused", [path, refused.message, refused.data])
    }

    // Goodbye to the rooms that a socket was in.
    bob.disconnect()
    yield* ears["ada"]!.has(6)
    note("rooms", yield* get("/rooms/lobby"))
    note("counts", yield* get("/counts"))
    for (const [name, { heard }] of Object.entries(ears)) note(name, heard)
    return transcript
  }).pipe(Effect.scoped)

const run = (name: string) =>
  Effect.gen(function* () {
    const example = yield* Effect.acquireRelease(
      Effect.promise(() => runExample(`migration/${name}.ts`)),
      (example) => Effect.promise(() => example.stop())
    )
    return yield* transcriptOf(example.url)
  }).pipe(Effect.scoped)

describe("an application that is ported from the official server", () => {
  it.live("shows its clients the same after each step", () =>
    Effect.gen(function* () {
      const [official, ...steps] = yield* Effect.all([run("official"), run("step-1"), run("step-2")], {
        concurrency: "unbounded"
      })
      assert.isAbove(official.length, 20)
      for (const step of steps) assert.deepStrictEqual(step, official)
    })
  )
})
