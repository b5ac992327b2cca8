const ACCEPTED = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*(?:;\s*q=([01](?:\.\d*)?)\s*)?$/i

/**
 * The coding that the client prefers among those on offer, and among equals the one that stands first (RFC 9110, 12.5.3);
 * `undefined` if it takes none of them, not even `identity`, the plain form.
 */
export const negotiate = <Coding extends string>(
  accepted: string | undefined,
  codings: ReadonlyArray<Coding | "identity">
): Coding | "identity" | undefined => {
  // Any coding would do, says the RFC; but who does not speak of codings hardly knows them.
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
    // The plain form is taken by whoever does not exclude it, but gladly only where it is named.
    const weight = weights.get(coding) ?? others ?? (coding === "identity" ? Number.MIN_VALUE : 0)
    if (weight > most) [best, most] = [coding, weight]
  }
  return best
}
