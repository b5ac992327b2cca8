/**
 * Three servers behind nginx that takes turns, request by request: official clients do not notice, and come back when servers die.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { io } from "socket.io-client"

import { balance } from "../support/balancer.ts"
import { count, isExhaustive } from "../support/extent.ts"
import { type NginxConfig, proxy } from "../support/nginx.ts"
import { requires } from "../support/peers.ts"
import { within } from "../support/RawClient.ts"
import { call, connect } from "../support/serve.ts"
import { type RunningWorker, startRoutedWorker } from "../support/workers.ts"

/** The common part of the two official clients. */
interface Client {
  readonly connected: boolean
  readonly io: { readonly engine: { readonly transport: { readonly name: string } } }
  once(event: string, listener: (...args: Array<any>) => void): void
  on(event: string, listener: (...args: Array<any>) => void): void
  emit(event: string, ...args: ReadonlyArray<unknown>): void
  disconnect(): void
}

const ioV2: (url: string, options: object) => Client = createRequire(import.meta.url)("socket.io-client-v2")

const versions = [
  ["4", (url: string, options: object) => io(url, options) as unknown as Client],
  ["2", ioV2]
] as const

const ways = [["polling"], ["polling", "websocket"], ["websocket"]] as const

let folder: string
let workers: Array<RunningWorker> = []

const ports = () => workers.map(({ url }) => Number(new URL(url).port))

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "unsticky-"))
  workers = await Promise.all([1, 2, 3].map(() => startRoutedWorker(join(folder, "run"))))
}, 120_000)
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stop()))
  rmSync(folder, { recursive: true, force: true })
})

/** Turns, request by request. A server that refuses a connection is left out. */
const turns = (): NginxConfig => ({
  http: `
    upstream servers {
      ${ports()
        .map((port) => `server 127.0.0.1:${port} max_fails=0;`)
        .join("\n")}
    }
    map $http_upgrade $connection_upgrade { default upgrade; "" ""; }`,
  server: `location / {
    proxy_pass http://servers;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
  }`
})

const echo = (socket: Client, value: unknown, patience?: number): Promise<unknown> =>
  within("echo", new Promise((resolve) => socket.emit("echo", value, ([back]: [unknown]) => resolve(back))), patience)

/** Connects, does something, and leaves. Fails if it is refused. */
const visit = async (url: string, number: number): Promise<void> => {
  const [version, open] = versions[number % versions.length]!
  const transports = ways[Math.floor(number / versions.length) % ways.length]!
  const socket = open(url, { forceNew: true, reconnection: false, transports })
  try {
    await within(
      `connection ${number} of version ${version} over ${transports.join()}`,
      new Promise<void>((resolve, reject) => {
        socket.once("connect", () => resolve())
        for (const event of ["connect_error", "error"]) socket.once(event, reject)
        socket.once("disconnect", (reason) => reject(new Error(`lost: ${reason}`)))
      })
    )
    const answer = await echo(socket, number)
    // Version 2 gives the arguments one by one.
    assert.strictEqual(answer, number)
  } finally {
    socket.disconnect()
  }
}

/** Visits with so many at the same time. */
const visits = async (url: string, total: number, concurrency: number): Promise<ReadonlyArray<unknown>> => {
  const failures: Array<unknown> = []
  let next = 0
  const lane = async () => {
    while (next < total) await visit(url, next++).catch((error: unknown) => failures.push(error))
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
  return failures
}

const passedOn = Effect.gen(function* () {
  const sum: Record<string, number> = {}
  for (const { url } of workers) {
    const socket = yield* connect(url, { transports: ["websocket"] })
    for (const [name, value] of Object.entries(yield* call(socket, "passed"))) {
      sum[name] = (sum[name] ?? 0) + (value as number)
    }
  }
  return sum
})

/** Servers die, one after the other, and others take their ports; clients that were there come back and are served. */
const survive = Effect.fnUntraced(function* (url: string, rounds: number) {
  const sockets: Array<Client> = []
  yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.disconnect())))
  for (let i = 0; i < 24; i++) {
    const [, open] = versions[i % 2]!
    const transports = ways[Math.floor(i / 2) % ways.length]!
    sockets.push(
      open(url, { forceNew: true, transports, reconnectionDelay: 50, reconnectionDelayMax: 200, timeout: 5_000 })
    )
  }
  const served = Effect.promise(() =>
    Promise.all(
      sockets.map(async (socket, i) => {
        // An event of a client that is away waits for its connection; that of one whose server dies has no answer.
        for (let attempt = 0; ; attempt++) {
          const done = await echo(socket, i, 3_000).catch(() => undefined)
          if (done === i) return
          if (attempt === 20) throw new Error(`client ${i} is not served`)
        }
      })
    )
  )
  yield* served
  for (let round = 0; round < rounds; round++) {
    const at = round % workers.length
    const port = ports()[at]!
    yield* Effect.promise(() => workers[at]!.kill(round % 3 === 2 ? "SIGTERM" : "SIGKILL"))
    workers[at] = yield* Effect.promise(() => startRoutedWorker(join(folder, "run"), port))
    yield* served
  }
})

describe("servers that take turns", () => {
  it.live(
    "refuse no official client",
    () =>
      Effect.gen(function* () {
        const { url } = yield* balance(workers.map(({ url }) => url))
        assert.deepStrictEqual(yield* Effect.promise(() => visits(url, isExhaustive ? 300 : 60, 20)), [])
        assert.isAbove((yield* passedOn)["requests_forwarded{request}"]!, 50)
      }),
    180_000
  )

  it.live(
    "die, and their clients come back",
    () =>
      Effect.gen(function* () {
        const { url } = yield* balance(workers.map(({ url }) => url))
        yield* survive(url, isExhaustive ? 6 : 2)
      }),
    240_000
  )
})

describe("servers behind nginx that takes turns", requires("nginx"), () => {
  it.live(
    "refuse no official client",
    () =>
      Effect.gen(function* () {
        const url = yield* proxy(turns())
        assert.deepStrictEqual(yield* Effect.promise(() => visits(url, count(1_000, 90), 30)), [])
      }),
    180_000
  )

  it.live(
    "die, and their clients come back",
    () =>
      Effect.gen(function* () {
        const url = yield* proxy(turns())
        yield* survive(url, count(6, 3))
      }),
    240_000
  )
})
