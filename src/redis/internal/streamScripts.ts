import { readValues, writeValues } from "../../internal/storedValues.ts"
import type { About, EncodedEnd, Piece } from "../../streams/StreamStore.ts"
import type { Reply } from "../RedisCommand.ts"

// A stream has four keys in one slot: its pieces (a Redis Stream), the sign of life of its server,
// its subject, and the sign that other servers have readers. Another key leads from the stream's
// own to its id.

/**
 * Adds a piece. The same one once more, after a reply that was lost, changes nothing. The last one
 * takes the sign of life away.
 */
export const APPEND = `local r = redis.pcall('xadd', KEYS[1], 'MINID', '~', ARGV[2], ARGV[1], 'p', ARGV[3])
if type(r) == 'table' and r.err and not string.find(r.err, 'equal or smaller') then return r end
redis.call('pexpire', KEYS[1], ARGV[4]) redis.call('pexpire', KEYS[3], ARGV[4])
if ARGV[6] == '1' then redis.call('del', KEYS[2]) end
redis.call('publish', ARGV[5], '') return 1`

/**
 * Renews the sign of life. Returns 1 if another server wants the stream to stop, and 2 more if
 * another one has readers.
 */
export const RENEW = `local v = redis.call('get', KEYS[2]) or 'run'
redis.call('set', KEYS[2], v, 'px', ARGV[1])
redis.call('pexpire', KEYS[1], ARGV[2]) redis.call('pexpire', KEYS[3], ARGV[2])
return (v == 'stop' and 1 or 0) + 2 * redis.call('exists', KEYS[4])`

/** Asks the server of a stream to stop it, if it lives. */
export const STOP = `if redis.call('exists', KEYS[2]) == 0 then return 0 end
redis.call('set', KEYS[2], 'stop', 'px', ARGV[1]) redis.call('publish', ARGV[2], ARGV[3]) return 1`

/** Claims a key for a stream, unless another one has it: then it gives the id of that. */
export const CLAIM = `local v = redis.call('get', KEYS[1]) if v and v ~= ARGV[1] then return v end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return ''`

export const RELEASE = `if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end return 1`

export const writePiece = ({ end, from, kept, values }: Piece): string =>
  writeValues([from, kept, values, end ?? null], true)

/** Reads one. Returns `undefined` if the text is damaged. */
export const readPiece = (text: string): Piece | undefined => {
  const [from, kept, values, end] = readValues(text) ?? []
  if (typeof from !== "number" || typeof kept !== "number" || !Array.isArray(values)) return undefined
  return { from, kept, values, end: end === null ? undefined : (end as EncodedEnd) }
}

/** The id of a piece among those of its stream: later pieces have larger ones. */
export const pieceId = (from: number): string => `${from + 1}-0`

/** The pieces of a reply to XRANGE, each with its id. */
export const readPieces = (reply: Reply): ReadonlyArray<readonly [id: string, piece: Piece]> =>
  (reply as ReadonlyArray<readonly [string, ReadonlyArray<string>]>).flatMap(([id, [, text]]) => {
    const piece = readPiece(text!)
    return piece === undefined ? [] : [[id, piece] as const]
  })

export const writeAbout = ({ event, key, namespace, owner }: About): string =>
  JSON.stringify([namespace, event, owner ?? null, key ?? null])

export const readAbout = (text: string): About | undefined => {
  try {
    const [namespace, event, owner, key] = JSON.parse(text) as ReadonlyArray<string | null>
    if (typeof namespace !== "string" || typeof event !== "string") return undefined
    return { namespace, event, owner: owner ?? undefined, key: key ?? undefined }
  } catch {
    return undefined
  }
}
