import { defineConfig } from "vitest/config"

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
  "test/server/{admission,ambiguity,auth-payload,backlog,backpressure,churn,limits,observability,references,unhandled}.test.ts",
  "test/testing/simulated.test.ts"
]

const project = (name: string, include: Array<string>, exclude: Array<string>, isolate: boolean) => ({
  extends: true as const,
  test: { name, include, exclude: ["**/node_modules/**", ...exclude], isolate }
})

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/MissingPeers.ts"],
    // Timeouts only fire on failure; they leave room for a busy machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2,
    projects: [project("shared", ["test/**/*.test.ts"], alone, false), project("alone", alone, [], true)]
  }
})
