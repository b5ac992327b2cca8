/**
 * Prevents large reads from causing full garbage collections.
 *
 * Node reads into memory outside of V8's heap, and so does `ws` when it joins two reads to a
 * message. V8 frees such memory when it collects the object that owns it. After 64 MB of it, V8
 * runs a full collection, which walks through everything that the application keeps, though nearly
 * all of these objects are young and dead. A collection of young objects alone takes a small part
 * of that time. It happens only when the space for young objects is full, and a large read adds
 * only a few hundred bytes there.
 *
 * Large reads therefore allocate short-lived objects on the heap, enough to fill that space in
 * time. Reads under 16 KiB are not affected. There is no option to turn this off: it only changes
 * the moment of a collection, holds no memory, and its cost is included in the figures below.
 *
 * Measured with `node test/bench/main.ts --scenario binary-64k`, an echo of 64 KiB (20 connections,
 * 4 in flight each), in turns with `LARGE = Infinity` below, which turns it off: 190 µs of the
 * server's processor time per round trip become 110 to 130 on an idle machine. On a machine that is
 * busy with other work, where times are longer, four turns each gave 0.51 to 0.68 of the official
 * server's time with it and 0.72 to 0.96 without: a quarter less. `test/node/off-heap.test.ts`
 * counts the collections.
 */
import * as V8 from "node:v8"

/**
 * The bytes of large reads between two collections of young objects. The messages made of them take
 * as many bytes again.
 */
const INTERVAL = 24 * 1024 * 1024

/** Smaller reads leave enough objects anyway to fill the space in time. */
const LARGE = 16 * 1024

/** This is below the size from which V8 gives an object a separate space. */
const OBJECT_BYTES = 64 * 1024
const ELEMENTS = OBJECT_BYTES / 8 - 8

/** The size in bytes of the space for young objects. V8 changes it while the process runs. */
const youngSpace = (): number => {
  try {
    const space = V8.getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space")
    return space === undefined ? 0 : space.space_used_size + space.space_available_size
  } catch {
    // Other runtimes have no such statistics.
    return 0
  }
}

/** Makes the objects that come with large reads. */
export class YoungObjects {
  /** The last objects. Without a reference to them, the compiler would remove their allocation. */
  last: ReadonlyArray<unknown> | undefined
  private readonly capacity: () => number
  private sinceLook = INTERVAL
  /** The bytes of objects to allocate per byte that was read. */
  private ratio = 0
  private due = 0

  constructor(capacity: () => number) {
    this.capacity = capacity
  }

  /**
   * Counts bytes that were read. Returns the size in bytes of the objects that it made for them.
   */
  fill(bytes: number): number {
    this.sinceLook += bytes
    if (this.sinceLook >= INTERVAL) {
      this.sinceLook = 0
      this.ratio = this.capacity() / INTERVAL
    }
    // One collection is enough for all bytes that came at once.
    this.due += Math.min(bytes, INTERVAL) * this.ratio
    let made = 0
    for (; this.due >= OBJECT_BYTES; this.due -= OBJECT_BYTES, made += OBJECT_BYTES) this.last = Array(ELEMENTS)
    this.last = undefined
    return made
  }
}

const young = new YoungObjects(youngSpace)

/** Counts bytes that were read, or the bytes of a message. */
export const readOffHeap = (bytes: number): void => {
  if (bytes >= LARGE) young.fill(bytes)
}
