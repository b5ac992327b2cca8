/**
 * Members of objects whose keys a peer chooses.
 */

/**
 * Whether a key looks like the index of an array. Engines keep such members in a store of their
 * own: in V8 a table as long as the highest index, up to a thousand unused places at a time.
 * Objects like `{ "1000": 0 }` would take twelve kilobytes each, for seven bytes of a message.
 */
export const isIndexLike = (key: string): boolean => {
  const code = key.charCodeAt(0)
  return code >= 48 && code <= 57
}

/**
 * The highest index there is: a store that has seen it stays a hash table, as `JSON.parse` makes
 * one.
 */
const HIGHEST = 4_294_967_294

/**
 * Makes an object take index-like keys in proportion to their number. To be called before the first
 * one is put.
 */
export const allowIndexes = (members: Record<string, unknown>): void => {
  members[HIGHEST] = undefined
  delete members[HIGHEST]
}

/** Puts a member, which is the object's own whatever its key. */
export const put = (members: Record<string, unknown>, key: string, value: unknown): void => {
  if (key !== "__proto__") members[key] = value
  else Object.defineProperty(members, key, { value, configurable: true, enumerable: true, writable: true })
}
