/**
 * Every entrance of a server, and what comes in there: as data.
 */
import { frame, text } from "../../bench/load/frames.ts"
import { burstEntrances } from "./burstEntrances.ts"
import { clientEntrances } from "./clientEntrances.ts"
import { type Entrance, flood, offence, OPENS, packets, socket } from "./entrance.ts"
import { featureEntrances } from "./featureEntrances.ts"
import { routedEntrances } from "./routedEntrances.ts"
import {
  chunkOf,
  EIO4,
  fragments,
  leftSessions,
  leftWebSockets,
  polling,
  probes,
  requests,
  times,
  trickled,
  unwanted,
  webSocket
} from "./traffic.ts"
import { ordinaryOn, webEntrances } from "./webEntrances.ts"

const repeat = (count: number, what: string, separator = ","): string => Array(count).fill(what).join(separator)

/** An event of 50 bytes. */
const ORDINARY = `421["ack","${"x".repeat(36)}"]`

const OBJECTS = `[${repeat(330_000, "{}")}]`
/** Objects with arrays of 35 places, fifty in each other: they take fifty times as much as their text. */
const SPARSE = `[${repeat(2_700, `${'{"34":'.repeat(50)}0${"}".repeat(50)}`)}]`
const NUMBERS = `[${repeat(490_000, "1")}]`
const FRACTIONS = `[${repeat(100_000, "0.1234567")}]`
const LISTS = `[${repeat(330_000, "[]")}]`
const KEYS = `{${Array.from({ length: 80_000 }, (_, i) => `"k${i}":0`).join(",")}}`
const STRING = `"${"x".repeat(990_000)}"`
const ESCAPES = `"${"\\u00e9".repeat(160_000)}"`
const STRINGS = `[${repeat(240_000, '"x"')}]`

/** Messages of a chat. */
const CHAT = JSON.stringify(
  Array.from({ length: 7_700 }, (_, i) => ({
    id: 100_000 + i,
    from: `user${i % 50}`,
    text: "some words of a message, and some more of them",
    at: 1_732_812_345_678 + i
  }))
)

/**
 * `JSON.parse` cannot be interrupted, and V8 copies the objects that are there already whenever the
 * space for young ones is full in the midst of it. A megabyte of empty objects or lists is 330,000 of
 * them, of chat messages 7,700: it takes up to ten times as long. Nothing short of a refusal of such
 * payloads, which are legal, makes that less. One is read at a time, and a pause follows.
 */
const ONE_PARSE = { isLarge: true, slower: 15 } as const

const LARGE = { isLarge: true } as const

const NOISE = Buffer.alloc(1_000_000)

/**
 * What Node has read is parsed in one go, with a call for each part: a read is 64 KiB, which are
 * 11,000 chunks of one byte or 32,000 pongs, and take 10 ms. Others have their turn before the next.
 */
const ONE_READ = { slower: 10 } as const

const placeholder = (num: number): string => `{"_placeholder":true,"num":${num}}`

const holders = (count: number): string => Array.from({ length: count }, (_, num) => placeholder(num)).join(",")

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth)

/** The same, of a megabyte. */
const largeOffence = (name: string, packet: string, rest: Partial<Entrance>): Entrance => ({
  ...offence(name, text(packet)),
  ...rest
})

const overWebSocket: ReadonlyArray<Entrance> = [
  socket("acknowledged event", { traffic: packets(ORDINARY) }, { isOrdinary: true }),
  socket("open, join, event, close", { traffic: text(ORDINARY), once: true }, { isOrdinary: true }),

  flood("event without acknowledgement", "", '42["take",1]'),
  flood("event of a contract", "/chat,", '42/chat,1["items",[1]]'),
  flood("event that is unknown", "", '42["unknown",1]'),
  flood("event that a contract does not know", "/chat,", '42/chat,1["unknown",1]'),
  flood("payload that its schema refuses", "/chat,", '42/chat,1["join",{"room":1}]'),
  flood("payload refused, no acknowledgement", "/chat,", '42/chat,["say",{"room":1}]'),
  flood("handler that suspends", "", '421["brief",1]'),
  flood("handler that never gets done", "", '42["slow",1]'),
  flood("handler that dies", "", '42["die",1]'),
  flood("handler that dies, acknowledged", "", '421["die",1]'),
  flood("handler that fails", "", '42["fail",1]'),
  flood("acknowledgements of nothing", "", "43999[1]"),
  flood("acknowledgements with large ids", "", "439007199254740993[]"),

  flood("join and leave, static namespace", "", "40/chat,", "41/chat,"),
  flood("join and leave, dynamic namespace", "", "40/document/1,", "41/document/1,"),
  socket("join and leave, dynamic namespaces by other names", {
    traffic: packets(...Array.from({ length: 20_000 }, (_, i) => [`40/document/${i},`, `41/document/${i},`]).flat())
  }),
  offence("a second CONNECT", text("40")),
  flood("refused by middleware", "", '40/private,{"token":"x"}'),
  flood("refused by its schema", "", "40/private,{}"),
  flood("dynamic namespace whose parameter is refused", "", "40/document/x,"),
  { ...flood("namespace that is not there", "", "40/nothing,"), afterGrace: true },
  { ...flood("namespace that is not there, long", "", `40/${"n".repeat(2_000)},`), afterGrace: true },
  flood("auth of 15 KB of objects", "", `40/chat,{"a":[${repeat(5_000, "{}")}]}`, "41/chat,"),
  { ...flood("auth of 1 MB of objects", "", `40/chat,{"a":${OBJECTS}}`, "41/chat,"), ...LARGE },
  offence("disconnect of nothing", text("41/chat,")),

  flood("nesting that is allowed", "", `421["size",${nested(60)}]`),
  offence("nesting that is not", text(`421["size",${nested(100)}]`)),
  largeOffence("nesting of half a megabyte", `421["size",${nested(490_000)}]`, LARGE),
  socket("ten attachments", {
    traffic: chunkOf(
      text(`4510-1["size",[${holders(10)}]]`),
      ...Array.from({ length: 10 }, () => frame(2, Buffer.of(1)))
    )
  }),
  socket("one attachment", { traffic: chunkOf(text(`451-1["ack",${placeholder(0)}]`), frame(2, Buffer.alloc(40))) }),
  offence("placeholders of nothing", text(`451-["size",${placeholder(7)}]`), frame(2, Buffer.of(1))),
  offence("attachment that nothing refers to", text('451-["size",1]'), frame(2, Buffer.of(1))),
  offence(
    "one attachment, 1,000 placeholders",
    text(`451-1["ack",[${repeat(1_000, placeholder(0))}]]`),
    frame(2, Buffer.alloc(20_000))
  ),
  offence("bytes that nobody has announced", frame(2, Buffer.alloc(100))),
  offence("base64 in a text frame", text(`b${"QUFB".repeat(100)}`)),
  offence("text that is no packet", text("x")),
  largeOffence("JSON that is none, of a megabyte", `42["ack",${OBJECTS.slice(0, -1)}`, ONE_PARSE),
  offence("a frame that is too large", frame(1, "4".repeat(1_000_001)).subarray(0, 100)),
  offence("text that is no UTF-8", frame(1, Buffer.from([52, 50, 0xff, 0xff]))),

  {
    ...flood("large: messages of a chat", "", `421["size",${CHAT}]`),
    transport: "large",
    isOrdinary: true,
    isLarge: true
  },
  { ...flood("large: objects", "", `421["size",${OBJECTS}]`), ...ONE_PARSE },
  { ...flood("large: sparse objects", "", `421["size",${SPARSE}]`), ...ONE_PARSE },
  { ...flood("large: lists", "", `421["size",${LISTS}]`), ...ONE_PARSE },
  { ...flood("large: numbers", "", `421["size",${NUMBERS}]`), ...ONE_PARSE },
  { ...flood("large: fractions", "", `421["size",${FRACTIONS}]`), ...ONE_PARSE },
  { ...flood("large: keys", "", `421["size",${KEYS}]`), ...ONE_PARSE },
  { ...flood("large: one string", "", `421["size",${STRING}]`), ...LARGE },
  { ...flood("large: escapes", "", `421["size",${ESCAPES}]`), ...LARGE },
  { ...flood("large: strings", "", `421["size",${STRINGS}]`), ...ONE_PARSE },
  { ...flood("large: objects through a contract", "/chat,", `42/chat,1["items",${OBJECTS}]`), ...ONE_PARSE },
  {
    ...flood("large: objects through a contract that refuses them", "/chat,", `42/chat,1["join",${OBJECTS}]`),
    ...ONE_PARSE
  },
  { ...flood("large: for nobody", "", `42["unknown",${OBJECTS}]`), ...LARGE },
  { ...flood("large: echoed", "", `421["ack",${OBJECTS}]`), ...ONE_PARSE },
  socket("large: a binary attachment", {
    traffic: chunkOf(text(`451-1["size",${placeholder(0)}]`), frame(2, Buffer.alloc(990_000)))
  }),

  flood("pongs", "", "3"),
  offence("pings", text("2")),
  flood("upgrades", "", "5"),
  flood("noop", "", "6"),
  // It is closed when it does not take the answers.
  socket("pings of WebSocket", { traffic: chunkOf(frame(9, "")) }, OPENS),
  socket("pings of WebSocket, 125 bytes", { traffic: chunkOf(frame(9, "p".repeat(125))) }, OPENS),
  socket("pongs of WebSocket", { traffic: chunkOf(frame(10, "")) }),
  // It is read no further than 64 KiB, and dropped a second later.
  socket("much after a close frame", { traffic: Buffer.concat([frame(8, ""), NOISE]) }, OPENS),
  socket("much after an invalid frame", { traffic: Buffer.concat([Buffer.of(0xa1, 0x80, 0, 0, 0, 0), NOISE]) }, OPENS),
  socket("fragments of one byte", { traffic: chunkOf(fragments(ORDINARY, 1)) }),
  socket("fragments of one byte, a large message", { traffic: fragments(`421["size","${"x".repeat(100_000)}"]`, 1) }),
  socket("segments of 7 bytes", { traffic: packets(ORDINARY), segment: 7 }, { segment: 7 }),
  socket("segments of one byte", { traffic: packets(ORDINARY), segment: 1 }, { segment: 1 }),

  {
    name: "WebSocket: broadcast to a room of 10",
    transport: "websocket",
    attack: async (target) => {
      const join = { join: ["40/chat,", '42/chat,1["join",{"room":"a"}]'], reply: /43\/chat,1\[/g, replies: 1 }
      const members = times(10, webSocket({ ...join, traffic: Buffer.alloc(0), segment: 1 }))
      await Promise.all([
        members(target),
        webSocket({ ...join, traffic: packets('42/chat,["say",{"room":"a","text":"b"}]') })(target)
      ])
    }
  },
  flood("broadcast to nobody", "/chat,", '42/chat,["say",{"room":"b","text":"b"}]'),
  flood("join and leave a room", "/chat,", '42/chat,1["join",{"room":"a"}]', '42/chat,2["leave",{"room":"a"}]'),
  socket("join rooms by ever other names", {
    join: ["40/chat,"],
    traffic: packets(...Array.from({ length: 50_000 }, (_, i) => `42/chat,1["join",{"room":"r${i}"}]`))
  }),
  socket("join and leave rooms by other names", {
    join: ["40/chat,"],
    traffic: packets(
      ...Array.from({ length: 20_000 }, (_, i) => [
        `42/chat,1["join",{"room":"r${i}"}]`,
        `42/chat,2["leave",{"room":"r${i}"}]`
      ]).flat()
    )
  }),
  socket("Engine.IO 3: acknowledged event", {
    query: "EIO=3&transport=websocket",
    join: [],
    replies: 1,
    traffic: packets(ORDINARY)
  }),
  socket("Engine.IO 3: CONNECT with a query", {
    query: "EIO=3&transport=websocket",
    join: [],
    replies: 1,
    traffic: packets(`40/chat?${repeat(20, "a=b", "&")},`, "41/chat,")
  }),
  socket("Engine.IO 3: CONNECT with a long query", {
    query: "EIO=3&transport=websocket",
    join: [],
    replies: 1,
    traffic: packets(`40/chat?${repeat(5_000, "a=b", "&")},`, "41/chat,")
  }),
  socket("Engine.IO 3: pings", { query: "EIO=3&transport=websocket", join: [], replies: 1, traffic: packets("2") })
]

// ---------------------------------------------------------------- polling

const SEPARATOR = "\u001e"

const body = (count: number, ...messages: ReadonlyArray<string>): string =>
  repeat(Math.floor(count / messages.length), messages.join(SEPARATOR), SEPARATOR)

/** Bodies of many packets, in one session. */
const bodies = (name: string, join: string, ...messages: ReadonlyArray<string>): Entrance => ({
  name: `polling: ${name}, 10,000 in a body`,
  transport: "polling",
  attack: polling({ join, bodies: [body(9_999, ...messages)] })
})

const posts = (name: string, plan: Parameters<typeof polling>[0], rest: Partial<Entrance> = {}): Entrance => ({
  name: `polling: ${name}`,
  transport: "polling",
  attack: times(4, polling(plan)),
  ...rest
})

const EIO3 = "EIO=3&transport=polling"

const encode3 = (count: number, packet: string): string => `${packet.length}:${packet}`.repeat(count)

const form = "Content-Type: application/x-www-form-urlencoded\r\n"

const overPolling: ReadonlyArray<Entrance> = [
  posts("acknowledged event", { bodies: [ORDINARY] }, { isOrdinary: true }),
  posts("empty body", { bodies: [""] }, OPENS),
  posts("a packet that is none", { bodies: ["x"] }, OPENS),
  posts("a type that is unknown", { bodies: [ORDINARY], headers: "Content-Type: a/b\r\n" }),
  posts("large: objects", { bodies: [`421["size",${OBJECTS}]`] }, ONE_PARSE),
  posts("large: one string", { bodies: [`421["size",${STRING}]`] }, LARGE),
  posts("auth of objects", { bodies: [`40/chat,{"a":${OBJECTS}}${SEPARATOR}41/chat,`] }, LARGE),
  posts("10 attachments in base64", {
    bodies: [[`4510-1["size",[${holders(10)}]]`, ...Array(10).fill("bAQ==")].join(SEPARATOR)]
  }),
  posts("one attachment in base64, large", {
    bodies: [[`451-1["size",${placeholder(0)}]`, `b${"QUFB".repeat(240_000)}`].join(SEPARATOR)]
  }),
  bodies("acknowledged event", "40", '421["ack",1]'),
  bodies("event without acknowledgement", "40", '42["take",1]'),
  bodies("event of a contract", "40/chat,", '42/chat,1["items",[1]]'),
  bodies("payload refused", "40/chat,", '42/chat,1["join",{"room":1}]'),
  bodies("event that is unknown", "40", '42["unknown",1]'),
  bodies("handler that suspends", "40", '421["brief",1]'),
  bodies("handler that dies", "40", '42["die",1]'),
  bodies("handler that fails", "40", '42["fail",1]'),
  bodies("acknowledgements of nothing", "40", "43999[1]"),
  bodies("join and leave, static", "40", "40/chat,", "41/chat,"),
  bodies("join and leave, dynamic", "40", "40/document/1,", "41/document/1,"),
  {
    name: "polling: join and leave, dynamic, other names, 10,000 in a body",
    transport: "polling",
    attack: polling({
      bodies: [
        Array.from({ length: 4_999 }, (_, i) => `40/document/${i},${SEPARATOR}41/document/${i},`).join(SEPARATOR)
      ]
    })
  },
  bodies("refused by middleware", "40", "40/private,{}"),
  { ...bodies("namespace that is not there", "40", "40/nothing,"), afterGrace: true },
  bodies("broadcast to nobody", "40/chat,", '42/chat,["say",{"room":"b","text":"b"}]'),
  bodies("join and leave a room", "40/chat,", '42/chat,1["join",{"room":"a"}]', '42/chat,2["leave",{"room":"a"}]'),
  bodies("pongs", "40", "3"),
  bodies("noop", "40", "6"),
  {
    name: "polling: 100,000 packets in a body (one too many)",
    transport: "polling",
    attack: polling({ bodies: [body(100_000, "3")] })
  },
  posts(
    "chunks of one byte, a large body",
    {
      bodies: [`${"1\r\n4\r\n"}${"1\r\n3\r\n"}${"1\r\nx\r\n".repeat(100_000)}0\r\n\r\n`],
      isChunked: true
    },
    ONE_READ
  ),
  posts("chunks of one byte, a small body", {
    bodies: [`${Array.from(ORDINARY, (letter) => `1\r\n${letter}\r\n`).join("")}0\r\n\r\n`],
    isChunked: true
  }),
  {
    name: "polling: 200 bodies that come byte by byte",
    transport: "polling",
    attack: trickled(200, 20),
    segment: 1
  },
  posts("JSONP: acknowledged event", {
    query: "EIO=4&transport=polling&j=0",
    headers: form,
    join: `d=${encodeURIComponent("40")}`,
    bodies: [`d=${encodeURIComponent(ORDINARY)}`]
  }),
  posts(
    "JSONP: a large form",
    {
      query: "EIO=4&transport=polling&j=0",
      headers: form,
      join: `d=${encodeURIComponent("40")}`,
      bodies: [`d=${encodeURIComponent(`421["size","${"é".repeat(150_000)}"]`)}`]
    },
    LARGE
  ),
  posts(
    "JSONP: a form of many fields",
    {
      query: "EIO=4&transport=polling&j=0",
      headers: form,
      join: `d=${encodeURIComponent("40")}`,
      bodies: [`${"a=b&".repeat(200_000)}d=${encodeURIComponent(ORDINARY)}`]
    },
    LARGE
  ),
  posts("Engine.IO 3: acknowledged event", { query: EIO3, join: "", bodies: [encode3(1, ORDINARY)] }),
  {
    name: "polling: Engine.IO 3: acknowledged event, 10,000 in a body",
    transport: "polling",
    attack: polling({ query: EIO3, join: "", bodies: [encode3(9_999, '421["ack",1]')] })
  },
  {
    name: "polling: Engine.IO 3: CONNECT with a query, 5,000 in a body",
    transport: "polling",
    attack: polling({
      query: EIO3,
      join: "",
      bodies: [`${encode3(1, "40/chat?token=abcdefgh")}${encode3(1, "41/chat")}`.repeat(2_499)]
    })
  },
  posts("Engine.IO 3: binary", {
    query: EIO3,
    join: "",
    headers: "Content-Type: application/octet-stream\r\n",
    bodies: [
      Buffer.concat(Array.from({ length: 2_000 }, () => [Buffer.of(0, 1, 2, 255), Buffer.from('421["ack",1]')]).flat())
    ]
  })
]

// ---------------------------------------------------------------- requests

const get = (query: string, ...headers: ReadonlyArray<string>): string =>
  [`GET /socket.io/?${query} HTTP/1.1`, "Host: a", ...headers, "", ""].join("\r\n")

const POLLING = "EIO=4&transport=polling"

const ask = (name: string, request: string, count = 1, fresh = false): Entrance => ({
  name: `request: ${name}`,
  transport: "handshake",
  attack: times(fresh ? 8 : 2, requests({ requests: request.repeat(count), count, fresh })),
  ...(fresh ? OPENS : {})
})

const upgradeTo = (query: string, ...headers: ReadonlyArray<string>): string =>
  get(
    query,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ...headers
  )

const overHttp: ReadonlyArray<Entrance> = [
  { ...ask("a handshake over polling", get(POLLING)), isOrdinary: true },
  ask("handshakes over polling, 100 at once", get(POLLING), 100),
  ask("a handshake on a connection of its own", get(POLLING), 1, true),
  ask("a handshake with JSONP", get(`${POLLING}&j=1`)),
  { ...ask("a handshake of Engine.IO 3", get(EIO3)), ...OPENS },
  ask("a handshake over WebSocket", upgradeTo(EIO4), 1, true),
  ask("a handshake over WebSocket, Engine.IO 3", upgradeTo("EIO=3&transport=websocket"), 1, true),
  ask("a handshake with a long query", get(`${POLLING}&${repeat(2_000, "a=b", "&")}`)),
  ask("a handshake with many headers", get(POLLING, ...Array.from({ length: 900 }, (_, i) => `X-${i}: a`))),
  ask("a handshake with a long cookie", get(POLLING, `Cookie: ${repeat(1_500, "a=b", "; ")}`)),
  ask("refused: a version that is unknown", get("EIO=2&transport=polling")),
  ask("refused: a transport that is unknown", get("EIO=4&transport=x"), 20),
  ask("refused: a session that is unknown", get(`${POLLING}&sid=AAAAAAAAAAAAAAAAAAAA`), 20),
  ask("refused: a method that is unknown", get(POLLING).replace("GET", "DELETE"), 20),
  ask("refused: an upgrade of no session", upgradeTo(`${EIO4}&sid=AAAAAAAAAAAAAAAAAAAA`), 1, true),
  ask("refused: an upgrade to nothing", upgradeTo("EIO=4&transport=x"), 1, true),
  ask("refused: an upgrade without a key", get(EIO4, "Connection: Upgrade", "Upgrade: websocket"), 1, true),
  {
    ...ask("refused: no request", "x\r\n\r\n", 1, true),
    transport: "connection",
    isPerConnection: true
  },
  ask("refused: the shortest ones, 1,200 at once", "GET /socket.io/? HTTP/1.1\r\nHost:\r\n\r\n", 1_200),
  {
    name: "request: refused: a body without an end, in chunks of one byte",
    transport: "handshake",
    attack: times(2, unwanted(`POST /socket.io/?${POLLING}&sid=AAAAAAAAAAAAAAAAAAAA`)),
    ...ONE_READ
  },
  ask("preflight", get(POLLING, "Origin: https://good.example").replace("GET", "OPTIONS"), 20),
  ask(
    "preflight with many headers asked for",
    get(POLLING, "Origin: https://good.example", `Access-Control-Request-Headers: ${repeat(3_000, "x-a")}`).replace(
      "GET",
      "OPTIONS"
    )
  ),
  ask("another origin", get(`${POLLING}&sid=AAAAAAAAAAAAAAAAAAAA`, "Origin: https://evil.example"), 20),
  ask("a path of somebody else", get("").replace("/socket.io/?", "/nothing"), 20),
  ask("the client's file", "GET /socket.io/socket.io.min.js HTTP/1.1\r\nHost: a\r\n\r\n"),
  ask(
    "the client's file, compressed",
    "GET /socket.io/socket.io.js HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br\r\n\r\n"
  ),
  ask("the client's map", "GET /socket.io/socket.io.js.map HTTP/1.1\r\nHost: a\r\n\r\n"),
  ask(
    "the client's file, not modified",
    'GET /socket.io/socket.io.js HTTP/1.1\r\nHost: a\r\nIf-None-Match: "4.8.4"\r\n\r\n'
  ),
  ask("a client's file that is not there", "GET /socket.io/socket.io.nothing.js HTTP/1.1\r\nHost: a\r\n\r\n", 20),
  { name: "request: probes of an upgrade", transport: "connection", attack: times(4, probes) }
]

// ---------------------------------------------------------------- sessions that expire

/** Handshakes that nothing follows: what a session costs from its beginning to its end. */
const expiring: ReadonlyArray<Entrance> = [
  { ...ask("sessions over polling that are left to expire", get(POLLING)), expires: true },
  // They are in a namespace from the beginning, as the ordinary client that comes and goes is.
  { ...ask("sessions of Engine.IO 3 that are left to expire", get(EIO3)), ...OPENS, expires: true },
  {
    name: "polling: sessions in a namespace that are left to expire",
    transport: "connection",
    isPerConnection: true,
    expires: true,
    attack: times(4, leftSessions(["40"]))
  },
  {
    name: "polling: sessions that are left to expire in the midst of a POST",
    transport: "connection",
    isPerConnection: true,
    expires: true,
    attack: times(4, leftSessions(["40"], "42["))
  },
  {
    name: "WebSocket: sessions that are left to expire",
    transport: "connection",
    isPerConnection: true,
    expires: true,
    attack: times(4, leftWebSockets)
  }
]

const onNode: ReadonlyArray<Entrance> = [
  ...overWebSocket,
  ...overPolling,
  ...burstEntrances,
  ...overHttp,
  ...expiring,
  ...featureEntrances
]

export const entrances: ReadonlyArray<Entrance> = [
  ...onNode,
  ...ordinaryOn(onNode, "routed", "routing"),
  ...routedEntrances,
  ...webEntrances(onNode),
  ...clientEntrances
]
