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
 * A few lie here as they are. Where there are more, the texts of the others lie outside of the
 * heap: a client with many messages would make the collector copy all of them, though nobody needs
 * them in the end.
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
  /** Of each its position, and the size of its text in `queue`: 0 if it is among `objects`. */
  private readonly marks: Array<number> = []
  /** The first mark that counts. */
  private first = 0
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
    const size = this.count < FEW ? 0 : this.addText(message)
    if (size === 0) this.objects.push(message)
    this.marks.push(position, size)
    this.count++
    const memory = size === 0 ? message.memory : this.texts!.memoryOf(size)
    this.memory += memory
    return memory
  }

  /**
   * Returns the size of a message's text in the queue; 0 if it is more than a text, or would take
   * more memory there.
   */
  private addText(message: M): number {
    const { texts } = this
    const text = texts?.textOf(message)
    if (text === undefined || text.length > LONG) return 0
    const most = (texts!.memoryOf(text.length) - MARK_MEMORY) / TextQueue.memoryPerByte
    const size = (this.queue ??= new TextQueue()).push(text, most)
    return size > most ? 0 : size
  }

  /** Removes the oldest messages. Returns their memory, in bytes. */
  dropFirst(count: number): number {
    const { first, marks, objects, texts } = this
    const end = first + MARK * count
    let freed = 0
    let fromObjects = 0
    let bytes = 0
    for (let at = first + 1; at < end; at += MARK) {
      const size = marks[at]!
      if (size === 0) freed += objects[fromObjects++]!.memory
      else {
        freed += texts!.memoryOf(size)
        bytes += size
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
    this.count -= count
    this.memory -= freed
    return freed
  }

  /** All messages, the oldest first. */
  toArray(): Array<M> {
    const { first, marks, objects } = this
    const sizes = marks.filter((_, at) => at >= first && (at - first) % MARK === 1)
    const texts = this.queue?.toArray(sizes.filter((size) => size > 0)) ?? []
    let nextObject = 0
    let nextText = 0
    return sizes.map((size) => (size === 0 ? objects[nextObject++]! : this.texts!.ofText(texts[nextText++]!)))
  }
}

/**
 * The numbers of a mark, and its memory in bytes at the most: the list may be longer than its
 * marks.
 */
const MARK = 2
const MARK_MEMORY = 64

/** So many messages take less memory as they are than the queue. */
const FEW = 8

/** The characters of a text from which it is not copied. */
const LONG = 2_048
