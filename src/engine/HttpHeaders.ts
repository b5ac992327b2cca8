/**
 * Headers of HTTP responses, as platforms take them.
 *
 * @since 0.1.0
 */
/**
 * Headers by their names in lower case; several values stand in lines of their own.
 *
 * @since 0.1.0
 * @category models
 */
export type Headers = Readonly<Record<string, string | Array<string>>>

/**
 * The headers of both. Of one that is in both the second counts, but cookies add up.
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
 * Whether Node and browsers would send this as a header's value.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isHeaderValue = (value: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(value)

/**
 * Whether it is a list of headers' names, which may be sent back as it is.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isNameList = (value: string): boolean => /^[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*$/.test(value)
