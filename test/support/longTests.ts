/**
 * The tests that take minutes: they start other programs (browsers, Redis, nginx, Python, processes of servers), make builds, or measure.
 * A run of all tests on a user's machine leaves them out, and says so. CI runs them, and so do `FULL=1` and a run of chosen files.
 */
import { isFull } from "./extent.ts"

export const long = [
  "test/admin/ui.test.ts",
  "test/auth/{official-client,python-client}.test.ts",
  "test/bench/*.test.ts",
  "test/client/{browsers,soak}.test.ts",
  "test/cluster/*.test.ts",
  "test/contract/async-api.test.ts",
  "test/drain/*.test.ts",
  "test/faults/*.test.ts",
  "test/hostile/{advisories,one-connection,wired}.test.ts",
  "test/house/{api,bundle,migration,package,react-guide,runs}.test.ts",
  "test/house/*example*.test.ts",
  "test/interop/*.test.ts",
  "test/once/{crash,example,server}.test.ts",
  "test/recovery/{cases,check,cluster-simulated,facts,failover,hostile,pong,redis-streams,resumption,streams-*}.test.ts",
  "test/redis/*.test.ts",
  "test/rpc/examples.test.ts",
  "test/runtimes/*.test.ts",
  "test/streams/{cost,cuts}.test.ts",
  "test/tracing/{cluster,peers}.test.ts"
]

/** Whether files are chosen. An option may have a value of its own, which counts as one: then nothing is left out. */
const isChosen = process.argv.slice(2).some((argument) => !/^(run|list)$/.test(argument) && !argument.startsWith("-"))

export const areLeftOut = !isFull && !isChosen
