import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

import { isCi, isExhaustive, isFull } from "./test/support/extent.ts"
import { areLeftOut, long } from "./test/support/longTests.ts"
import { isInstalled, type RuntimeName } from "./test/support/runtimePrograms.ts"

/** Tests start hundreds of processes: each would compile the library anew, which takes a second. */
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL("node_modules/.cache/node-compile", import.meta.url))

/**
 * Files that need a process of their own: they count what a process holds or logs, take what is global into their hands, or look at
 * what is made once per process. All others share the processes that they run in, as to start one and to load Effect into it takes
 * longer than most of them do.
 */
const alone = [
  "test/cluster/run-workers.test.ts",
  "test/client/{causes,page-hooks,requests,node-platform}.test.ts",
  "test/engine/{connection-limits,metric-registries,metrics}.test.ts",
  "test/faults/{callbacks,network,process}.test.ts",
  "test/hostile/{generated,wired}.test.ts",
  "test/node/{edge,large-sends,metrics,off-heap,openings,polling-turns,stalled,turn}.test.ts",
  "test/protocol/msgpack.test.ts",
  "test/recovery/hostile.test.ts",
  "test/cluster/worker-flood.test.ts",
  "test/redis/{abuse,flood,flood-cost}.test.ts",
  "test/redis/wire/hostile.test.ts",
  "test/streams/cost.test.ts",
  "test/server/{admission,ambiguity,auth-payload,backlog,backpressure,churn,cost,limits,observability,queues,references,unhandled}.test.ts",
  "test/testing/simulated.test.ts"
]

const project = (
  name: string,
  include: ReadonlyArray<string>,
  exclude: ReadonlyArray<string>,
  isolate: boolean,
  env: Record<string, string> = {}
) => ({
  extends: true as const,
  test: {
    name,
    include: [...include],
    exclude: ["**/node_modules/**", ...exclude, ...(areLeftOut ? long : [])],
    isolate,
    env
  }
})

const target = "test/runtimes/target.test.ts"
const conformance = "test/conformance/*.test.ts"
const official = "test/interop/official-client.test.ts"
const others = "test/interop/{v2-client,python-client}.test.ts"

/**
 * The suites that run once more with the server as a process on another runtime, and a test that it is that runtime. The ordinary ones
 * have it in their own process, on the Node that runs the tests. A runtime that is missing fails in CI. `FULL=1` runs conformance on
 * other Nodes, too, and the platform of Node on other runtimes.
 */
const suites: Partial<Record<RuntimeName, ReadonlyArray<string>>> = {
  bun: isFull ? [conformance, official, others] : [conformance, official],
  deno: isFull ? [conformance, official, others] : [conformance, official],
  ...(isFull ? { node22: [official], node26: [official] } : {}),
  ...(isExhaustive
    ? {
        node22: [conformance, official],
        node26: [conformance, official],
        "node-on-bun": [official],
        "node-on-deno": [official]
      }
    : {})
}

/** Runs with the name of a runtime, or of the official server, run that one alone. */
const isChosen = process.env.SOCKETIO_TARGET !== undefined

const onRuntimes = (Object.keys(suites) as Array<RuntimeName>)
  .filter((name) => !isChosen && !areLeftOut && (isCi || isInstalled(name)))
  .map((name) => project(name, [target, ...suites[name]!], [], false, { SOCKETIO_TARGET: name }))

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/MissingPeers.ts"],
    // Timeouts only fire on failure; they leave room for a busy machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2,
    projects: [
      project("shared", ["test/**/*.test.ts"], isChosen ? alone : [...alone, target], false),
      project("alone", alone, [], true),
      ...onRuntimes
    ]
  }
})
