/**
 * The processors of a measurement: one for the server, another one for what it serves.
 */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"

/** The processors that this process may use; empty where the system does not say so or has no `taskset`. */
const processors = (): ReadonlyArray<number> => {
  try {
    execFileSync("taskset", ["--version"], { stdio: "ignore" })
    const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]!
    return list.split(",").flatMap((range) => {
      const [first, last = first] = range.split("-").map(Number)
      return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i)
    })
  } catch {
    return []
  }
}

export const [serverProcessor, loadProcessor] = processors()

/** Whether server and load generator have a processor each. */
export const arePinned = loadProcessor !== undefined

/** Gives a process that runs already a processor. */
export const pin = (pid: number, processor: number | undefined): void => {
  if (arePinned) execFileSync("taskset", ["-a", "-p", "-c", String(processor), String(pid)], { stdio: "ignore" })
}
