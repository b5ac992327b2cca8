/** Headers by their names in lower case; several values stand in lines of their own. */
export type Headers = Readonly<Record<string, string | Array<string>>>

/** The headers of both. Of one that is in both the second counts, but cookies add up. */
export const merge = (first: Headers | undefined, second: Headers): Headers => {
  const [cookies, more] = [first?.["set-cookie"], second["set-cookie"]]
  if (cookies === undefined || more === undefined) return { ...first, ...second }
  return { ...first, ...second, "set-cookie": [cookies, more].flat() }
}

/** Whether Node and browsers would send this as a header's value. */
export const isHeaderValue = (value: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(value)

/** Whether it is a list of headers' names, which may be sent back as it is. */
export const isNameList = (value: string): boolean => /^[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*$/.test(value)
