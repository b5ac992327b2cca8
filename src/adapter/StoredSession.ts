/**
 * A session in the form in which it is stored for all servers of a cluster.
 *
 * The first five fields are those of official servers (`@socket.io/redis-streams-adapter` 0.3):
 * they read sessions of this library, and this library reads theirs.
 *
 * @since 0.1.0
 */
import { isPosition } from "./LogPosition.ts"

/**
 * A place in the log that the client has confirmed, and its rooms there, without that of its id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Checkpoint {
  readonly position: string
  readonly index: number
  /** The era of the log, see `SharedLog.Place`. */
  readonly era?: string | undefined
  readonly rooms: ReadonlyArray<string>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface StoredSession {
  /** The secret by which the client asks for it. */
  readonly pid: string
  /** The namespace of its sockets; `undefined` if an official server has written it. */
  readonly namespace: string | undefined
  /** The id of its sockets. */
  readonly sid: string
  /** Its rooms when it was written, without that of its id. */
  readonly rooms: ReadonlyArray<string>
  /** The data of its socket, encoded. */
  readonly data: Readonly<Record<string, unknown>>
  /** `undefined` if an official server has written it: its rooms are those of its end. */
  readonly checkpoint: Checkpoint | undefined
  /** The hash of the offset that the client has from an earlier session. */
  readonly former: number
  /** The time at which it was written, in milliseconds. */
  readonly at: number
  /** The generation of its owner when it was read; `undefined` if that is not known. */
  readonly owner?: string | undefined
}

/** Official ones have 20 characters. */
const MAX_ID = 128

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)

const isName = (value: unknown): value is string =>
  typeof value === "string" && value.length > 0 && value.length <= MAX_ID

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const readRooms = (value: unknown): ReadonlyArray<string> | undefined =>
  Array.isArray(value) && value.every((room) => typeof room === "string") ? value : undefined

/**
 * Whether a value may be the secret of a session: nothing else is looked up.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSecret = (value: unknown): value is string => typeof value === "string" && /^[\w-]{10,64}$/.test(value)

/**
 * The value to store. `x` is this library's own.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toValue = ({ at, checkpoint, data, former, namespace, pid, rooms, sid }: StoredSession) => ({
  sid,
  pid,
  rooms: [sid, ...rooms],
  data,
  x: {
    n: namespace,
    at,
    former,
    ...(checkpoint && { p: checkpoint.position, i: checkpoint.index, e: checkpoint.era, r: checkpoint.rooms })
  }
})

/**
 * Reads a value that was stored. Gives `undefined` for one that is no session of this secret.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromValue = (value: unknown, secret: string): StoredSession | undefined => {
  if (!isRecord(value)) return undefined
  const { data, g: owner, pid, sid, x } = value
  const rooms = readRooms(value["rooms"])
  if (pid !== secret || !isName(sid) || rooms === undefined) return undefined
  const own = isRecord(x) ? x : undefined
  const checkpoint = own && readCheckpoint(own)
  const namespace = own?.["n"]
  // One of this library without its checkpoint says nothing of what the client has had.
  if (own !== undefined && (checkpoint === undefined || typeof namespace !== "string")) return undefined
  return {
    pid: secret,
    namespace: typeof namespace === "string" ? namespace : undefined,
    sid,
    rooms: rooms.filter((room) => room !== sid),
    data: isRecord(data) ? data : {},
    checkpoint,
    former: own !== undefined && isCount(own["former"]) ? own["former"] : NO_OFFSET,
    at: own !== undefined && isCount(own["at"]) ? own["at"] : 0,
    ...(typeof owner === "string" && { owner })
  }
}

const readCheckpoint = ({ e, i, p, r }: Readonly<Record<string, unknown>>): Checkpoint | undefined => {
  const rooms = readRooms(r)
  if (!isPosition(p) || !isCount(i) || rooms === undefined) return undefined
  return { position: p, index: i, ...(typeof e === "string" && { era: e }), rooms }
}

/**
 * In the place of the hash of an offset. No text has it.
 *
 * @since 0.1.0
 * @category constants
 */
export const NO_OFFSET = 2 ** 30
