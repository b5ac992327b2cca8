/**
 * Addresses of clients, in the form in which they are compared and counted. Other texts stay as
 * they are.
 *
 * @since 0.1.0
 */
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`)

/**
 * Whether a text is an IPv4 address, in its usual form.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isIpv4 = (text: string): boolean => IPV4.test(text)

/**
 * Returns an IPv6 address as its eight groups of 16 bits; `undefined` for other texts. The zone
 * does not count.
 *
 * @since 0.1.0
 * @category conversions
 */
export const groupsOf = (address: string): ReadonlyArray<number> | undefined => {
  if (address.length > 100) return undefined
  const zone = address.indexOf("%")
  let text = zone < 0 ? address : address.slice(0, zone)
  const colon = text.lastIndexOf(":")
  if (colon < 0) return undefined
  // The last 32 bits may be written as an IPv4 address.
  if (text.includes(".")) {
    const last = text.slice(colon + 1)
    if (!isIpv4(last)) return undefined
    const [a, b, c, d] = last.split(".").map(Number) as [number, number, number, number]
    text = `${text.slice(0, colon + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  }
  const [head, tail, ...more] = text.split("::").map(groups)
  if (more.length > 0) return undefined
  if (tail === undefined) return isWhole(head!) && head!.length === 8 ? head : undefined
  if (!isWhole(head!) || !isWhole(tail) || head!.length + tail.length > 7) return undefined
  return [...head!, ...Array<number>(8 - head!.length - tail.length).fill(0), ...tail]
}

const groups = (text: string): ReadonlyArray<number> =>
  text === "" ? [] : text.split(":").map((group) => (/^[0-9a-f]{1,4}$/i.test(group) ? Number.parseInt(group, 16) : -1))

const isWhole = (groups: ReadonlyArray<number>): boolean => groups.every((group) => group >= 0)

const mapped = (groups: ReadonlyArray<number>): string | undefined => {
  if (groups[5] !== 0xffff || groups.slice(0, 5).some((group) => group !== 0)) return undefined
  const [high, low] = [groups[6]!, groups[7]!]
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/**
 * Converts an IPv4 address in IPv6 notation into IPv4 notation.
 *
 * @since 0.1.0
 * @category conversions
 */
export const unmapped = (address: string): string => {
  const groups = groupsOf(address)
  return (groups && mapped(groups)) ?? address
}

/**
 * Returns the part of an address that belongs to one client: all of IPv4, and 64 bits of IPv6.
 *
 * @since 0.1.0
 * @category conversions
 */
export const networkOf = (address: string): string => {
  const groups = groupsOf(address)
  if (groups === undefined) return address
  return (
    mapped(groups) ??
    `${groups
      .slice(0, 4)
      .map((group) => group.toString(16))
      .join(":")}::/64`
  )
}
