import type { Selection } from "../../adapter/Adapter.ts"

/** A broadcast of this server, as a namespace's hub publishes it. */
export interface Emission {
  /** The event's name and its wire arguments. */
  readonly data: readonly [event: string, ...args: Array<unknown>]
  /**
   * The payload that was emitted by the contract; `undefined` if the event was emitted without one.
   */
  readonly declared: { readonly payload: unknown } | undefined
  readonly selection: Selection
}

/** Whether a broadcast reaches one of the rooms; `undefined` are any. */
export const reaches = ({ selection }: Emission, rooms: ReadonlyArray<string> | undefined): boolean =>
  rooms === undefined ||
  rooms.some(
    (room) => (selection.rooms.length === 0 || selection.rooms.includes(room)) && !selection.except.includes(room)
  )
