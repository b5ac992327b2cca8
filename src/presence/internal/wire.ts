import type { Difference, Room, Version } from "./members.ts"

/** The versions of a key's connections, in the form of Phoenix. */
interface Metas {
  readonly metas: Array<Readonly<Record<string, unknown>>>
}

/** Members by key. Keys may come from clients, so it has no prototype. */
type ByKey = Record<string, Metas>

const none = (): ByKey => Object.create(null) as ByKey

const add = (all: ByKey, key: string, wire: Readonly<Record<string, unknown>>): void => {
  const metas = all[key]
  if (metas === undefined) all[key] = { metas: [wire] }
  else metas.metas.push(wire)
}

/** The payload of `presence_state`: the members of a room as they were published last. */
export const stateOf = (room: Room | undefined): ByKey => {
  const state = none()
  if (room === undefined) return state
  for (const [key, versions] of room.published()) state[key] = { metas: versions.map(wireOf) }
  return state
}

const wireOf = ({ wire }: Version) => wire

/**
 * The payload of `presence_diff`. An update is the leave of one version and the join of the next.
 */
export const diffOf = ({ joined, left, updated }: Difference): { readonly joins: ByKey; readonly leaves: ByKey } => {
  const joins = none()
  const leaves = none()
  for (const { member, version } of joined) add(joins, member.key, version.wire)
  for (const { member, version } of left) add(leaves, member.key, version.wire)
  for (const { before, member, version } of updated) {
    add(joins, member.key, { ...version.wire, phx_ref_prev: before.ref })
    add(leaves, member.key, before.wire)
  }
  return { joins, leaves }
}
