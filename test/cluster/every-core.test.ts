/**
 * The example with a server on every core: polling clients at workers that share a port, a worker that is killed and replaced, and the
 * end of all of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { io, type Socket } from "socket.io-client"

import { startExample } from "../support/examples.ts"
import { until } from "../support/redisServer.ts"

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Short ones: a client whose server has died without a word notices soon. */
const heartbeat = { SOCKETIO_HEARTBEAT_PING_INTERVAL: "1 second", SOCKETIO_HEARTBEAT_PING_TIMEOUT: "4 seconds" }

/** A polling client. Its requests go to any worker, each over a connection of its own. */
const connect = (url: string): Socket =>
  io(url, {
    forceNew: true,
    transports: ["polling"],
    reconnectionDelay: 50,
    reconnectionDelayMax: 100,
    timeout: 5_000
  })

const CLIENTS = 8

/** Programs take long to start on a busy machine. */
const PATIENCE = { timeout: 120_000, every: 100 }

describe("one command for every core", () => {
  it(
    "serves polling clients by all workers, replaces one that dies, and ends all of them",
    {
      timeout: 600_000
    },
    async () => {
      const running = startExample("cluster-workers.ts", [], { WORKERS: "3", ...heartbeat })
      let sockets: ReadonlyArray<Socket> = []
      try {
        const started = () => running.output().match(/listening on/g)?.length ?? 0
        await until("three workers", () => started() === 3 || undefined, PATIENCE)
        const url = `http://localhost:${/listening on http:\/\/[^:]*:(\d+)/.exec(running.output())![1]}`
        sockets = Array.from({ length: CLIENTS }, () => connect(url))

        /** Waits until every client is at a worker; gives the number of clients of each worker. */
        const everybody = () =>
          until(
            "all clients",
            async () => {
              const counts: Record<string, number> = await sockets[0]!.timeout(5_000).emitWithAck("workers")
              return Object.values(counts).reduce((sum, n) => sum + n, 0) === CLIENTS ? counts : undefined
            },
            PATIENCE
          )
        /** Waits until every client has heard a text. A client that is just coming back misses it, so it is said again. */
        const saidToAll = (text: string) => {
          const heard = new Set<Socket>()
          for (const socket of sockets) {
            socket.on("said", (_: number, said: string) => {
              if (said === text) heard.add(socket)
            })
          }
          return until(
            "everybody to hear",
            () => {
              sockets[1]!.volatile.emit("say", text)
              return heard.size === CLIENTS || undefined
            },
            PATIENCE
          )
        }

        const workers = Object.keys(await everybody()).map(Number)
        assert.isAtLeast(workers.length, 2)
        await saidToAll("hello")

        process.kill(workers[0]!, "SIGKILL")
        await until("a new worker", () => started() === 4 || undefined, PATIENCE)
        assert.notProperty(await everybody(), String(workers[0]))
        await saidToAll("again")
        assert.match(running.output(), new RegExp(`worker ${workers[0]} has ended with SIGKILL`))

        const last = Object.keys(await everybody()).map(Number)
        assert.strictEqual(await running.stop(), 130)
        assert.deepStrictEqual(last.filter(isAlive), [])
        assert.notMatch(running.output(), /did not end in time|ERROR/)
      } finally {
        for (const socket of sockets) socket.disconnect()
        await running.stop()
      }
    }
  )
})
