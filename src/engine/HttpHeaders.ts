/**
 * HTTP headers: those of responses, in the form that platforms take, and the encodings that a
 * client accepts.
 *
 * @since 0.1.0
 */

/**
 * Headers by their names in lower case. Several values of one header become several lines.
 *
 * @since 0.1.0
 * @category models
 */
export type Headers = Readonly<Record<string, string | Array<string>>>

/**
 * Joins two sets of headers. The second wins where both have a header, but cookies add up.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (first: Headers | undefined, second: Headers): Headers => {
  const [cookies, more] = [first?.["set-cookie"], second["set-cookie"]]
  if (cookies === undefined || more === undefined) return { ...first, ...second }
  return { ...first, ...second, "set-cookie": [cookies, more].flat() }
}

/**
 * Whether Node and browsers would send this value of a header.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isHeaderValue = (value: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(value)

/**
 * Whether this is a list of headers' names that may be sent back as it is.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isNameList = (value: string): boolean => /^[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*$/.test(value)

const ACCEPTED = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*(?:;\s*q=([01](?:\.\d*)?)\s*)?$/i

/**
 * Chooses the content coding of a response by the request's `Accept-Encoding` (RFC 9110, 12.5.3):
 * the one with the highest weight, and among equals the first of `codings`. Returns `undefined` if
 * the client accepts none of them, not even `identity`, the plain form.
 *
 * @since 0.1.0
 * @category combinators
 */
export const negotiateCoding = <Coding extends string>(
  accepted: string | undefined,
  codings: ReadonlyArray<Coding | "identity">
): Coding | "identity" | undefined => {
  // The RFC allows any encoding here, but a client without the header hardly knows them.
  if (accepted === undefined) return "identity"
  const weights = new Map<string, number>()
  for (const element of accepted.split(",")) {
    const match = ACCEPTED.exec(element)
    if (match !== null) weights.set(match[1]!.toLowerCase(), Number(match[2] ?? 1))
  }
  const others = weights.get("*")
  let best: Coding | "identity" | undefined
  let most = 0
  for (const coding of codings) {
    // The plain form is acceptable unless it is excluded, but it is preferred only if it is named.
    const weight = weights.get(coding) ?? others ?? (coding === "identity" ? Number.MIN_VALUE : 0)
    if (weight > most) [best, most] = [coding, weight]
  }
  return best
}
