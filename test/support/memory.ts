/**
 * The memory that a process uses after its garbage was collected.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** Heap and buffers in use, in bytes. A collection frees some of it only while the next one runs. */
export const memoryInUse = (): number => {
  let least = Infinity
  for (let i = 0; i < 5; i++) {
    collect()
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    least = Math.min(least, heapUsed + arrayBuffers)
  }
  return least
}
