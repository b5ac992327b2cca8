/**
 * Throws on a value that is not a room. A number would work on this server, but it would differ
 * from the room that its digits name, and another server may receive it as that room.
 */
export const asRooms = (rooms: string | ReadonlyArray<string>): ReadonlyArray<string> => {
  if (typeof rooms === "string") return [rooms]
  if (!Array.isArray(rooms)) throw noRoom(rooms)
  for (const room of rooms) if (typeof room !== "string") throw noRoom(room)
  return rooms
}

/** The number of rooms that a room counts as: a long name takes memory, too. */
export const weightOf = (room: string): number => 1 + (room.length >> 8)

const noRoom = (value: unknown): Error =>
  new Error(
    `a room is a string, not ${typeof value === "number" ? `the number ${value}: use String(${value})` : typeof value}`
  )
