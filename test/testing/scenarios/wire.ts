/**
 * The invariants of the packets themselves, as a trace has them.
 */

/** `43/side,12[…]` without its arguments. */
const ACK = /^4[36](?:\d+-)?(?:\/[^,]*,)?\d+(?=\[)/

/**
 * The acknowledgements that were received twice over one session, of either side: each packet `(namespace, id)` is acknowledged once
 * at the most.
 */
export const duplicateAcks = (trace: ReadonlyArray<string>): ReadonlyArray<string> => {
  const sessions = new Map<string, string>()
  const seen = new Set<string>()
  const duplicates: Array<string> = []
  for (const line of trace) {
    const match = /^[\d.]+ ms {2}link (\d+) (to server|to client): (.*)$/s.exec(line)
    if (match === null) continue
    const [, link, direction, content] = match
    const request = /^(?:GET|POST|upgrade) \S*?(?:sid=([\w-]+))?(?: (.*))?$/s.exec(content!)
    if (request !== null) sessions.set(link!, request[1] ?? `link ${link}`)
    const body = request === null ? content!.replace(/^\d{3} /, "") : (request[2] ?? "")
    for (const packet of body.split("\u001e")) {
      const ack = ACK.exec(packet)?.[0]
      if (ack === undefined) continue
      const key = `${sessions.get(link!)} ${direction} ${ack}`
      if (seen.has(key)) duplicates.push(key)
      seen.add(key)
    }
  }
  return duplicates
}
