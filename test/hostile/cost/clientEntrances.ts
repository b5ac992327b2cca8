/**
 * The entrances of a client: what a hostile server may send.
 */
import type { Entrance } from "./entrance.ts"
import { type Malice, serverFragments, serverFrame } from "./hostileServer.ts"

/** An event of 50 bytes, which it answers. */
const ORDINARY = `421["ask","${"x".repeat(36)}"]`

const repeat = (count: number, what: string, separator = ","): string => Array(count).fill(what).join(separator)

const OBJECTS = `[${repeat(330_000, "{}")}]`

const holders = (count: number): string =>
  Array.from({ length: count }, (_, num) => `{"_placeholder":true,"num":${num}}`).join(",")

/**
 * A client takes what its server sends as fast as it comes, and an application chooses its servers.
 * Others wait for one read of the smallest frames, or for one response of polling: 25 ms.
 */
const ONE_READ = { slower: 15 } as const

/** A client is attacked otherwise: see `malice`. */
const none = async (): Promise<void> => {}

const flood = (name: string, ...messages: ReadonlyArray<string | Buffer>): Entrance => ({
  ...ONE_READ,
  name: `client: WebSocket: ${name}`,
  transport: "websocket",
  attack: none,
  malice: { messages }
})

const frames = (name: string, ...messages: ReadonlyArray<Buffer>): Entrance => ({
  ...flood(name),
  malice: { messages, areFrames: true }
})

const large = (name: string, message: string, rest: Partial<Entrance> = {}): Entrance => ({
  ...flood(`large: ${name}`, message),
  isLarge: true,
  ...rest
})

const polls = (name: string, body: string, rest: Partial<Malice> = {}): Entrance => ({
  ...ONE_READ,
  name: `client: polling: ${name}`,
  transport: "polling",
  attack: none,
  malice: { messages: [body], isPolling: true, ...rest }
})

const many = (name: string, ...messages: ReadonlyArray<string>): Entrance =>
  polls(`${name}, 10,000 in a body`, repeat(Math.floor(9_999 / messages.length), messages.join("\u001e"), "\u001e"))

/**
 * See the entrances of servers: `JSON.parse` cannot be interrupted. A client makes no pause after a
 * large message of its server, so that another one may follow at once.
 */
const ONE_PARSE = { slower: 25 } as const

export const clientEntrances: ReadonlyArray<Entrance> = [
  { ...flood("event to answer", ORDINARY), isOrdinary: true },
  {
    ...large(
      "messages of a chat",
      `42["x",[${repeat(7_700, `{"id":100000,"from":"user1","text":"${"x".repeat(80)}"}`)}]]`
    ),
    transport: "large",
    isOrdinary: true
  },
  { ...polls("event to answer", ORDINARY), isOrdinary: true },

  flood("event that nobody reads", '42["nobody",1]'),
  flood("event of a contract", '42/chat,["say",{"room":"a","text":"b"}]'),
  flood("event that its schema refuses", '42/chat,["say",{"room":1}]'),
  flood("event that a contract does not know", '42/chat,["nobody",1]'),
  flood("event that is read", '42["x",1]'),
  flood("event to answer that nobody answers", '421["nobody",1]'),
  flood("event with an offset", '42["x","o12345678901234567890"]'),
  flood("acknowledgements of nothing", "43999[1]"),
  flood("CONNECT again", '40{"sid":"x"}'),
  flood("a refused CONNECT", '44/nothing,{"message":"x"}'),
  flood("DISCONNECT of nothing", "41/nothing,"),
  flood("event for a namespace that it is not in", '42/nothing,["x",1]'),
  flood("ten attachments", `4510-["x",[${holders(10)}]]`, ...Array.from({ length: 10 }, () => Buffer.of(1))),
  flood("nesting", `42["x",${"[".repeat(60)}${"]".repeat(60)}]`),
  flood("pings", "2"),
  flood("pongs", "3"),
  flood("noop", "6"),
  flood("upgrades", "5"),
  flood("open packets", `0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`),
  frames("pings of WebSocket", serverFrame(9, "")),
  frames("pongs of WebSocket", serverFrame(10, "")),
  frames("fragments of one byte", serverFragments(ORDINARY)),
  large("objects", `42["x",${OBJECTS}]`, ONE_PARSE),
  large("objects for nobody", `42["nobody",${OBJECTS}]`, ONE_PARSE),
  large("one string", `42["x","${"x".repeat(990_000)}"]`),
  large("an event to answer", `421["ask",${OBJECTS}]`, ONE_PARSE),

  many("event", '42["x",1]'),
  many("event of a contract", '42/chat,["say",{"room":"a","text":"b"}]'),
  many("event to answer", '421["ask",1]'),
  many("acknowledgements of nothing", "43999[1]"),
  many("pings", "2"),
  many("noop", "6"),
  polls("noop", "6"),
  polls("chunks of one byte", `42["x","${"x".repeat(100_000)}"]`, { isTrickled: true }),
  { ...polls("large: objects", `42["x",${OBJECTS}]`), isLarge: true, ...ONE_PARSE }
]
