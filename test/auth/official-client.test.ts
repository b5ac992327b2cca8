/**
 * The official client, whose rights end. Times are real, and short.
 */
import { createRequire } from "node:module"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { io, type Socket } from "socket.io-client"

import type * as Official from "../../src/Official.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { eventually, ways } from "../support/official.ts"
import { serve } from "../support/serve.ts"
import { Desk, makeDesk, type Token, token } from "./desk.ts"

interface Client2 {
  on(event: string, listener: (value: unknown) => void): void
  emit(event: string, value: unknown, answer: (value: unknown) => void): void
  close(): void
}

const io2: (url: string, options: object) => Client2 = createRequire(import.meta.url)("socket.io-client-v2")

type DeskClient = Socket<Official.ListenEvents<typeof Desk>, Official.EmitEvents<typeof Desk>>

const QUICK = { reconnectionDelay: 10, reconnectionDelayMax: 20 }

/** A server, and the function that connects official clients to it. */
const serving = Effect.fnUntraced(function* (options: ServerOptions = {}) {
  const { layer, ...desk } = yield* makeDesk()
  const { server, url } = yield* serve(layer, options)
  const namespace = yield* Effect.provideContext(SocketIoServer.namespace(Desk), server)
  const connect = (auth: Token | (() => Token), transport: string = "websocket") =>
    Effect.acquireRelease(
      Effect.sync((): DeskClient => {
        const give = (give: (auth: object) => void) => give({ token: token((auth as () => Token)()) })
        return io(`${url}/desk`, {
          ...QUICK,
          forceNew: true,
          transports: [transport],
          auth: typeof auth === "function" ? give : { token: token(auth) }
        })
      }),
      (socket) => Effect.sync(() => socket.disconnect())
    )
  return { ...desk, namespace, connect }
})

/** Gathers what happens to a client. */
const watch = (socket: DeskClient) => {
  const seen: Array<string> = []
  socket.on("connect", () => seen.push(socket.recovered ? "recovered" : "connect"))
  socket.on("disconnect", (reason) => seen.push(reason))
  socket.on("connect_error", (error) =>
    seen.push(`${error.message} ${JSON.stringify((error as { data?: unknown }).data)}`)
  )
  return seen
}

describe("the official client, at the end of its rights", () => {
  for (const transport of ways) {
    it.live(`comes back by itself with its \`auth\` function (${transport})`, () =>
      Effect.gen(function* () {
        const { connect, next } = yield* serving()
        let made = 0
        const socket = yield* connect(
          () => ({ name: "ada", rooms: [`${++made}`], ...(made === 1 && { in: 300 }) }),
          transport
        )
        const seen = watch(socket)
        const first = yield* next
        assert.strictEqual(yield* first.disconnected, "auth expired")
        const second = yield* next
        assert.isFalse(second.recovered)
        assert.strictEqual(yield* Effect.promise(() => socket.emitWithAck("whoami")), "ada of 2")
        assert.deepStrictEqual(seen, ["connect", "transport close", "connect"])
      })
    )
  }

  it.live("loses nothing with recovery", () =>
    Effect.gen(function* () {
      const { connect, namespace, next } = yield* serving({ recovery: true })
      let made = 0
      const socket = yield* connect(() => ({ name: "ada", rooms: ["a"], ...(++made === 1 && { in: 300 }) }))
      const seen = watch(socket)
      const news: Array<string> = []
      socket.on("news", (text) => news.push(text))
      const first = yield* next
      const away = yield* Effect.forkChild(first.disconnected, { startImmediately: true })
      yield* namespace.to("a").emit("news", "before")
      assert.strictEqual(yield* Fiber.join(away), "auth expired")
      yield* namespace.to("a").emit("news", "meanwhile")
      assert.isTrue((yield* next).recovered)
      yield* namespace.to("a").emit("news", "after")
      yield* eventually(() => news.length === 3)
      assert.deepStrictEqual(news, ["before", "meanwhile", "after"])
      assert.deepStrictEqual(seen, ["connect", "transport close", "recovered"])
    })
  )

  it.live("is refused with a code if its token is always the same, and stops", () =>
    Effect.gen(function* () {
      const { connect } = yield* serving({ auth: { tolerance: 0 } })
      const socket = yield* connect({ name: "ada", at: Date.now() + 1_500 })
      const seen = watch(socket)
      yield* eventually(() => seen.length === 3)
      assert.deepStrictEqual(seen, ["connect", "transport close", 'Auth expired {"code":"expired"}'])
      assert.isFalse(socket.active)
    })
  )

  it.live("is disconnected with `leave`, and stops", () =>
    Effect.gen(function* () {
      const { connect } = yield* serving()
      const socket = yield* connect({ name: "ada", in: 300, then: "leave" })
      const seen = watch(socket)
      yield* eventually(() => seen.length === 2)
      assert.deepStrictEqual(seen, ["connect", "io server disconnect"])
      assert.isFalse(socket.active)
    })
  )
})

describe("a client of Socket.IO 2", () => {
  it.live("is told, refreshes, and comes back after the end as any other", () =>
    Effect.gen(function* () {
      const { layer, next } = yield* makeDesk()
      const { url } = yield* serve(layer, { allowEIO3: true })
      // It has no auth payload: the parameters of its namespace are one.
      const claims = encodeURIComponent(token({ name: "ada", rooms: ["a"], in: 1_500, notice: 1_000 }))
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => io2(`${url}/desk?token=${claims}`, { ...QUICK, forceNew: true, transports: ["websocket"] })),
        (socket) => Effect.sync(() => socket.close())
      )
      const notices: Array<unknown> = []
      socket.on("auth:expiring", (notice: unknown) => notices.push(notice))
      const first = yield* next
      yield* eventually(() => notices.length === 1)
      const { _tag } = yield* Effect.promise(
        () => new Promise<any>((resolve) => socket.emit("auth", { token: token({ name: "ada", in: 300 }) }, resolve))
      )
      assert.strictEqual(_tag, "Success")
      assert.strictEqual(yield* first.disconnected, "auth expired")
      assert.isTrue((yield* next).connected)
    })
  )
})

describe("the official client that refreshes its rights", () => {
  it.live("goes on without a cut, as often as it is told, with types of the contract", () =>
    Effect.gen(function* () {
      const { connect, next } = yield* serving()
      const life: Token = { name: "ada", in: 1_500, notice: 1_000 }
      const socket = yield* connect(life)
      const seen = watch(socket)
      let refreshed = 0
      socket.on("auth:expiring", async ({ expiresIn }) => {
        assert.isAtMost(expiresIn, 750)
        const answer = await socket.emitWithAck("auth", { token: token(refreshed === 2 ? { name: "ada" } : life) })
        if (answer._tag === "Success") refreshed++
      })
      const server = yield* next
      yield* eventually(() => refreshed === 3)
      assert.isTrue(server.connected)
      assert.deepStrictEqual(seen, ["connect"])
    })
  )

  it.live("gets nothing more of the rooms that it may not read any more", () =>
    Effect.gen(function* () {
      const { connect, namespace } = yield* serving()
      const socket = yield* connect({ name: "ada", rooms: ["a", "b"] })
      const news: Array<string> = []
      socket.on("news", (text) => news.push(text))
      const both = (text: string) =>
        Effect.andThen(namespace.to("a").emit("news", `${text} a`), namespace.to("b").emit("news", `${text} b`))
      assert.strictEqual(yield* Effect.promise(() => socket.emitWithAck("whoami")), "ada of a+b")
      yield* both("before")
      yield* Effect.promise(() => socket.emitWithAck("auth", { token: token({ name: "ada", rooms: ["b"] }) }))
      yield* both("after")
      assert.strictEqual(yield* Effect.promise(() => socket.emitWithAck("whoami")), "ada of b")
      assert.deepStrictEqual(news, ["before a", "before b", "after b"])
    })
  )

  it.live("with the credentials of another user is cut off, and comes back as that user", () =>
    Effect.gen(function* () {
      const { connect, next } = yield* serving({ recovery: true })
      let name = "ada"
      const socket = yield* connect(() => ({ name, rooms: [] }))
      const seen = watch(socket)
      const first = yield* next
      name = "bob"
      const answer = yield* Effect.promise(() => socket.emitWithAck("auth", { token: token({ name }) }))
      assert(answer._tag === "Failure" && answer.error._tag === "ConnectRefused")
      assert.strictEqual(answer.error.message, "Auth changed")
      assert.strictEqual(yield* first.disconnected, "auth changed")
      const second = yield* next
      assert.isFalse(second.recovered)
      assert.strictEqual(yield* Effect.promise(() => socket.emitWithAck("whoami")), "bob of ")
      assert.deepStrictEqual(seen, ["connect", "transport close", "connect"])
    })
  )
})
