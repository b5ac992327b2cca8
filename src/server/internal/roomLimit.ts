import { weightOf } from "../../internal/rooms.ts"
import type { Environment } from "./environment.ts"

// The number of rooms that a connection may be in, over all of its sockets.

/** A connection, as its rooms are counted. */
export interface RoomCount {
  readonly environment: Environment
  /**
   * The number of rooms of its sockets, without those of their own ids. A long name counts as
   * several.
   */
  rooms: number
}

/** A socket of the connection. */
export interface Joiner {
  readonly id: string
  readonly connection: RoomCount
  readonly joined: ReadonlySet<string> | undefined
}

const mayEnter = ({ environment, rooms }: RoomCount, weight: number): boolean =>
  rooms + weight <= environment.options.maxRooms

/** Counts a room, unless the limit is reached. Returns whether it was counted. */
export const enterRoom = (connection: RoomCount, room: string): boolean => {
  const weight = weightOf(room)
  if (!mayEnter(connection, weight)) return false
  connection.rooms += weight
  return true
}

/** A room does not count any more. */
export const leaveRoom = (connection: RoomCount, room: string): void => {
  connection.rooms -= weightOf(room)
}

/** Throws if the connection would be in more rooms than it may. */
export const checkRooms = ({ connection, id, joined }: Joiner, names: ReadonlyArray<string>): void => {
  let added = 0
  for (const room of names) added += weightOf(room)
  if (mayEnter(connection, added)) return
  // It may be in some of them already.
  for (const room of names) if (joined?.has(room) || room === id) added -= weightOf(room)
  if (mayEnter(connection, added)) return
  throw new Error(`a connection may be in ${connection.environment.options.maxRooms} rooms (maxRooms)`)
}
