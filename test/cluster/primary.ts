/**
 * The primary of a cluster of Node's cluster module: it starts nodes as its workers when it is told to, and passes their messages on.
 * `PRIMARY` says whose primary it is.
 */
import cluster from "node:cluster"
import { setupPrimary } from "@socket.io/cluster-adapter"
import { Effect } from "effect"

import * as ClusterPrimary from "../../src/cluster/ClusterPrimary.ts"

import type { Ready } from "./control.ts"
import type { WorkerNews, WorkerOrder } from "./nodes.ts"

const primaries: Record<string, () => void> = {
  official: setupPrimary,
  ours: () => {
    Effect.runFork(Effect.scoped(Effect.andThen(ClusterPrimary.setup(), Effect.never)))
  }
}

cluster.setupPrimary({ serialization: "advanced", execArgv: process.execArgv })
primaries[process.env["PRIMARY"] ?? "official"]!()

const tell = (news: WorkerNews) => {
  if (process.connected) process.send!(news)
}

process.on("message", ({ env, name, program }: WorkerOrder) => {
  // Settings before a fork hold for its worker.
  cluster.setupPrimary({ exec: program })
  const worker = cluster.fork(env)
  worker.on("message", (message: { readonly ready?: Ready }) => {
    if (message.ready !== undefined) tell({ name, ready: message.ready })
  })
  worker.once("exit", (code, signal) => tell({ name, exit: signal ?? String(code) }))
})

/** Workers end when they are disconnected. */
const end = () => process.exit(0)
process.once("disconnect", end)
process.once("SIGTERM", end)
