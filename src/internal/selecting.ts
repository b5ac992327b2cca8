import * as Inspectable from "effect/Inspectable"

import { asRooms } from "./rooms.ts"

/**
 * No rooms were named, which selects all sockets. An empty list of rooms is another array, and
 * selects none.
 */
export const none: ReadonlyArray<string> = []

interface Selection {
  readonly rooms: ReadonlyArray<string>
  readonly except: ReadonlyArray<string>
}

interface Flags {
  readonly volatile: boolean
  readonly compress: boolean
}

/** The base of operators, those of servers and those of emitters: each step makes a new one. */
export abstract class Selecting<F extends Flags, Self> extends Inspectable.Class {
  protected readonly selection: Selection
  protected readonly flags: F

  constructor(selection: Selection, flags: F) {
    super()
    this.selection = selection
    this.flags = flags
  }

  protected abstract copy(selection: Selection, flags: F): Self

  protected join(names: ReadonlyArray<string>, more: ReadonlyArray<string>): ReadonlyArray<string> {
    return [...names, ...more]
  }

  to(rooms: string | ReadonlyArray<string>): Self {
    const { except, rooms: before } = this.selection
    return this.copy({ rooms: this.join(before, asRooms(rooms)), except }, this.flags)
  }

  in(rooms: string | ReadonlyArray<string>): Self {
    return this.to(rooms)
  }

  except(rooms: string | ReadonlyArray<string>): Self {
    const { except, rooms: selected } = this.selection
    return this.copy({ rooms: selected, except: this.join(except, asRooms(rooms)) }, this.flags)
  }

  get volatile(): Self {
    return this.copy(this.selection, { ...this.flags, volatile: true })
  }

  compress(compress: boolean): Self {
    return this.copy(this.selection, { ...this.flags, compress })
  }

  /**
   * Servers read an empty list as all sockets, like those of the reference, so they are not asked.
   */
  protected get isNobody(): boolean {
    return this.selection.rooms.length === 0 && this.selection.rooms !== none
  }

  protected describe(_id: string, namespace: string): object {
    const { except, rooms } = this.selection
    // Without rooms it selects all sockets; with an empty list of rooms, none.
    return { _id, namespace, rooms: rooms === none ? undefined : rooms, except, ...this.flags }
  }
}
