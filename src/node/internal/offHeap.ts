/**
 * Keeps large reads from making V8 collect everything.
 *
 * Node reads into memory outside of V8's heap, and so does `ws` when it joins two reads to a
 * message. V8 frees that memory when it collects the object that stands for it. After 64 MB of such
 * memory it collects everything, and walks through all that the application keeps, though nearly
 * every one of these objects is young and dead. A collection of the young ones alone takes a small
 * part of that; but it happens when the space for young objects is full, and a large read leaves a
 * few hundred bytes there.
 *
 * So large reads come with short-lived objects on the heap, as many as fill that space in time.
 * Reads under 16 KiB are not touched. It stays on without an option: it changes nothing but the
 * moment of a collection, holds no memory, and its cost is in the figures below.
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
 * The bytes of large reads between two collections of the young. The messages made of them are as
 * many again.
 */
const INTERVAL = 24 * 1024 * 1024

/** The objects that smaller reads leave anyway fill the space in time. */
const LARGE = 16 * 1024

/** Below the size from which V8 gives an object a space of its own. */
const OBJECT_BYTES = 64 * 1024
const ELEMENTS = OBJECT_BYTES / 8 - 8

/** The bytes of young objects at which V8 collects them. V8 changes it while the process runs. */
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
  /** The last one. Without a reference to it the compiler would leave it out. */
  last: ReadonlyArray<unknown> | undefined
  private readonly capacity: () => number
  private sinceLook = INTERVAL
  /** Bytes of objects per byte that was read. */
  private ratio = 0
  private due = 0

  constructor(capacity: () => number) {
    this.capacity = capacity
  }

  /** Tells of bytes that were read. Returns the bytes of the objects that it made for them. */
  fill(bytes: number): number {
    this.sinceLook += bytes
    if (this.sinceLook >= INTERVAL) {
      this.sinceLook = 0
      this.ratio = this.capacity() / INTERVAL
    }
    // One collection is enough for all that has come at once.
    this.due += Math.min(bytes, INTERVAL) * this.ratio
    let made = 0
    for (; this.due >= OBJECT_BYTES; this.due -= OBJECT_BYTES, made += OBJECT_BYTES) this.last = Array(ELEMENTS)
    this.last = undefined
    return made
  }
}

const young = new YoungObjects(youngSpace)

/** Tells of bytes that were read, or of a message of so many. */
export const readOffHeap = (bytes: number): void => {
  if (bytes >= LARGE) young.fill(bytes)
}
