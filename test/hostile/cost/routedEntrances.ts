/**
 * The entrances of servers that pass requests on to one another: a client of one of them asks for
 * sessions of the other, of servers that are not there, and of nobody.
 */
import { frame, text } from "../../bench/load/frames.ts"
import { sleep } from "../../bench/roles.ts"
import { type Entrance, OPENS, packets } from "./entrance.ts"
import {
  type Attack,
  chunkOf,
  EIO4,
  fragments,
  Line,
  openSession,
  openWebSocket,
  polling,
  pour,
  type Target,
  times,
  trickle,
  trickled,
  unwanted
} from "./traffic.ts"

const POLLING = "EIO=4&transport=polling"

const ORDINARY = `421["ack","${"x".repeat(36)}"]`

const SEPARATOR = "\u001e"

/** The first letters of a session's id, which name its server. */
const tagOf = (sid: string): string => sid.slice(0, 4)

const REST = "AAAAAAAAAAAAAAAA"

const get = (sid: string, method = "GET", ...headers: ReadonlyArray<string>): string =>
  [`${method} /socket.io/?${POLLING}&sid=${sid} HTTP/1.1`, "Host: a", ...headers, "", ""].join("\r\n")

const upgradeOf = (sid: string): string =>
  [
    `GET /socket.io/?${EIO4}&sid=${sid} HTTP/1.1`,
    "Host: a",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "",
    ""
  ].join("\r\n")

/** Tags that no server has. */
const MADE_UP = Array.from({ length: 4_000 }, (_, i) => `Z${i.toString(36).padStart(3, "0")}`)

/** The tag of the other server. */
const ownerOf = async (target: Target): Promise<string> => tagOf(await openSession(target, target.owner))

/** Asks again and again, `count` requests at once, over one connection until it is closed. */
const asking =
  (make: (target: Target) => Promise<(n: number) => string>, count = 1, isFresh = false): Attack =>
  async (target) => {
    const request = await make(target)
    let n = 0
    while (!target.isOver) {
      const line = new Line(target)
      target.lives++
      for (;;) {
        const requests = Array.from({ length: count }, () => request(n++)).join("")
        if (!(await line.ask([requests], count)) || isFresh || target.isOver) break
      }
      line.socket.resetAndDestroy()
    }
  }

const ofOwner =
  (request: (sid: string) => string) =>
  async (target: Target): Promise<(n: number) => string> => {
    const one = request((await ownerOf(target)) + REST)
    return () => one
  }

/** Polls of a session at the other server that are left as soon as they wait; another session for each. */
const leftPolls: Attack = async (target) => {
  while (!target.isOver) {
    const sid = await openSession(target, target.owner)
    const line = new Line(target)
    target.lives++
    const isAnswered = line.ask([get(sid)])
    await Promise.race([isAnswered, sleep(2)])
    line.socket.resetAndDestroy()
  }
}

/** A session of the other server, in a namespace, that changes to WebSocket at this one. */
const passedWebSocket =
  (traffic: Buffer, segment?: number): Attack =>
  async (target) => {
    while (!target.isOver) {
      const sid = await openSession(target, target.owner)
      const line = new Line(target)
      const asked = line.ask([get(sid, "POST", "Content-Type: text/plain", "Content-Length: 2"), "40"])
      if (!(await asked)) break
      await line.ask([get(sid)])
      line.socket.resetAndDestroy()
      const socket = await openWebSocket(target, `${EIO4}&sid=${sid}`, ["2probe"], /3probe/g, 1)
      if (socket === undefined) {
        await sleep(1)
        continue
      }
      socket.write(frame(1, "5"))
      if (segment === undefined) await pour(target, socket, traffic)
      else await trickle(target, socket, traffic, segment)
    }
  }

/** WebSockets that ask whether a session of the other server may change to them, and go. */
const passedProbes: Attack = async (target) => {
  const sid = await openSession(target, target.owner)
  while (!target.isOver) {
    const socket = await openWebSocket(target, `${EIO4}&sid=${sid}`, ["2probe"], /3probe/g, 1)
    if (socket === undefined) await sleep(1)
    else socket.resetAndDestroy()
  }
}

const bodyOf = (message: string): string => Array(9_999).fill(message).join(SEPARATOR)

const entrance = (name: string, transport: Entrance["transport"], attack: Attack, rest: Partial<Entrance> = {}) => ({
  name: `routing: ${name}`,
  transport,
  attack,
  host: "routed" as const,
  ...rest
})

/**
 * Node parses what it has read in one go: see the same of a server that passes nothing on.
 */
const ONE_READ = { slower: 10 } as const

/**
 * It is closed for what it sends. The bytes that pass through are outside of V8's heap: some outlive
 * two collections of young objects, and then waits for a full one.
 */
const PASSED = { ...OPENS, slower: 3 } as const

export const routedEntrances: ReadonlyArray<Entrance> = [
  entrance(
    "a session of no server, ever other ones",
    "handshake",
    asking(async () => (n) => get(MADE_UP[n % 4_000]! + REST), 20)
  ),
  entrance(
    "a session of no server, the same",
    "handshake",
    asking(async () => () => get(`ZZZZ${REST}`), 20)
  ),
  entrance("a session of nobody at another server", "handshake", times(2, asking(ofOwner(get), 20))),
  entrance(
    "a method that is unknown",
    "handshake",
    times(
      2,
      asking(
        ofOwner((sid) => get(sid, "DELETE")),
        20
      )
    )
  ),
  entrance(
    "many headers",
    "handshake",
    times(2, asking(ofOwner((sid) => get(sid, "GET", ...Array.from({ length: 900 }, (_, i) => `X-${i}: a`)))))
  ),
  entrance(
    "an upgrade of a session of no server, ever other ones",
    "handshake",
    times(
      8,
      asking(async () => (n) => upgradeOf(MADE_UP[n % 4_000]! + REST), 1, true)
    ),
    OPENS
  ),
  entrance(
    "an upgrade of a session of nobody at another server",
    "handshake",
    times(8, asking(ofOwner(upgradeOf), 1, true)),
    OPENS
  ),
  entrance(
    "a body without an end for a session of nobody, in chunks of one byte",
    "handshake",
    async (target) => {
      const sid = (await ownerOf(target)) + REST
      await times(2, unwanted(`POST /socket.io/?${POLLING}&sid=${sid}`))(target)
    },
    ONE_READ
  ),
  entrance(
    "a body without an end for a session of no server, in chunks of one byte",
    "handshake",
    times(2, unwanted(`POST /socket.io/?${POLLING}&sid=ZZZZ${REST}`)),
    ONE_READ
  ),
  entrance("acknowledged event, passed on", "polling", times(4, polling({ bodies: [ORDINARY], isAway: true }))),
  entrance(
    "acknowledged event, 10,000 in a body",
    "polling",
    polling({ bodies: [bodyOf('421["ack",1]')], isAway: true })
  ),
  entrance("pongs, 10,000 in a body", "polling", polling({ bodies: [bodyOf("3")], isAway: true })),
  entrance("empty body", "polling", times(4, polling({ bodies: [""], isAway: true })), OPENS),
  entrance(
    "chunks of one byte, a large body",
    "polling",
    times(
      4,
      polling({
        bodies: [`${"1\r\n4\r\n"}${"1\r\n3\r\n"}${"1\r\nx\r\n".repeat(100_000)}0\r\n\r\n`],
        isChunked: true,
        isAway: true
      })
    ),
    ONE_READ
  ),
  entrance(
    "chunks of one byte, a small body",
    "polling",
    times(
      4,
      polling({
        bodies: [`${Array.from(ORDINARY, (letter) => `1\r\n${letter}\r\n`).join("")}0\r\n\r\n`],
        isChunked: true,
        isAway: true
      })
    )
  ),
  entrance("200 bodies that come byte by byte", "polling", trickled(200, 20, true), { segment: 1 }),
  entrance("polls that are left", "connection", times(4, leftPolls), { isPerConnection: true }),
  entrance("acknowledged event over WebSocket", "websocket", passedWebSocket(packets(ORDINARY))),
  entrance("pongs over WebSocket", "websocket", passedWebSocket(packets("3"))),
  entrance("fragments of one byte over WebSocket", "websocket", passedWebSocket(chunkOf(fragments(ORDINARY, 1)))),
  entrance("pings of WebSocket", "websocket", passedWebSocket(chunkOf(frame(9, ""))), PASSED),
  entrance("WebSocket in segments of one byte", "websocket", passedWebSocket(packets(ORDINARY), 1), { segment: 1 }),
  entrance("probes of an upgrade", "connection", times(4, passedProbes), { isPerConnection: true }),
  entrance("text that is no packet, over WebSocket", "connection", times(4, passedWebSocket(chunkOf(text("x")))))
]
