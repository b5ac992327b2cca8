/** The packets of a text payload of Engine.IO 3, each behind its length. */
export const splitV3 = (payload: string): ReadonlyArray<string> => {
  const packets: Array<string> = []
  for (let rest = payload; rest !== "";) {
    const colon = rest.indexOf(":")
    const end = colon + 1 + Number(rest.slice(0, colon))
    if (!(colon > 0 && end <= rest.length)) throw new Error(`not a payload: ${payload}`)
    packets.push(rest.slice(colon + 1, end))
    rest = rest.slice(end)
  }
  return packets
}

export const joinV3 = (packets: ReadonlyArray<string>): string =>
  packets.map((packet) => `${packet.length}:${packet}`).join("")
