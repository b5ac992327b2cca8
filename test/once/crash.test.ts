/**
 * Effects exactly once, in a real database: servers and clients are killed at random points, and a proxy loses acknowledgements. The
 * rows are what was sent, each once. Without `once` the same run makes rows twice.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { assert, describe, it } from "@effect/vitest"

import { costly, isExhaustive } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import { within } from "../support/RawClient.ts"
import { startRedis } from "../support/redisServer.ts"
import { type Fate, startAckProxy } from "./ackProxy.ts"

type Kind = "official" | "own"

interface Run {
  readonly kind: Kind
  readonly seed: number
  readonly orders: number
  readonly serverKills: number
  readonly clientKills: number
  /** Two servers that share the answers in Redis, instead of one with a database. */
  readonly redis?: string
}

/** The same numbers for the same seed. */
const makeRandom = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The event that an acknowledgement is for. */
const kindOf = (ack: string): "order" | "note" => (/^43\d+\[-/.test(ack) ? "note" : "order")

interface Child {
  /** The lines that it prints. */
  readonly line: (pattern: RegExp) => Promise<string>
  readonly kill: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** Starts a program of this folder. It must not end by itself. */
const start = (name: string, env: Record<string, string>, onFailure: (error: Error) => void): Child => {
  const program = fileURLToPath(new URL(name, import.meta.url))
  const child = spawn(process.execPath, [program], { env: { ...process.env, NO_COLOR: "1", ...env } })
  let output = ""
  let errors = ""
  let isExpected = false
  const checks = new Set<() => void>()
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk
    for (const check of checks) check()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk
  })
  const closed = new Promise<void>((resolve) =>
    child.once("close", () => {
      if (!isExpected) onFailure(new Error(`${name} has ended: ${output}${errors}`))
      resolve()
    })
  )
  const end = async (how: () => void) => {
    isExpected = true
    how()
    await within(`end of ${name}`, closed)
  }
  return {
    line: (pattern) =>
      new Promise((resolve) => {
        const check = () => {
          const found = pattern.exec(output)
          if (found === null) return
          checks.delete(check)
          resolve(found[0])
        }
        checks.add(check)
        check()
      }),
    kill: () => end(() => child.kill("SIGKILL")),
    stop: () => end(() => child.stdin.end())
  }
}

/** The rows of a table, by order: how many there are of each. */
const countRows = async (path: string, table: string): Promise<ReadonlyMap<number, number>> => {
  const { openDatabase } = await import("./shop.ts")
  const database = openDatabase(path)
  const rows = database.prepare(`SELECT n, count(*) AS count FROM ${table} GROUP BY n ORDER BY n`).all()
  database.close()
  return new Map(rows.map(({ count, n }) => [Number(n), Number(count)]))
}

const sum = (counts: ReadonlyMap<number, number>) => [...counts.values()].reduce((sum, count) => sum + count, 0)

/** Lets a client order through the proxy, with all that happens meanwhile. */
const run = async ({ clientKills, kind, orders, redis, seed, serverKills }: Run) => {
  const random = makeRandom(seed)
  const folder = mkdtempSync(join(tmpdir(), "once-"))
  const [shopPath, clientPath] = [join(folder, "shop.db"), join(folder, "client.db")]
  let fail!: (error: Error) => void
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => {})

  // One acknowledgement in three is lost, of orders and of notes, and two thirds of these with the connection.
  const acks = { order: 0, note: 0 }
  const fate = (ack: string): Fate => {
    const n = acks[kindOf(ack)]++
    return n % 3 !== 1 ? "pass" : n % 9 === 4 ? "drop" : "cut"
  }

  let messages = 0
  let onMessage: (port: number) => void = () => {}
  const proxy = await startAckProxy({
    fate,
    onMessage: (port) => {
      messages++
      onMessage(port)
    }
  })
  /** Waits until a message passes, and so many have. Gives the port of its server. */
  const messageAfter = (n: number) =>
    new Promise<number>((resolve) => {
      onMessage = (port) => {
        if (messages >= n) resolve(port)
      }
    })
  const startServer = async () => {
    const env = { DB: shopPath, ...(redis === undefined ? {} : { REDIS: redis }) }
    const child = start("shopServer.ts", env, fail)
    return { child, port: Number(await Promise.race([child.line(/^\d+$/m), failed])) }
  }
  const startClient = () =>
    start("shopClients.ts", { CLIENT: kind, COUNT: String(orders), DB: clientPath, SERVER: proxy.url }, fail)

  const servers = await Promise.all(Array.from({ length: redis === undefined ? 1 : 2 }, startServer))
  const show = () => {
    proxy.targets = servers.map(({ port }) => port)
  }
  show()
  let client = startClient()
  try {
    const kills: ReadonlyArray<"server" | "client"> = [
      ...Array.from({ length: serverKills }, () => "server" as const),
      ...Array.from({ length: clientKills }, () => "client" as const)
    ]
      .map((what) => ({ what, order: random() }))
      .toSorted((a, b) => a.order - b.order)
      .map(({ what }) => what)
    for (const [i, what] of kills.entries()) {
      // Each order and each note is a message at least. The kills are spread over them.
      const point = Math.floor((2 * orders * (i + 0.2 + 0.6 * random())) / kills.length)
      const done = client.line(/^done$/m)
      const port = await Promise.race([messageAfter(point), done, failed])
      if (typeof port === "string") break
      // Before the handler, in it, in its gap, or after it.
      await new Promise((resolve) => setTimeout(resolve, random() * 20))
      if (what === "client") {
        await client.kill()
        client = startClient()
      } else {
        const at = Math.max(
          0,
          servers.findIndex((server) => server.port === port)
        )
        const [{ child }] = servers.splice(at, 1) as [(typeof servers)[number]]
        show()
        await child.kill()
        servers.push(await startServer())
        show()
      }
    }
    await Promise.race([within(`the orders of seed ${seed}`, client.line(/^done$/m), 60_000), failed])
    await client.stop()
    await Promise.all(servers.map(({ child }) => child.stop()))
    const lost = proxy.lost.map(kindOf)
    return {
      orders: await countRows(shopPath, "orders"),
      runs: await countRows(shopPath, "runs"),
      notes: await countRows(shopPath, "notes"),
      lostOrders: lost.filter((kind) => kind === "order").length,
      lostNotes: lost.filter((kind) => kind === "note").length
    }
  } finally {
    await Promise.all([client.kill(), ...servers.map(({ child }) => child.kill())])
    await proxy.close()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

const eachOnce = (orders: number) => new Map(Array.from({ length: orders }, (_, i) => [i + 1, 1]))

const hasSqlite = process.getBuiltinModule("node:sqlite") !== undefined

/** The invariants after a run, and the check that it has tried something. */
const check = (what: string, { orders, serverKills }: Run, result: Awaited<ReturnType<typeof run>>) => {
  assert.deepStrictEqual(result.orders, eachOnce(orders), what)
  // A message whose server is killed in the gap is handled twice. Nothing else is.
  assert.isAtMost(sum(result.runs), orders + serverKills, what)
  assert.isAtLeast(result.lostOrders, orders / 4, what)
  // Notes went the same way. Each acknowledgement that was lost made one twice.
  assert.deepStrictEqual([...result.notes.keys()], [...eachOnce(orders).keys()], what)
  assert.isAtLeast(sum(result.notes), orders + result.lostNotes, what)
  assert.isAtLeast(result.lostNotes, orders / 4, what)
}

const RUNS = costly(15, 1, 1)
const ORDERS = costly(24, 12, 8)

describe.skipIf(!hasSqlite)("orders through crashes and lost acknowledgements", () => {
  it("are made once with `once`, and more often without it", { timeout: 60_000 * RUNS }, async () => {
    const seeds = Array.from({ length: RUNS }, (_, i) => Number(process.env["SEED"] ?? 1) + i)
    for (const seed of seeds) {
      await Promise.all(
        (["official", "own"] as const).map(async (kind) => {
          const settings = { kind, seed, orders: ORDERS, serverKills: costly(3, 1, 1), clientKills: costly(3, 1, 1) }
          check(`${kind}, seed ${seed}`, settings, await run(settings))
        })
      )
    }
  })
})

describe.skipIf(!hasSqlite || !isExhaustive)("orders at two servers that share Redis", requires("Redis"), () => {
  it("are made once, whichever of them is killed", { timeout: 600_000 }, async () => {
    const running = await startRedis()
    try {
      for (let seed = 1; seed <= 5; seed++) {
        for (const kind of ["official", "own"] as const) {
          const settings = { kind, seed, orders: ORDERS, serverKills: 4, clientKills: 2, redis: running.url }
          // The official client's ids are the same in every run.
          await running.server.command("flushall")
          check(`${kind}, seed ${seed}`, settings, await run(settings))
        }
      }
    } finally {
      await running.stop()
    }
  })
})
