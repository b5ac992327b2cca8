/**
 * The entrances of a server on Bun and on Deno: those at which the platform, or the edge for it, has
 * a part. What is behind them is the same as on Node.
 */
import { type Entrance, OPENS } from "./entrance.ts"
import { text } from "../../bench/load/frames.ts"
import type { HostName } from "./hosts.ts"
import { answered } from "./traffic.ts"

const NAMES: ReadonlyArray<string> = [
  "WebSocket: event without acknowledgement",
  "WebSocket: event of a contract",
  "WebSocket: handler that suspends",
  "WebSocket: handler that never gets done",
  "WebSocket: join and leave, static namespace",
  "WebSocket: ten attachments",
  "WebSocket: text that is no packet",
  "WebSocket: large: objects",
  "WebSocket: large: one string",
  "WebSocket: pongs",
  "WebSocket: pings of WebSocket",
  "WebSocket: pongs of WebSocket",
  "WebSocket: fragments of one byte",
  "WebSocket: fragments of one byte, a large message",
  "WebSocket: segments of one byte",
  "WebSocket: a burst of events, and a close frame",
  "WebSocket: a burst of events, and a reset",
  "WebSocket: sessions that are left to expire",
  "polling: empty body",
  "polling: a packet that is none",
  "polling: large: objects",
  "polling: large: one string",
  "polling: acknowledged event, 10,000 in a body",
  "polling: a burst of events, and a close packet",
  "polling: a burst of events, and the end of its connection",
  "polling: pongs, 10,000 in a body",
  "polling: chunks of one byte, a large body",
  "polling: chunks of one byte, a small body",
  "polling: 200 bodies that come byte by byte",
  "polling: sessions in a namespace that are left to expire",
  "request: handshakes over polling, 100 at once",
  "request: a handshake over WebSocket",
  "request: a handshake with a long query",
  "request: a handshake with many headers",
  "request: refused: a session that is unknown",
  "request: refused: an upgrade of no session",
  "request: refused: a body without an end, in chunks of one byte",
  "request: sessions over polling that are left to expire",
  "request: preflight",
  "request: probes of an upgrade"
]

/** Those with which a client keeps Deno itself busy, which the edge of Node prevents there. */
const FLOODS: ReadonlyArray<string> = [
  "WebSocket: event without acknowledgement",
  "WebSocket: pings of WebSocket",
  "WebSocket: pongs of WebSocket",
  "WebSocket: fragments of one byte",
  "WebSocket: fragments of one byte, a large message"
]

/**
 * These platforms join fragments and drop pongs by themselves, before the library learns of them.
 * Deno does so until there is nothing to read. Its own threads make others wait for a body in chunks
 * of a byte where there is one processor; with two of them its event loop is late by 9 ms at most.
 */
const BY_PLATFORM =
  /^(Bun: WebSocket: fragments|Deno: (WebSocket: (fragments|pongs of WebSocket)|polling: chunks of one byte, a large))/

const choose = (entrances: ReadonlyArray<Entrance>, names: ReadonlyArray<string>): ReadonlyArray<Entrance> =>
  names.map((name) => {
    const entrance = entrances.find((entrance) => entrance.name === name)
    if (entrance === undefined) throw new Error(`there is no entrance "${name}"`)
    return entrance
  })

/** The edge of Node is made for Node: fragments take others some 15 ms in Deno, and 3 ms in Node. */
const inDenoAs = (entrance: Entrance): Entrance => ({
  ...entrance,
  ...(entrance.name.includes("fragments") ? { slower: 8 } : {})
})

/** These platforms read on, so a flood of messages is closed. */
const ofPlatform = (entrance: Entrance): Entrance => ({
  ...entrance,
  ...(entrance.transport === "polling" && entrance.slower === undefined ? { slower: REQUESTS } : {}),
  ...(entrance.isOrdinary !== true && entrance.transport === "websocket" ? OPENS : {}),
  ...(BY_PLATFORM.test(entrance.name) ? { isByPlatform: true } : {})
})

/** Requests as fast as they are answered keep the servers of these platforms busier than Node's. */
const REQUESTS = 5

/** What is ordinary: a flood would wait in memory there, and end its connection. */
const ANSWERED = answered(text(`421["ack","${"x".repeat(36)}"]`), 100)

const on = (entrances: ReadonlyArray<Entrance>, host: HostName, title: string): ReadonlyArray<Entrance> =>
  entrances.map((entrance) => ({ ...entrance, name: `${title}: ${entrance.name}`, host }))

/** What is ordinary, on another host than Node's. */
export const ordinaryOn = (
  entrances: ReadonlyArray<Entrance>,
  host: HostName,
  title: string
): ReadonlyArray<Entrance> =>
  on(
    entrances.filter(({ isOrdinary }) => isOrdinary === true),
    host,
    title
  )

export const webEntrances = (entrances: ReadonlyArray<Entrance>): ReadonlyArray<Entrance> => {
  const chosen = choose(entrances, NAMES)
  const ordinary = entrances.map((entrance) =>
    entrance.isOrdinary === true && entrance.transport === "websocket" ? { ...entrance, attack: ANSWERED } : entrance
  )
  const all = (host: HostName, title: string) => ordinaryOn(ordinary, host, title).concat(on(chosen, host, title))
  const inDeno = choose(entrances, FLOODS)
  return [
    ...all("bun", "Bun").map(ofPlatform),
    ...all("deno", "Deno").map(ofPlatform),
    ...ordinaryOn(entrances, "nodeInDeno", "Node's edge in Deno"),
    ...on(inDeno, "nodeInDeno", "Node's edge in Deno").map(inDenoAs)
  ]
}
