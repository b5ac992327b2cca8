import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

import type { Change, Diff, Present, Snapshot } from "../PresenceModel.ts"
import type { Difference, Room, Rooms, Version } from "./members.ts"
import { Reader } from "./reader.ts"

/** The readers of the rooms' changes. */
export class Readers {
  private readonly rooms: Rooms
  private readonly readers = new Map<Room, Set<Reader>>()
  private isEnded = false

  constructor(rooms: Rooms) {
    this.rooms = rooms
  }

  publish(room: Room, difference: Difference): void {
    const readers = this.readers.get(room)
    if (readers === undefined) return
    const diff = diffOf(difference)
    for (const reader of readers) reader.offer(diff)
  }

  /** The stream of a room's changes. */
  changes(name: string): Stream.Stream<Change<any>> {
    const reading = Effect.acquireRelease(
      Effect.sync(() => this.add(this.rooms.getOrCreate(name))),
      ({ reader, room }) => Effect.sync(() => this.remove(room, reader))
    )
    return Stream.unwrap(Effect.map(reading, ({ reader }) => Stream.fromPull(Effect.succeed(reader.pull))))
  }

  /** Ends all streams. */
  end(): void {
    this.isEnded = true
    for (const readers of this.readers.values()) for (const reader of readers) reader.end()
  }

  private add(room: Room) {
    const reader = new Reader(() => snapshotOf(room))
    let readers = this.readers.get(room)
    if (readers === undefined) this.readers.set(room, (readers = new Set()))
    readers.add(reader)
    room.readers++
    if (this.isEnded) reader.end()
    return { reader, room }
  }

  private remove(room: Room, reader: Reader): void {
    const readers = this.readers.get(room)
    if (readers === undefined || !readers.delete(reader)) return
    if (readers.size === 0) this.readers.delete(room)
    room.readers--
    this.rooms.released(room)
  }
}

const presentOf = ({ meta, ref }: Version): Present<any> => ({ ref, meta })

const snapshotOf = (room: Room): Snapshot<any> => ({
  _tag: "Snapshot",
  revision: room.revision,
  members: new Map(
    Array.from(room.published(), ([key, [first, ...others]]) => [
      key,
      [presentOf(first!), ...others.map(presentOf)] as const
    ])
  )
})

const diffOf = ({ joined, left, revision, updated }: Difference): Diff<any> => ({
  _tag: "Diff",
  revision,
  joined: joined.map(({ isFirst, member, version }) => ({ key: member.key, ...presentOf(version), first: isFirst })),
  left: left.map(({ isLast, member, version }) => ({ key: member.key, ...presentOf(version), last: isLast })),
  updated: updated.map(({ before, member, version }) => ({
    key: member.key,
    ...presentOf(version),
    previousRef: before.ref
  }))
})
