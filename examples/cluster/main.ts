/**
 * A cluster on this machine: Redis, three nodes, and an nginx that takes turns between them. Nothing
 * is sticky: also a client that polls reaches another node with every request.
 *
 *     npx node examples/cluster/main.ts
 *
 * It needs `redis-server` and `nginx`, and says how to install them. Open the address that it prints
 * in several windows: each says which node it is on, and all hear what one says. With `/?polling`
 * they poll. Ctrl-C ends everything; nothing is left.
 *
 * Tell a node to end (`kill`, with its process id, which is printed): its clients move to the others,
 * a few at a time. After `kill -9` they come back to the others.
 */
import { connect, createServer, type AddressInfo } from "node:net"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Layer, Schedule } from "effect"
import { RedisClient, RedisEmitter } from "effect-socket.io/redis"
import { ChildProcess } from "effect/process"
import { createClient } from "redis"

import { Board } from "./contract.ts"
import { nginx } from "./nginx.ts"

const names = ["a", "b", "c"]

const pathOf = (file: string) => fileURLToPath(new URL(file, import.meta.url))

/** The path of a program. Some are in folders that are not on every user's `PATH`. */
const find = (program: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"]
    const paths = folders.filter((folder) => folder !== "").map((folder) => join(folder, program))
    return yield* Effect.findFirst(paths, (path) => fs.exists(path))
  })

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** Waits until something listens on a port, or a Unix socket. */
const listening = (where: { readonly port: number; readonly host: string } | { readonly path: string }) =>
  Effect.callback<void, Error>((resume) => {
    const socket = connect(where)
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.retry(Schedule.spaced("50 millis")), Effect.timeout("1 minute"))

/** Starts a program, which ends with the scope. */
const start = (program: string, args: ReadonlyArray<string>, env: Record<string, string> = {}, cwd?: string) =>
  ChildProcess.make(program, args, {
    env,
    extendEnv: true,
    cwd,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    forceKillAfter: "10 seconds"
  })

/** Tells the clients of all nodes the time. This process is no node. */
const clock = Effect.gen(function* () {
  const board = yield* RedisEmitter.namespace(Board)
  let seconds = 0
  const tick = Effect.suspend(() => board.volatile.emit("clock", seconds++))
  yield* tick.pipe(
    Effect.catch((error) => Effect.logWarning("nobody hears the clock", error)),
    Effect.repeat(Schedule.spaced("1 second"))
  )
})

const cluster = (redisServer: string, nginxProgram: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* fs.makeTempDirectoryScoped({ prefix: "cluster-" })
    const first = Number(process.env.PORT ?? 3000)
    const [port, ...ports] = yield* Effect.forEach(["", ...names], (_, i) =>
      first === 0 ? freePort : Effect.succeed(first + i)
    )

    // A Unix socket in place of a port: nobody else on this machine reaches this Redis.
    const socket = join(folder, "redis.sock")
    const redisUrl = `unix://${socket}`
    yield* start(
      redisServer,
      ["--port", "0", "--unixsocket", socket, "--save", "", "--logfile", "redis.log"],
      {},
      folder
    )
    yield* listening({ path: socket })

    yield* fs.writeFileString(join(folder, "nginx.conf"), nginx(port!, ports))
    yield* fs.copyFile(pathOf("page.html"), join(folder, "page.html"))
    yield* start(nginxProgram, ["-p", folder, "-c", "nginx.conf"])

    yield* Effect.forEach(
      names,
      Effect.fnUntraced(function* (name, i) {
        const env = { NODE: name, PORT: String(ports[i]), REDIS_URL: redisUrl }
        const { pid } = yield* start(process.execPath, [pathOf("node.ts")], env)
        yield* listening({ port: ports[i]!, host: "127.0.0.1" })
        yield* Console.log(`node ${name} is the process ${pid}`)
      }),
      { concurrency: "unbounded" }
    )
    yield* listening({ port: port!, host: "127.0.0.1" })
    yield* Console.log(`the cluster is listening on http://localhost:${port}`)

    const RedisLive = RedisClient.layer(
      Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: redisUrl })))
    )
    return yield* Effect.provide(clock, RedisEmitter.layer().pipe(Layer.provide(RedisLive)))
  })

const Main = Effect.gen(function* () {
  const [redisServer, nginxProgram] = yield* Effect.all([find("redis-server"), find("nginx")])
  if (redisServer._tag === "Some" && nginxProgram._tag === "Some") {
    return yield* cluster(redisServer.value, nginxProgram.value)
  }
  yield* Console.error(
    "This example needs redis-server and nginx: sudo apt-get install redis-server nginx-light, or brew install redis nginx"
  )
  process.exitCode = 1
})

NodeRuntime.runMain(Main.pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
