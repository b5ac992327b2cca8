/**
 * The messages for one client alone that it may not have received.
 *
 * @since 0.1.0
 */
import { TextQueue } from "../internal/textQueue.ts"

/**
 * A message in memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sized {
  /** Its memory, in bytes. */
  readonly memory: number
}

/**
 * The form of messages that are a text and nothing else.
 *
 * @since 0.1.0
 * @category models
 */
export interface MessageTexts<in out M> {
  /** The text of a message; `undefined` if there is more to it. */
  readonly textOf: (message: M) => string | undefined
  /** The message of a text. */
  readonly ofText: (text: string) => M
  /** The memory of a message whose text has at most so many characters, in bytes. */
  readonly memoryOf: (characters: number) => number
}

/**
 * The messages for one client alone that it may not have received, in the order of their positions.
 *
 * **Details**
 *
 * The latest lie here as they are. The texts of the others lie outside of the heap: a client with
 * many messages would make the collector copy all of them, though nobody needs them in the end.
 * They go there several at once, as each way there takes time.
 *
 * @since 0.1.0
 * @category models
 */
export class DirectMessages<in out M extends Sized> {
  /** The number of messages. */
  count = 0
  /** Their memory, in bytes: the most that they take, here or when they are sent. */
  memory = 0
  private readonly texts: MessageTexts<M> | undefined
  /** Of each its position, and its sizes in `queue`: 0 if it is not there. */
  private readonly marks: Array<number> = []
  /** The first mark that counts. */
  private first = 0
  /** The latest, where a message that is a text and nothing else is that text. */
  private readonly latest: Array<M | string> = []
  /** Of the others, those that are not in `queue`. */
  private readonly objects: Array<M> = []
  private queue: TextQueue | undefined

  constructor(texts: MessageTexts<M> | undefined) {
    this.texts = texts
  }

  /** The position of a message. */
  positionAt(index: number): number {
    return this.marks[this.first + MARK * index]!
  }

  /** The number of messages up to a position. */
  countUpTo(position: number): number {
    const { first, marks } = this
    let at = first
    while (at < marks.length && marks[at]! <= position) at += MARK
    return (at - first) / MARK
  }

  /** Adds a message. Returns its memory, in bytes. */
  add(position: number, message: M): number {
    const { latest, marks, texts } = this
    if (latest.length === MANY && texts !== undefined) this.settle(texts)
    latest.push(texts?.textOf(message) ?? message)
    marks.push(position, 0)
    this.count++
    const { memory } = message
    this.memory += memory
    return memory
  }

  /** The latest messages go to the others. */
  private settle({ memoryOf, ofText }: MessageTexts<M>): void {
    const { latest, marks, objects } = this
    const queue = (this.queue ??= new TextQueue())
    let joined = ""
    for (const message of latest) if (isShort(message)) joined += message
    const isPlain = queue.pushPlain(joined)
    let at = marks.length - MARK * MANY + 1
    for (let i = 0; i < MANY; i++, at += MARK) {
      const message = latest[i]!
      if (isShort(message)) {
        const { length } = message
        const most = (memoryOf(length) - MARK_MEMORY) / TextQueue.memoryPerByte
        const bytes = isPlain ? length : queue.push(message, most)
        if (bytes <= most) {
          marks[at] = sizesOf(bytes, length)
          continue
        }
      }
      // It is more than a text, or would take more memory there.
      objects.push(typeof message === "string" ? ofText(message) : message)
    }
    latest.length = 0
  }

  /** Removes the oldest messages. Returns their memory, in bytes. */
  dropFirst(count: number): number {
    const { first, latest, marks, objects, texts } = this
    const end = first + MARK * count
    const fromLatest = Math.max(0, count - (this.count - latest.length))
    let freed = 0
    let fromObjects = 0
    let bytes = 0
    for (let at = first + 1; at < end - MARK * fromLatest; at += MARK) {
      const sizes = marks[at]!
      if (sizes === 0) freed += objects[fromObjects++]!.memory
      else {
        freed += texts!.memoryOf(charactersOf(sizes))
        bytes += bytesOf(sizes)
      }
    }
    // Moving the rest costs as much as it has removed before.
    if (2 * end < marks.length) this.first = end
    else {
      marks.splice(0, end)
      this.first = 0
    }
    if (fromObjects > 0) objects.splice(0, fromObjects)
    if (bytes > 0) this.queue!.drop(bytes)
    if (fromLatest > 0) for (const message of latest.splice(0, fromLatest)) freed += this.memoryOf(message)
    this.count -= count
    this.memory -= freed
    return freed
  }

  /** All messages, the oldest first. */
  toArray(): Array<M> {
    const { count, first, latest, marks, objects } = this
    const end = first + MARK * (count - latest.length)
    const all: Array<number> = []
    for (let at = first + 1; at < end; at += MARK) all.push(marks[at]!)
    const texts = this.queue?.toArray(all.filter((sizes) => sizes > 0).map(bytesOf)) ?? []
    let nextObject = 0
    let nextText = 0
    const others = all.map((sizes) => (sizes === 0 ? objects[nextObject++]! : this.texts!.ofText(texts[nextText++]!)))
    return [
      ...others,
      ...latest.map((message) => (typeof message === "string" ? this.texts!.ofText(message) : message))
    ]
  }

  private memoryOf(message: M | string): number {
    return typeof message === "string" ? this.texts!.memoryOf(message.length) : message.memory
  }
}

/**
 * The numbers of a mark, and its memory in bytes at the most: the list may be longer than its
 * marks.
 */
const MARK = 2
const MARK_MEMORY = 64

/** So many messages take less memory as they are than the queue. */
const MANY = 16

/** The characters of a text from which it is not copied. */
const LONG = 2_048

/** Whether it is a text that is copied. */
const isShort = (message: unknown): message is string =>
  typeof message === "string" && message.length > 0 && message.length <= LONG

/** The sizes of a text in bytes and in characters, in one number. */
const sizesOf = (bytes: number, characters: number): number => bytes * SCALE + characters
const bytesOf = (sizes: number): number => Math.floor(sizes / SCALE)
const charactersOf = (sizes: number): number => sizes % SCALE

const SCALE = 2 * LONG
