/**
 * A server and clients that are joined by a link of their own, which breaks: run by `link.test.ts` in a network namespace. `HOW` says
 * what happens to the link. The observations of both sides are printed as lines of JSON.
 */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { readlinkSync, writeSync } from "node:fs"
import { createInterface } from "node:readline"
import { setImmediate } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Effect, Layer } from "effect"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

const PORT = 3_000
const CLIENTS = 4
const HERE = "10.9.0.1"
const THERE = "10.9.0.2"

const ip = (...args: ReadonlyArray<string>) => void execFileSync("ip", args)

/** The socket that holds the other namespace open. */
const holder = spawn("unshare", ["--net", "sleep", "600"])
process.once("exit", () => holder.kill())
const inThere = (...args: ReadonlyArray<string>) => ["--target", String(holder.pid), "--net", ...args]
const there = (...args: ReadonlyArray<string>) => void execFileSync("nsenter", inThere("ip", ...args))

const namespaceOf = (pid: number | "self") => readlinkSync(`/proc/${pid}/ns/net`)

const makeLink = async () => {
  while (namespaceOf(holder.pid!) === namespaceOf("self")) await setImmediate()
  ip("link", "add", "name", "here0", "type", "veth", "peer", "name", "there0", "netns", String(holder.pid))
  there("addr", "add", `${THERE}/24`, "dev", "there0")
  ip("addr", "add", `${HERE}/24`, "dev", "here0")
  ip("link", "set", "here0", "up")
  there("link", "set", "there0", "up")
}

/** Frames go to an address that nobody has: everything is lost, and nobody is told. */
const NOBODY = ["lladdr", "02:00:00:00:00:00", "nud", "permanent"]

const breaks: Record<string, () => void> = {
  "goes down": () => ip("link", "set", "here0", "down"),
  "loses everything": () => {
    ip("neigh", "replace", THERE, "dev", "here0", ...NOBODY)
    there("neigh", "replace", HERE, "dev", "there0", ...NOBODY)
  }
}

const mends: Record<string, () => void> = {
  "goes down": () => ip("link", "set", "here0", "up"),
  "loses everything": () => {
    ip("neigh", "del", THERE, "dev", "here0")
    there("neigh", "del", HERE, "dev", "there0")
  }
}

const tell = (who: string, event: string) => writeSync(1, `${JSON.stringify({ who, event, at: Date.now() })}\n`)

/** How many ends of connections there are. */
let ends = 0
let notify = () => {}
const change = (by: number) => {
  ends += by
  notify()
}
const until = (count: number) =>
  new Promise<void>((resolve) => {
    notify = () => {
      if (ends === count) resolve()
    }
    notify()
  })

const serving = SocketIoServer.layerNamespace("/", (socket) => {
  const who = `server, ${socket.transport}`
  tell(who, "connected")
  change(1)
  return Effect.map(socket.disconnected, (reason) => {
    tell(who, reason)
    change(-1)
  }).pipe(Effect.forkScoped, Effect.asVoid)
}).pipe(
  Layer.provide(
    NodeSocketIoServer.layer({ port: PORT, host: HERE, heartbeat: { pingInterval: 1_000, pingTimeout: 1_000 } })
  )
)

await makeLink()
void Effect.runPromise(Layer.launch(serving))

const clients = spawn("nsenter", inThere(process.execPath, fileURLToPath(new URL("linkClients.ts", import.meta.url))), {
  env: { ...process.env, URL: `http://${HERE}:${PORT}` },
  stdio: ["ignore", "pipe", "inherit"]
})
process.once("exit", () => clients.kill())

createInterface({ input: clients.stdout }).on("line", (line) => {
  writeSync(1, `${line}\n`)
  const { event } = JSON.parse(line) as { readonly event: string }
  change(event === "connected" ? 1 : -1)
})

const how = process.env.HOW!
await until(2 * CLIENTS)
tell("link", "breaks")
breaks[how]!()
await until(0)
tell("link", "works again")
mends[how]!()
await until(2 * CLIENTS)
clients.kill()
await once(clients, "close")
process.exit(0)
