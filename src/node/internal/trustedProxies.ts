import { BlockList, isIP } from "node:net"

import { unmapped } from "../../engine/ClientAddress.ts"

/**
 * Whether a hop is trusted to report the address before it. Arguments: the hop's own address, and
 * the number of hops between it and this server.
 */
export type Trust = (address: string, hops: number) => boolean

/** Real chains of proxies are shorter. */
const MAX_HOPS = 32

const problem = (entry: unknown): string => `must hold addresses and ranges, as "10.0.0.0/8", not "${String(entry)}"`

/** Reads the option. Returns an error as text. */
export const readTrust = (option: number | ReadonlyArray<string> | undefined): Trust | string | undefined => {
  if (option === undefined) return undefined
  if (typeof option === "number") {
    if (!Number.isSafeInteger(option) || option < 0) return `must be a number of hops, not ${option}`
    return option === 0 ? undefined : (_address, hops) => hops < option
  }
  if (!Array.isArray(option)) return problem(option)
  const list = new BlockList()
  for (const entry of option) {
    try {
      const [address, prefix] = String(entry).split(/\/(.*)/, 2) as [string, string?]
      const family = familyOf(address)
      if (family === undefined) return problem(entry)
      if (prefix === undefined) list.addAddress(unmapped(address), familyOf(unmapped(address)))
      else if (/^\d{1,3}$/.test(prefix)) list.addSubnet(address, Number(prefix), family)
      else return problem(entry)
    } catch {
      return problem(entry)
    }
  }
  return (address) => {
    const family = familyOf(address)
    return family !== undefined && list.check(address, family)
  }
}

const familyOf = (address: string): "ipv4" | "ipv6" | undefined => {
  const version = isIP(address)
  return version === 4 ? "ipv4" : version === 6 ? "ipv6" : undefined
}

/**
 * Returns the address of a client: the peer's, or the one that a trusted peer reports, and so on.
 * `X-Forwarded-For` lists addresses in the order in which the request passed them. Anyone can write
 * to it, so it is read from its end, and only as far as it is trusted.
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
  return isIP(address) === 0 ? undefined : unmapped(address)
}
