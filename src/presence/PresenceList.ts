/**
 * A client's list of those who are present in a room, made of the two events of a presence: pure
 * functions, for pages that do without the npm package `phoenix`.
 *
 * **Gotchas**
 *
 * The order of the two events counts. Take both from one stream, `socket.events()`.
 *
 * **Example** (The keys in a room, as they come and leave)
 *
 * ```ts
 * const keys = Stream.scan(
 *   chat.events(),
 *   (): PresenceList.Of<typeof Online> => PresenceList.empty(),
 *   (list, { event, payload }) =>
 *     event === "presence_state" ? PresenceList.fromState(payload[0]) : PresenceList.withDiff(list, payload[0])
 * ).pipe(Stream.map((list) => Array.from(list.keys())))
 * ```
 *
 * @since 0.1.0
 */

/**
 * The members of a room by key, each with the metadata of its connections, as `presence_state` has
 * them.
 *
 * @since 0.1.0
 * @category models
 */
export type Members<Meta extends Referenced> = Readonly<Record<string, { readonly metas: ReadonlyArray<Meta> }>>

/**
 * Metadata with their reference.
 *
 * @since 0.1.0
 * @category models
 */
export interface Referenced {
  readonly phx_ref: string
}

/**
 * The members that joined and left, as `presence_diff` has them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Difference<Meta extends Referenced> {
  readonly joins: Members<Meta>
  readonly leaves: Members<Meta>
}

/**
 * The connections of each key.
 *
 * @since 0.1.0
 * @category models
 */
export type PresenceList<Meta extends Referenced> = ReadonlyMap<string, ReadonlyArray<Meta>>

/**
 * The list of a presence: `PresenceList.Of<typeof Online>`.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Of<Service extends { readonly meta: { readonly Type: object } }> = PresenceList<
  Service["meta"]["Type"] & Referenced
>

/**
 * The list of nobody.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty = (): PresenceList<never> => new Map()

/**
 * The list of a state.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromState = <Meta extends Referenced>(state: Members<Meta>): PresenceList<Meta> =>
  new Map(Object.entries(state).map(([key, { metas }]) => [key, metas]))

/**
 * The list after a difference. The one before is not changed.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withDiff = <Meta extends Referenced>(
  list: PresenceList<Meta>,
  { joins, leaves }: Difference<Meta>
): PresenceList<Meta> => {
  const next = new Map(list)
  for (const [key, { metas }] of Object.entries(joins)) next.set(key, [...without(next.get(key), metas), ...metas])
  for (const [key, { metas }] of Object.entries(leaves)) {
    const rest = without(next.get(key), metas)
    if (rest.length === 0) next.delete(key)
    else next.set(key, rest)
  }
  return next
}

const without = <Meta extends Referenced>(
  metas: ReadonlyArray<Meta> = [],
  others: ReadonlyArray<Meta>
): ReadonlyArray<Meta> => {
  const refs = new Set(others.map(({ phx_ref }) => phx_ref))
  return metas.filter(({ phx_ref }) => !refs.has(phx_ref))
}
