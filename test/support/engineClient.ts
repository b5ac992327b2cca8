/**
 * The client's end of an Engine.IO session on a platform in memory, under a clock that the test moves: the test is the server.
 */
import { assert } from "@effect/vitest"
import { Clock, Effect, type Fiber } from "effect"

import * as ClientChoices from "../../src/engine/ClientChoices.ts"
import * as EngineClient from "../../src/engine/EngineClient.ts"
import { type FakePlatform, type FakePoll, makeFakePlatform } from "./fakeClientPlatform.ts"
import { stubPage } from "./fakePage.ts"

const defaults: EngineClient.EngineClientOptions = {
  origin: "http://test",
  path: "/engine.io/",
  query: {},
  headers: {},
  transports: ["polling", "websocket"],
  upgrade: true,
  withCredentials: false,
  protocols: [],
  forceBase64: false,
  connectTimeout: 20_000
}

/** An open packet. */
export const openPacket = (handshake: object = {}): string =>
  `0${JSON.stringify({ sid: "s", upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000, ...handshake })}`

export const upgradable = { upgrades: ["websocket"] }

export interface TestClientOptions extends Partial<EngineClient.EngineClientOptions> {
  /** Choices that not every client makes. Default: it begins with the first transport, and closes with its page. */
  readonly tryAllTransports?: boolean
  readonly rememberUpgrade?: boolean
  readonly closeOnPageHide?: boolean
  /** The memory that sessions of one client share. */
  readonly memory?: { upgraded: boolean }
  readonly platform?: FakePlatform
}

/** A session that is being opened, and what it tells: text messages, `open`, `upgrade` and `close` in their order. */
export const openClient = Effect.fnUntraced(function* (options: TestClientOptions = {}) {
  const {
    closeOnPageHide = true,
    memory = { upgraded: false },
    platform = makeFakePlatform(),
    rememberUpgrade = false,
    tryAllTransports = false,
    ...rest
  } = options
  let make: EngineClient.MakeEngineClient = EngineClient.make
  if (tryAllTransports) make = ClientChoices.tryAllTransports(make)
  if (closeOnPageHide) make = ClientChoices.closeOnPageHide(make)
  if (rememberUpgrade) make = ClientChoices.rememberUpgrade(make, memory)
  const page = yield* stubPage
  const clock = yield* Clock.Clock
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const running = new Set<Fiber.Fiber<unknown, unknown>>()
  const told: Array<string | Uint8Array> = []
  const closes: Array<EngineClient.ClientClose> = []
  const client = make(
    { ...defaults, ...rest },
    {
      platform,
      unique: "u",
      now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
      runFork: (effect) => {
        const fiber = runFork(effect)
        running.add(fiber)
        fiber.addObserver(() => running.delete(fiber))
        return fiber
      }
    },
    {
      onOpen: ({ sid }) => told.push(`open ${sid}`),
      onMessage: (packet) => told.push(packet),
      onBinary: (bytes) => told.push(bytes),
      onUpgrade: () => told.push("upgrade"),
      onClose: (close) => {
        told.push("close")
        closes.push(close)
      }
    }
  )
  client.open()
  const requests = (method: "GET" | "POST") => platform.polls.filter(({ request }) => request.method === method)
  return {
    client,
    platform,
    page,
    memory,
    told,
    closes,
    /** The requests so far. */
    gets: () => requests("GET"),
    posts: () => requests("POST"),
    bodies: () => requests("POST").map(({ request }) => request.body),
    /** The request that was made last. */
    get: (): FakePoll => requests("GET").at(-1)!,
    post: (): FakePoll => requests("POST").at(-1)!,
    /** The WebSocket that was opened last. */
    ws: () => platform.sockets.at(-1)!,
    /** Whether it has ended, once and for this reason, and nothing of it is left: no WebSocket, request, timer or listener. */
    assertOver: (reason: EngineClient.ClientClose["reason"], description?: string) => {
      const [close, ...more] = closes
      assert.strictEqual(close?.reason, reason)
      if (description !== undefined) assert.strictEqual(close?.description, description)
      assert.deepStrictEqual(more, [])
      assert.strictEqual(told.at(-1), "close")
      assert.isTrue(platform.sockets.every(({ closed }) => closed))
      assert.strictEqual(platform.offline.size, 0)
      assert.deepStrictEqual(page.listening, [])
      assert.strictEqual(running.size, 0, "fibers that still run")
    },
    /** Whether nothing went wrong so far. */
    assertAlive: () => assert.deepStrictEqual(closes, [])
  }
})

export type TestClient = Effect.Success<ReturnType<typeof openClient>>

/** A session over polling. */
export const openPolling = Effect.fnUntraced(function* (handshake: object = {}, options: TestClientOptions = {}) {
  const test = yield* openClient(options)
  test.get().respond(openPacket(handshake))
  assert.deepStrictEqual(test.told, ["open s"])
  return test
})

/** A session over polling whose upgrade has come as far as is said. */
export const openUpgrading = Effect.fnUntraced(function* (
  until: "connecting" | "probing" | "answered",
  options: TestClientOptions = {}
) {
  const test = yield* openPolling(upgradable, options)
  if (until === "connecting") return test
  test.ws().events.onOpen()
  assert.deepStrictEqual(test.ws().take(), ["2probe"])
  if (until === "answered") test.ws().events.onText("3probe")
  return test
})
