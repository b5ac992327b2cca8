/**
 * The address of a client that comes through proxies.
 *
 * @since 0.1.0
 */
import { groupsOf, isIpv4, unmapped } from "./ClientAddress.ts"

/**
 * Whether a hop is trusted to report the address before it. Arguments: the hop's own address, and
 * the number of hops between it and this server.
 *
 * @since 0.1.0
 * @category models
 */
export type Trust = (address: string, hops: number) => boolean

/** Real chains of proxies are shorter. */
const MAX_HOPS = 32

const problem = (entry: unknown): string => `must hold addresses and ranges, as "10.0.0.0/8", not "${String(entry)}"`

/** The addresses that begin with these bits. */
interface Range {
  readonly bits: ReadonlyArray<number>
  readonly prefix: number
}

/** An address as groups of bits: of 8 for IPv4, of 16 for IPv6. */
const bitsOf = (address: string): ReadonlyArray<number> | undefined =>
  isIpv4(address) ? address.split(".").map(Number) : groupsOf(address)

const widthOf = (bits: ReadonlyArray<number>): number => (bits.length === 4 ? 8 : 16)

const contains = (range: Range, bits: ReadonlyArray<number>): boolean => {
  if (range.bits.length !== bits.length) return false
  const width = widthOf(bits)
  for (let at = 0, left = range.prefix; left > 0; at++, left -= width) {
    const ignored = Math.max(0, width - left)
    if (range.bits[at]! >> ignored !== bits[at]! >> ignored) return false
  }
  return true
}

/** Reads an entry: an address, or a range of addresses. */
const rangeOf = (entry: unknown): Range | undefined => {
  const match = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(String(entry))
  if (match === null) return undefined
  const [, address, prefix] = match as unknown as [string, string, string | undefined]
  const bits = bitsOf(prefix === undefined ? unmapped(address) : address)
  if (bits === undefined) return undefined
  const all = bits.length * widthOf(bits)
  const length = prefix === undefined ? all : Number(prefix)
  return length <= all ? { bits, prefix: length } : undefined
}

/**
 * Reads the option `trustedProxies`: a number of hops, or addresses and ranges. Returns an error as
 * text, and `undefined` if no proxy is trusted.
 *
 * @since 0.1.0
 * @category decoding
 */
export const readTrust = (option: number | ReadonlyArray<string> | undefined): Trust | string | undefined => {
  if (option === undefined) return undefined
  if (typeof option === "number") {
    if (!Number.isSafeInteger(option) || option < 0) return `must be a number of hops, not ${option}`
    return option === 0 ? undefined : (_address, hops) => hops < option
  }
  if (!Array.isArray(option)) return problem(option)
  const ranges: Array<Range> = []
  for (const entry of option) {
    const range = rangeOf(entry)
    if (range === undefined) return problem(entry)
    ranges.push(range)
  }
  return (address) => {
    const bits = bitsOf(address)
    return bits !== undefined && ranges.some((range) => contains(range, bits))
  }
}

/**
 * Returns the address of a client: the peer's, or the one that a trusted peer reports, and so on.
 * `X-Forwarded-For` lists addresses in the order in which the request passed them. Anyone can write
 * to it, so it is read from its end, and only as far as it is trusted.
 *
 * @since 0.1.0
 * @category getters
 */
export const addressOf = (peer: string, forwardedFor: string | undefined, trusts: Trust): string => {
  let address = unmapped(peer)
  if (forwardedFor === undefined) return address
  for (let end = forwardedFor.length, hops = 0; end >= 0 && hops < MAX_HOPS && trusts(address, hops); hops++) {
    const comma = end === 0 ? -1 : forwardedFor.lastIndexOf(",", end - 1)
    const entry = addressIn(forwardedFor.slice(comma + 1, end).trim())
    if (entry === undefined) break
    address = entry
    end = comma
  }
  return address
}

/** Returns the address of an entry, which may have a port or a zone. */
const addressIn = (entry: string): string | undefined => {
  if (entry.length > 100) return undefined
  const match = /^\[([^\]]*)\](?::\d+)?$/.exec(entry) ?? /^([\d.]+):\d+$/.exec(entry)
  const [address] = (match?.[1] ?? entry).split("%") as [string]
  return bitsOf(address) === undefined ? undefined : unmapped(address)
}
