/**
 * Options of servers, put together.
 */

/** The options of both. The second wins, option by option within the groups, too. */
export const together = <A extends object, B extends object>(first: A, second: B): A & B => {
  const all: Record<string, unknown> = { ...(first as object) }
  for (const [name, value] of Object.entries(second)) {
    all[name] = isGroup(value) && isGroup(all[name]) ? { ...all[name], ...value } : value
  }
  return all as A & B
}

const isGroup = (value: unknown): value is object =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
