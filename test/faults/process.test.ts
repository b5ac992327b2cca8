/**
 * Servers that are stopped, killed and started again while clients are at work.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Option, type Scope, Stream } from "effect"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { ClientSocket, SocketStatus } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type * as Namespace from "../../src/Namespace.ts"
import { costly } from "../support/extent.ts"
import { within } from "../support/RawClient.ts"
import { connect as connectOfficial } from "../support/serve.ts"

interface Running {
  readonly url: string
  readonly port: number
  readonly kill: (signal: "SIGTERM" | "SIGKILL") => void
  /** How it has ended. */
  readonly ended: Effect.Effect<{ readonly code: number | null; readonly output: string; readonly at: number }>
}

/** Runs a server in a process of its own, until the scope closes at the latest. */
const start = (
  env: Record<string, string> = {},
  args: ReadonlyArray<string> = []
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const entry = fileURLToPath(new URL("server.ts", import.meta.url))
      const child = spawn(process.execPath, [...args, entry], { env: { ...process.env, ...env, NO_COLOR: "1" } })
      let output = ""
      const ended = new Promise<{ readonly code: number | null; readonly output: string; readonly at: number }>(
        (resolve) => child.once("close", (code) => resolve({ code, output, at: performance.now() }))
      )
      const port = await within(
        "port of a server",
        new Promise<number>((resolve, reject) => {
          for (const stream of [child.stdout, child.stderr]) {
            stream.on("data", (chunk: Buffer) => {
              output += chunk
              const listening = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(output)
              if (listening !== null) resolve(Number(listening[1]))
            })
          }
          void ended.then(() => reject(new Error(`the server has ended: ${output}`)))
        }),
        20_000
      )
      return {
        url: `http://127.0.0.1:${port}`,
        port,
        kill: (signal: "SIGTERM" | "SIGKILL") => void child.kill(signal),
        ended: Effect.promise(() => within("end of a server", ended, 20_000))
      }
    }),
    ({ ended, kill }) =>
      Effect.andThen(
        Effect.sync(() => kill("SIGKILL")),
        ended
      )
  )

/** Clients of our own that are connected, each over a connection of its own. Their logs would be of thousands of ends. */
const clients = (url: string, count: number, options: Partial<ClientOptions> = {}) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => i),
    () =>
      Effect.flatMap(Layer.build(SocketIoClient.layer({ url, transports: ["websocket"], ...options })), (client) =>
        Effect.provideContext(SocketIoClient.connect("/"), client)
      ),
    { concurrency: 64 }
  ).pipe(Effect.provide(Logger.layer([])))

const until = (socket: ClientSocket<Namespace.Untyped>, tag: SocketStatus["_tag"]) =>
  Effect.map(Stream.runHead(Stream.filter(socket.status, ({ _tag }) => _tag === tag)), Option.getOrThrow)

/** The clients of the server that is told to end, and those that come back at once. */
const [ENDING, RETURNING] = [costly(2_000, 200, 100), costly(5_000, 400, 100)]

/** The last line that a server has printed. */
const report = (output: string): Record<string, number> => JSON.parse(output.trim().split("\n").at(-1)!)

describe("a server that is told to end with SIGTERM", () => {
  it.live(
    "under load: every event is answered or its acknowledgement fails, clients are told, and it exits with 0 in time",
    () =>
      Effect.gen(function* () {
        const server = yield* start()
        const sockets = yield* clients(server.url, ENDING, { reconnection: false })
        const ends = yield* Effect.forEach(sockets, (socket) =>
          Effect.forkChild(until(socket, "Disconnected"), { startImmediately: true })
        )
        let answered = 0
        let failed = 0
        const count = <E>(ack: Effect.Effect<unknown, E & { readonly reason: { readonly _tag: string } }>) =>
          Effect.match(ack, {
            onSuccess: () => answered++,
            onFailure: ({ reason }) => {
              assert.strictEqual(reason._tag, "Disconnected")
              failed++
            }
          })
        const inFlight = yield* Effect.forEach(sockets, (socket, i) =>
          Effect.forkChild(count(socket.emitWithAck(i % 2 === 0 ? "quick" : "slow", i)), { startImmediately: true })
        )
        // The first answers are there; the slow ones are not.
        yield* Fiber.join(inFlight[0]!)
        server.kill("SIGTERM")
        const killedAt = performance.now()
        for (const fiber of inFlight) yield* Fiber.join(fiber)
        for (const fiber of ends) {
          const { reason } = (yield* Fiber.join(fiber)) as { readonly reason: string }
          assert.strictEqual(reason, "transport close")
        }
        const { at, code, output } = yield* server.ended
        assert.strictEqual(code, 0, output)
        assert.isAtMost(at - killedAt, 6_000)
        assert.strictEqual(answered + failed, ENDING)
        const { disconnected, interrupted, quick, slow } = report(output)
        // A handled event may have no answer; an answered event was handled.
        assert.isAtMost(answered, quick! + slow!)
        assert.isAtMost(slow! + interrupted!, ENDING / 2)
        assert.strictEqual(disconnected, ENDING)
      }),
    60_000
  )
})

describe("a server that is killed and started again", () => {
  it.live(
    "gets its clients back within the backoff's bound, whichever they are",
    () =>
      Effect.gen(function* () {
        const first = yield* start()
        const sockets = yield* clients(first.url, 50)
        const official = yield* connectOfficial(first.url, { reconnection: true })
        const pid = (yield* sockets[0]!.emitWithAck("pid"))[0]
        // Under load: what is in flight fails, and everything else is kept.
        const load = yield* Effect.forEach(sockets, (socket, i) =>
          Effect.forkChild(Effect.exit(socket.emitWithAck("slow", i)), { startImmediately: true })
        )
        const lost = yield* Effect.forEach(sockets, (socket) =>
          Effect.forkChild(until(socket, "Disconnected"), { startImmediately: true })
        )
        first.kill("SIGKILL")
        yield* first.ended
        for (const fiber of lost) yield* Fiber.join(fiber)
        for (const fiber of load) yield* Fiber.join(fiber)
        const back = new Promise((resolve) => official.once("connect", () => resolve(undefined)))
        const second = yield* start({ PORT: String(first.port) })
        const startedAt = performance.now()
        const waiting = yield* Effect.forEach(sockets, (socket) => socket.emitWithAck("pid"), {
          concurrency: "unbounded"
        })
        // The longest pause is 5 seconds.
        assert.isAtMost(performance.now() - startedAt, 7_000)
        assert.isTrue(waiting.every(([next]) => typeof next === "number" && next !== pid))
        yield* Effect.promise(() => within("the official client", back, 7_000))
        second.kill("SIGTERM")
      }),
    60_000
  )

  it.live(
    `lets ${RETURNING} clients that were cut at once come back, and refuses none`,
    () =>
      Effect.gen(function* () {
        const first = yield* start()
        const sockets = yield* clients(first.url, RETURNING)
        let returned = 0
        const failures = new Map<ClientSocket<Namespace.Untyped>, number>()
        const messages = new Set<string>()
        let listening = false
        let lost = 0
        const watching = yield* Effect.forEach(sockets, (socket) =>
          Effect.forkChild(
            Stream.runForEach(
              Stream.takeUntil(Stream.drop(socket.status, 1), ({ _tag }) => _tag === "Connected"),
              (status) =>
                Effect.sync(() => {
                  if (status._tag === "Connected") returned++
                  if (status._tag === "Disconnected") lost++
                  // While nobody listens they are refused; a listening server is not to refuse anybody.
                  if (status._tag !== "Failed" || !listening) return
                  failures.set(socket, (failures.get(socket) ?? 0) + 1)
                  messages.add(status.error.message)
                })
            ),
            { startImmediately: true }
          )
        )
        first.kill("SIGKILL")
        yield* first.ended
        const second = yield* start({ PORT: String(first.port) })
        // Earlier refusals are told: on a busy machine that takes a while.
        for (let i = 0; i < 50; i++) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        listening = true
        for (const fiber of watching) yield* Fiber.join(fiber)
        assert.strictEqual(lost, RETURNING)
        assert.strictEqual(returned, RETURNING)
        // One attempt may have been under way when it began to listen.
        assert.isTrue([...failures.values()].every((count) => count === 1))
        assert.isBelow(failures.size, RETURNING / 10, Array.from(messages).join("; "))
        second.kill("SIGTERM")
        assert.strictEqual((yield* second.ended).code, 0)
      }),
    120_000
  )
})

describe("a wall clock that is set", () => {
  for (const hours of [1, -1]) {
    it.live(
      `by ${hours} hour${hours > 0 ? " forth" : " back"} disturbs nobody`,
      () =>
        Effect.gen(function* () {
          const shift = `data:text/javascript,${encodeURIComponent(`
            const { now } = Date
            let shift = 0
            Date.now = () => now() + shift
            setTimeout(() => { shift = ${hours * 3_600_000} }, 1_000).unref()
            globalThis.shifted = () => shift
          `)}`
          const server = yield* start({ PING_INTERVAL: "200", PING_TIMEOUT: "1500" }, ["--import", shift])
          const [polling] = yield* clients(server.url, 1, { transports: ["polling"], reconnection: false })
          const [webSocket] = yield* clients(server.url, 1, { reconnection: false })
          const official = yield* connectOfficial(server.url)
          // Longer than the clock's leap takes, and a client's patience with a server that sends no pings.
          for (let i = 0; i < 20; i++) {
            yield* Effect.sleep("200 millis")
            assert.deepStrictEqual(yield* polling!.emitWithAck("quick", i), [i])
            assert.deepStrictEqual(yield* webSocket!.emitWithAck("quick", i), [i])
          }
          assert.isTrue(official.connected)
        }),
      20_000
    )
  }
})
