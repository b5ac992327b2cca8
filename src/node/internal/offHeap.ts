/**
 * What Node reads is memory outside of V8's heap, and so is the message that `ws` puts together of two reads. V8 frees it when it collects
 * the object that stands for it. When 64 MB of such memory have come since the last time, it collects everything, and has to
 * walk through all that the application keeps, though nearly every one of these objects is young and gone. To collect the young
 * ones alone takes a small part of that; but it happens when the space for young objects is full, and a large read leaves a few
 * hundred bytes there.
 *
 * So large reads are accompanied by short-lived objects on the heap, as many as fill that space in time. With messages of 64 KiB
 * this saves a third of the processor time.
 */
import * as V8 from "node:v8"

/** The bytes of large reads from one collection to the next. With the messages made of them they are twice as many. */
const INTERVAL = 24 * 1024 * 1024

/** With smaller reads the objects of their messages are as many as it takes. */
const LARGE = 16 * 1024

/** Too small to be a large object to V8, which would be memory of its own. */
const OBJECT_BYTES = 64 * 1024
const ELEMENTS = OBJECT_BYTES / 8 - 8

/** The bytes of young objects at which V8 collects them; it changes while the process runs. */
const youngSpace = (): number => {
  try {
    const space = V8.getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space")
    return space === undefined ? 0 : space.space_used_size + space.space_available_size
  } catch {
    // Other runtimes have no such statistics.
    return 0
  }
}

/** Accompanies large reads. */
export class YoungObjects {
  /** The last one. It has to be somewhere, or the compiler leaves it out. */
  last: ReadonlyArray<unknown> | undefined
  private readonly capacity: () => number
  private sinceLook = INTERVAL
  /** Bytes of objects per byte that was read. */
  private ratio = 0
  private due = 0

  constructor(capacity: () => number) {
    this.capacity = capacity
  }

  /** So many bytes were read. Returns how many bytes of objects were made. */
  accompany(bytes: number): number {
    this.sinceLook += bytes
    if (this.sinceLook >= INTERVAL) {
      this.sinceLook = 0
      this.ratio = this.capacity() / INTERVAL
    }
    // One collection is enough for what has come at once.
    this.due += Math.min(bytes, INTERVAL) * this.ratio
    let made = 0
    for (; this.due >= OBJECT_BYTES; this.due -= OBJECT_BYTES, made += OBJECT_BYTES) this.last = Array(ELEMENTS)
    this.last = undefined
    return made
  }
}

const young = new YoungObjects(youngSpace)

/** So many bytes were read, or a message of so many. */
export const readOffHeap = (bytes: number): void => {
  if (bytes >= LARGE) young.accompany(bytes)
}
