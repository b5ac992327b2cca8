/**
 * A client comes back, and loses its connection again at some byte of what it is told then. In the end it has heard everything once.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

import { costly } from "../support/extent.ts"
import { eventually, startClient, type Way } from "./clients.ts"
import { makeRandom } from "./random.ts"
import type { CutPoint } from "./relay.ts"
import { type Kind, kinds, startSubject, type Subject } from "./servers.ts"

const transports: ReadonlyArray<Way> = ["websocket", "polling"]

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

let number = 0

/** One client and its two outages, the second one at a point of what comes after the first. */
const comeBackTwice = async (subject: Subject, kind: Kind, transport: Way, point?: CutPoint) => {
  const room = `room ${number++}`
  const heard: Array<number> = []
  const client = await startClient(kind, subject.port, {
    rooms: [room],
    transports: [transport],
    onEvent: (_, [n]) => heard.push(n)
  })
  try {
    await client.call("join", room)
    const id = client.id!
    const to = [room]
    await subject.emit({ to }, "e", 1)
    await eventually("the first event", () => heard.length === 1)
    await client.cut("reset")
    // A polling client may have been cut while nothing was under way: then the server does not know.
    if (transport === "websocket") {
      await eventually("the end", () => subject.departures.some((departure) => departure.id === id))
    }
    await subject.emit({ to }, "e", 2, "text")
    await subject.emit({ to }, "e", 3, Buffer.from("bytes"))
    await subject.emit({ to: [id] }, "e", 4)
    await subject.emit({ to, volatile: true }, "e", 99)
    await subject.emit({ to }, "e", 5)
    const { relay } = client
    let isCut = false
    if (point !== undefined) relay.cutAfter(point, () => (isCut = true))
    else relay.cutAfter({ direction: "down", bytes: Infinity, how: "end" }, () => {})
    const back = client.back()
    await eventually("the cut, or all events", () => isCut || heard.includes(5))
    if (isCut) {
      await pause(5)
      if (client.connected) await client.cut("reset")
    }
    const { down } = relay.passed
    relay.open()
    await back
    await pause(5)
    if (!client.connected) await client.back()
    await subject.emit({ to }, "e", 6)
    await eventually("the last event", () => heard.includes(6))
    return { heard: heard.join(" "), recovered: client.comings.slice(1).every(Boolean), down }
  } finally {
    await client.end()
  }
}

/** How often each outcome came about. */
const outcomesOf = async (subject: Subject, kind: Kind, transport: Way, points: number) => {
  const { down } = await comeBackTwice(subject, kind, transport)
  const { below, pick } = makeRandom(points)
  const outcomes: Record<string, number> = {}
  let left = points
  const work = async () => {
    while (left-- > 0) {
      const point: CutPoint = { direction: "down", bytes: below(down + 1), how: pick(["end", "reset", "stall"]) }
      const { heard, recovered } = await comeBackTwice(subject, kind, transport, point)
      const outcome = recovered ? heard : `not recovered: ${heard}`
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: 12 }, work))
  return outcomes
}

describe.each(kinds)("a resumption that is cut off, at the %s server,", (server) => {
  let subject: Subject
  beforeAll(async () => {
    subject = await startSubject(server)
  })
  afterAll(() => subject.stop())

  for (const client of kinds) {
    for (const transport of transports) {
      const points = costly(1_000, 60, 50)
      // Clients that poll are sometimes cut while nothing is under way: the official server then does not know, and refuses them.
      if (server === "official" && transport === "polling") continue
      // The official server tells a client that it is connected after it has sent what was missed: the official client keeps that until
      // then, asks for it again after the cut, and handles both.
      if (server === "official" && client === "official" && transport === "websocket") {
        it("makes the official client handle events twice", async () => {
          const outcomes = await outcomesOf(subject, client, transport, points)
          assert.isAbove(outcomes["1 2 3 4 5 2 3 4 5 6"] ?? 0, 0, JSON.stringify(outcomes))
          assert.isAbove(outcomes["1 2 3 4 5 6"] ?? 0, 0, JSON.stringify(outcomes))
        })
        continue
      }
      it(`loses nothing and doubles nothing (${client} client, ${transport})`, async () => {
        assert.deepStrictEqual(await outcomesOf(subject, client, transport, points), { "1 2 3 4 5 6": points })
      }, 300_000)
    }
  }
})
