/**
 * A reader of a resumable stream on the official client: the rules of `StreamEvent`, in plain events.
 */
import { Effect } from "effect"
import type { Socket } from "socket.io-client"

import { within } from "../support/RawClient.ts"
import { call } from "../support/serve.ts"

interface Items {
  readonly stream: string
  readonly from: number
  readonly values: ReadonlyArray<any>
  readonly end?: { readonly _tag: string; readonly error?: unknown }
}

/** Reads a stream from a position on, also after outages of its socket. */
export class OfficialReader {
  readonly values: Array<any> = []
  ended: Items["end"]
  /** The number of times that values were missing, and read again. */
  gaps = 0
  private readonly socket: Socket
  private readonly event: string
  private readonly id: string
  private readonly after: number
  private readonly window: number | undefined
  private readonly waiting = new Set<() => void>()

  constructor(socket: Socket, event: string, id: string, after: number, window: number | undefined) {
    this.socket = socket
    this.event = event
    this.id = id
    this.after = after
    this.window = window
    socket.on(`${event}:items`, this.onItems)
    socket.on("connect", this.askAnyway)
  }

  get at(): number {
    return this.after + this.values.length
  }

  ask(): Effect.Effect<{ readonly gone: boolean; readonly from: number }> {
    const { at, event, id, socket, window } = this
    return call(socket, `${event}:read`, { stream: id, after: at, ...(window === undefined ? {} : { window }) })
  }

  /** Asks without waiting for the answer: if it does not come, the connection is lost, and it asks again. */
  readonly askAnyway = (): void => {
    const { at, event, id, socket, window } = this
    if (this.ended !== undefined) return
    socket.emit(`${event}:read`, { stream: id, after: at, ...(window === undefined ? {} : { window }) }, () => {})
  }

  private readonly onItems = ({ end, from, stream, values }: Items) => {
    if (stream !== this.id || this.ended !== undefined) return
    if (from > this.at) {
      this.gaps++
      this.askAnyway()
      return this.tell()
    }
    this.values.push(...values.slice(this.at - from))
    if (end !== undefined) {
      this.ended = end
      this.socket.off(`${this.event}:items`, this.onItems).off("connect", this.askAnyway)
    }
    this.tell()
  }

  private tell(): void {
    for (const wake of Array.from(this.waiting)) wake()
  }

  private until(what: string, isSo: () => boolean): Effect.Effect<void> {
    return Effect.promise(() =>
      within(
        what,
        new Promise<void>((resolve) => {
          const check = () => {
            if (!isSo()) return
            this.waiting.delete(check)
            resolve()
          }
          this.waiting.add(check)
          check()
        })
      )
    )
  }

  has(count: number): Effect.Effect<void> {
    return this.until(
      `${count} values of ${this.event}, of which ${this.values.length} have come`,
      () => this.values.length >= count
    )
  }

  get gap(): Effect.Effect<void> {
    return this.until(`gap in ${this.event}`, () => this.gaps > 0)
  }

  get end(): Effect.Effect<Items["end"]> {
    return Effect.map(
      this.until(`end of ${this.event}`, () => this.ended !== undefined),
      () => this.ended
    )
  }
}

/** Reads a stream; the server knows the reader when this is done. */
export const read = (socket: Socket, event: string, id: string, after = 0, window?: number) =>
  Effect.suspend(() => {
    const reader = new OfficialReader(socket, event, id, after, window)
    return Effect.as(reader.ask(), reader)
  })
