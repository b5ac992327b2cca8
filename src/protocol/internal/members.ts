/**
 * Members of objects whose keys a peer chooses.
 */

/**
 * Whether a key looks like the index of an array. Engines keep such members in a separate store: in
 * V8 it is a table as long as the highest index, with up to a thousand unused places at a time. An
 * object like `{ "1000": 0 }` would take twelve kilobytes, for seven bytes of a message.
 */
export const isIndexLike = (key: string): boolean => {
  const code = key.charCodeAt(0)
  return code >= 48 && code <= 57
}

/**
 * The highest possible index. A store that has seen it stays a hash table, like the stores of
 * `JSON.parse`.
 */
const HIGHEST = 4_294_967_294

/**
 * Makes the memory of index-like keys proportional to their number. Call it before the first one is
 * put.
 */
export const allowIndexes = (members: Record<string, unknown>): void => {
  members[HIGHEST] = undefined
  delete members[HIGHEST]
}

/** Puts a member. It becomes the object's own property, whatever its key is. */
export const put = (members: Record<string, unknown>, key: string, value: unknown): void => {
  if (key !== "__proto__") members[key] = value
  else Object.defineProperty(members, key, { value, configurable: true, enumerable: true, writable: true })
}
