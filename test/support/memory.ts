/**
 * The memory that a process uses after its garbage was collected.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

const { Bun, gc } = globalThis as { readonly Bun?: { gc(now: boolean): void }; readonly gc?: () => void }

const exposed = (): (() => void) => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc")
}

const collect: () => void = Bun === undefined ? (gc ?? exposed()) : () => Bun.gc(true)

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
