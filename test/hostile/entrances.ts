/**
 * Attacks that take more than one message, or none: on what is kept for a client, and on how its
 * requests come.
 */
import * as Net from "node:net"

import { request, within } from "../support/RawClient.ts"
import type { Attack } from "./attack.ts"

/** The purpose of a session over polling. */
interface Session {
  readonly target: string
  readonly path: string
  /** Posts a body; gives the status of the response, or 0 if there is none. */
  readonly post: (body: string) => Promise<number>
}

/** Uses a session over polling, and ends it. */
export const inSession = async (
  attack: Attack,
  use: (session: Session) => Promise<void>,
  at = attack.url,
  owner = at
): Promise<void> => {
  const query = "/socket.io/?EIO=4&transport=polling"
  const sid = /"sid":"([\w-]+)"/.exec((await request(`${owner}${query}`)).body)![1]!
  const url = `${at}${query}&sid=${sid}`
  const post = (body: string) =>
    request(url, { method: "POST", body, headers: { "content-type": "text/plain;charset=UTF-8" } }).then(
      ({ status }) => status,
      () => 0
    )
  await post("40\u001e40/typed,")
  await use({ target: url, path: url.slice(at.length), post })
  await post("1")
}

/** Bytes over a TCP connection of their own, which is reset in the end. */
export const wire = async (url: string, use: (socket: Net.Socket) => Promise<void>): Promise<void> => {
  const { hostname, port } = new URL(url)
  const socket = Net.connect({ host: hostname, port: Number(port) })
  socket.on("error", () => {})
  await use(socket)
  socket.resetAndDestroy()
}

export const upgradeOf = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

export const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, millis)
  })

const poll = async (target: string): Promise<void> => {
  while ((await request(target).catch(() => undefined))?.status === 200) continue
}

/** A frame that joins the namespace, with a mask of zeros. */
const JOIN = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30])

const STATUSES = new Set([0, 200, 400, 413])

const insistOn = (status: number, what: string): void => {
  if (!STATUSES.has(status)) throw new Error(`${what} was answered with ${status}`)
}

/** A POST that comes in pieces, or not as a whole. */
export const postInPieces = async ({ generator }: Attack, path: string, socket: Net.Socket): Promise<void> => {
  const isChunked = generator.chance(0.5)
  const body = generator.chance(0.5) ? generator.body() : `42["echo","${"x".repeat(generator.size(10))}"]`
  const length = Buffer.byteLength(body) + (generator.chance(0.3) ? generator.below(100) : 0)
  const head = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${length}`
  const responded = new Promise<void>((resolve) => {
    socket.once("data", () => resolve())
    socket.once("close", () => resolve())
  })
  socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n${head}\r\n\r\n`)
  for (let at = 0; at < body.length;) {
    const piece = Buffer.from(body.slice(at, (at += generator.size(6))))
    const size = generator.chance(0.99) ? piece.length.toString(16) : generator.text()
    socket.write(isChunked ? Buffer.concat([Buffer.from(`${size}\r\n`), piece, Buffer.from("\r\n")]) : piece)
    if (generator.chance(0.1)) await pause(1)
    if (generator.chance(0.01)) return
  }
  // One that is not ended may wait for more, and is reset.
  if (generator.chance(0.2)) return
  socket.end(isChunked ? "0\r\n\r\n" : "")
  if (generator.chance(0.5)) await within("response to a POST", responded)
}

export type Entrances = Readonly<Record<string, (attack: Attack, count: number) => Promise<unknown>>>

/**
 * Each attacks a number of times. Whether what it sends is taken or refused is the server's
 * business; that it lives is not.
 */
export const entrances: Entrances = {
  "auth payloads of every size": (attack, count) =>
    attack.concurrently(count, async () => {
      const { generator } = attack
      const namespaces = generator.times(5, () => generator.pick(["/room/1,", "/room/2,", "/pair/a-b-c,", "/none,"]))
      await attack.offer([...new Set(namespaces)].map((namespace) => `40${namespace}${generator.auth()}`))
    }),

  "attachments, and placeholders for them": (attack, count) =>
    attack.concurrently(count, async () => {
      await attack.offer(attack.generator.binary())
    }),

  "bodies of thousands of packets": (attack, count) =>
    attack.concurrently(count, () =>
      inSession(attack, async ({ post, target }) => {
        // Somebody takes what comes back, until the session has ended, or nobody does.
        const polling = attack.generator.chance(0.7) ? poll(target) : undefined
        for (let i = 0; i < 3; i++) insistOn(await post(attack.generator.packets()), "a body")
        await post("1")
        await polling
      })
    ),

  "frames of WebSocket in any order": (attack, count) =>
    attack.concurrently(count, () =>
      wire(attack.url, async (socket) => {
        const { generator } = attack
        const responded = new Promise<void>((resolve) => {
          socket.once("data", () => resolve())
        })
        socket.write(upgradeOf("/socket.io/?EIO=4&transport=websocket"))
        await within("response to an upgrade", responded)
        if (generator.chance(0.7)) socket.resume()
        const frames = Buffer.concat([JOIN, generator.frames(true)])
        for (let at = 0; at < frames.length;) {
          socket.write(frames.subarray(at, (at += generator.size(17))))
          if (generator.chance(0.1)) await pause(1)
        }
        await pause(generator.below(30))
      })
    ),

  "names with several parameters": (attack, count) =>
    attack.concurrently(count, async () => {
      const names = [...new Set(attack.generator.times(10, () => attack.generator.pair()))]
      await attack.offer(names.map((name) => `40${name},`))
    }),

  "rooms by many names": (attack, count) =>
    attack.concurrently(count, async () => {
      const { generator } = attack
      const rooms = Array.from({ length: generator.size(11) }, () => generator.room())
      await attack.offer(rooms.map((room) => `42${JSON.stringify([generator.chance(0.9) ? "join" : "leave", room])}`))
    }),

  "queries of clients of Socket.IO 2": (attack, count) =>
    attack.concurrently(count, async () => {
      const { generator } = attack
      const namespace = generator.pick(["/room/1", "/pair/a-b-c", "/none", "/"])
      await attack.offer([`40${namespace}?${generator.legacyQuery()},`], "3")
    }),

  "polls whose responses are not read": (attack, count) =>
    attack.concurrently(count, () =>
      inSession(attack, async ({ path, post }) => {
        const { generator } = attack
        const text = "x".repeat(generator.size(18))
        for (let i = generator.below(8); i >= 0; i--) insistOn(await post(`421["echo","${text}"]`), "a body")
        await wire(attack.url, async (socket) => {
          socket.pause()
          socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
          await pause(generator.below(50))
          if (generator.chance(0.3)) socket.resume()
        })
      })
    ),

  "posts that come in pieces, or not at all": (attack, count) =>
    attack.concurrently(count, () =>
      inSession(attack, ({ path }) => wire(attack.url, (socket) => postInPieces(attack, path, socket)))
    ),

  "headers of origins and proxies": (attack, count) =>
    attack.queries(count, 50, () =>
      ["Access-Control-Request-Headers", "Origin", "X-Forwarded-For", "Cookie", "Access-Control-Request-Method"]
        .filter(() => attack.generator.chance(0.4))
        .map((name) => `${name}: ${attack.generator.header()}`)
    )
}
