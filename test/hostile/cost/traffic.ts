/**
 * The traffic of an attacker, over bare TCP sockets: as cheap as it can be, so that it is not the limit.
 * Its messages are made beforehand, and the answers are dropped.
 */
import { readFileSync } from "node:fs"
import * as Net from "node:net"

import { frame } from "../../bench/load/frames.ts"
import { sleep } from "../../bench/roles.ts"
import type { Ports } from "./hosts.ts"

/** What a connection has given to the kernel, in bytes. */
const given = (socket: Net.Socket): number => {
  const { _bytesDispatched: dispatched = 0, _handle: handle } = socket as Net.Socket & {
    readonly _bytesDispatched?: number
    readonly _handle?: { readonly writeQueueSize: number } | null
  }
  return dispatched - (handle?.writeQueueSize ?? 0)
}

/**
 * What the kernel holds of connections with this port that was not read, in bytes; 0 where it does
 * not say.
 */
export const unread = (port: number): number => {
  let bytes = 0
  try {
    for (const line of readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1)) {
      const [, local = "", remote = "", , queues = ""] = line.trim().split(/\s+/)
      const [sending = "0", received = "0"] = queues.split(":")
      const ends = [local, remote].map((address) => Number.parseInt(address.slice(9), 16))
      if (ends.includes(port)) bytes += Number.parseInt(received, 16) + Number.parseInt(sending, 16)
    }
  } catch {}
  return bytes
}

/** The server that is attacked, for as long as it is. */
export class Target {
  readonly port: number
  /** The port of another server, whose sessions it knows. */
  readonly owner: number
  isOver = false
  /** How often a connection or a session was opened. */
  lives = 0
  /** Steps that have failed. */
  problem: string | undefined
  private readonly sockets = new Set<Net.Socket>()
  private closedBytes = 0

  constructor({ owner, port }: Ports) {
    this.port = port
    this.owner = owner ?? port
  }

  connect(port = this.port): Net.Socket {
    const socket = Net.connect({ port, host: "127.0.0.1", noDelay: true })
    this.sockets.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => {
      this.sockets.delete(socket)
      this.closedBytes += given(socket)
    })
    return socket
  }

  /**
   * The bytes that the server has read. What was on its way to it when a connection ended counts as
   * read.
   */
  get taken(): number {
    let bytes = this.closedBytes
    for (const socket of this.sockets) bytes += given(socket)
    return bytes - unread(this.port)
  }

  /** Ends every connection: what is on its way to the server is lost. */
  reset(): void {
    for (const socket of this.sockets) socket.resetAndDestroy()
  }

  /** Ends all of it. */
  end(): void {
    this.isOver = true
    this.reset()
  }
}

/** Attacks until it is over. */
export type Attack = (target: Target) => Promise<void>

export const closed = (socket: Net.Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed) resolve()
    else socket.once("close", () => resolve())
  })

/** The same a number of times at once. */
export const times =
  (count: number, attack: Attack): Attack =>
  async (target) => {
    await Promise.all(Array.from({ length: count }, () => attack(target)))
  }

const CHUNK = 65_536

/** As many of them as make a chunk: a socket takes them at once. */
export const chunkOf = (...messages: ReadonlyArray<Buffer>): Buffer => {
  const one = Buffer.concat(messages)
  return one.length >= CHUNK ? one : Buffer.concat(Array.from({ length: Math.ceil(CHUNK / one.length) }, () => one))
}

/** A text message in frames of `size` bytes. */
export const fragments = (message: string, size: number): Buffer => {
  const frames: Array<Buffer> = []
  for (let at = 0; at < message.length; at += size) {
    const part = frame(at === 0 ? 1 : 0, message.slice(at, at + size))
    if (at + size < message.length) part[0]! &= 0x7f
    frames.push(part)
  }
  return Buffer.concat(frames)
}

/** Writes until the connection is closed, as much as it takes. */
export const pour = async (target: Target, socket: Net.Socket, bytes: Buffer): Promise<void> => {
  const send = () => {
    while (!target.isOver && socket.writable && socket.write(bytes)) continue
  }
  socket.on("drain", send)
  send()
  await closed(socket)
}

/** After so many segments it looks whether it is over: writes that succeed at once give nobody else a turn. */
const SEGMENTS = 32

/** Writes until the connection is closed, in segments of `size` bytes. */
export const trickle = async (target: Target, socket: Net.Socket, bytes: Buffer, size: number): Promise<void> => {
  if (bytes.length === 0) return closed(socket)
  for (let at = 0; !target.isOver && socket.writable;) {
    for (let i = 0; i < SEGMENTS; i++) {
      socket.write(bytes.subarray(at, at + size))
      at = at + size >= bytes.length ? 0 : at + size
    }
    await new Promise(setImmediate)
    while (socket.writableNeedDrain && !target.isOver && !socket.destroyed) await sleep(1)
  }
}

export const EIO4 = "EIO=4&transport=websocket"

const upgradeRequest = (query: string): string =>
  `GET /socket.io/?${query} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

/**
 * A WebSocket whose server has sent `replies` times what matches; `undefined` if it was closed
 * before.
 */
export const openWebSocket = (
  target: Target,
  query: string,
  join: ReadonlyArray<string>,
  reply: RegExp,
  replies: number
): Promise<Net.Socket | undefined> =>
  new Promise((resolve) => {
    const socket = target.connect()
    target.lives++
    let text = ""
    const take = (chunk: Buffer) => {
      text += chunk.toString("latin1")
      if ((text.match(reply)?.length ?? 0) < replies) return
      socket.off("data", take)
      socket.resume()
      resolve(socket)
    }
    socket.on("data", take)
    socket.once("close", () => {
      if (!text.startsWith("HTTP/1.1 101") && !target.isOver) target.problem ??= text.slice(0, 80)
      resolve(undefined)
    })
    socket.write(upgradeRequest(query))
    // Bun takes what comes before its answer for another request.
    if (join.length > 0) socket.once("data", () => socket.write(Buffer.concat(join.map((packet) => frame(1, packet)))))
  })

export interface WebSocketPlan {
  readonly query?: string
  /** The packets that it sends first. */
  readonly join?: ReadonlyArray<string>
  /** The answers to these, and how often they come. Default: an id for each, and the session's. */
  readonly reply?: RegExp
  readonly replies?: number
  /** The packets that it sends then. */
  readonly traffic: Buffer
  /** Whether it is sent once, after which the connection is closed, or again and again. */
  readonly once?: boolean
  /** Sent in segments of so many bytes. */
  readonly segment?: number
}

/** A WebSocket; when it is closed, another one. */
export const webSocket =
  (plan: WebSocketPlan): Attack =>
  async (target) => {
    const { join = ["40"], query = EIO4, reply = /"sid":/g, segment, traffic } = plan
    const { replies = join.length + 1 } = plan
    while (!target.isOver) {
      const socket = await openWebSocket(target, query, join, reply, replies)
      if (socket === undefined) {
        await sleep(1)
      } else if (segment !== undefined) {
        await trickle(target, socket, traffic, segment)
      } else if (plan.once === true) {
        const answered = new Promise<void>((resolve) => socket.once("data", () => resolve()))
        socket.write(traffic)
        await Promise.race([closed(socket), answered])
        socket.resetAndDestroy()
      } else {
        await pour(target, socket, traffic)
      }
    }
  }

/** One connection for requests, whose responses it counts. */
export class Line {
  readonly socket: Net.Socket
  private head = ""
  private rest = 0
  private missing = 0
  private statuses: Array<number> = []
  private body = ""
  private resolve: ((answered: boolean) => void) | undefined

  constructor(target: Target, port = target.port) {
    this.socket = target.connect(port)
    this.socket.on("data", (chunk) => this.take(chunk))
    this.socket.on("close", () => this.resolve?.(false))
  }

  /** The statuses of the last responses. */
  get lastStatuses(): ReadonlyArray<number> {
    return this.statuses
  }

  /** The beginning of the last response's body. */
  get lastBody(): string {
    return this.body
  }

  /**
   * Writes requests, and waits for `count` responses; false if the connection was closed before.
   */
  ask(bytes: ReadonlyArray<Buffer | string>, count = 1): Promise<boolean> {
    if (this.socket.destroyed) return Promise.resolve(false)
    this.missing = count
    this.statuses = []
    return new Promise((resolve) => {
      this.resolve = resolve
      this.socket.cork()
      for (const part of bytes) this.socket.write(part)
      this.socket.uncork()
    })
  }

  private take(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.rest > 0) {
        const taken = Math.min(this.rest, chunk.length - at)
        if (this.body.length < 500) this.body += chunk.toString("latin1", at, at + Math.min(taken, 500))
        this.rest -= taken
        at += taken
      } else {
        const seen = this.head.length
        this.head += chunk.toString("latin1", at)
        const end = this.head.indexOf("\r\n\r\n")
        if (end < 0) return
        at += end + 4 - seen
        this.rest = Number(/\r\ncontent-length: *(\d+)/i.exec(this.head.slice(0, end))?.[1] ?? 0)
        this.statuses.push(Number(this.head.slice(9, 12)))
        this.head = ""
        this.body = ""
      }
      if (this.rest === 0 && --this.missing === 0) this.resolve?.(true)
    }
  }
}

export interface PollingPlan {
  readonly query?: string
  readonly join?: string
  /** The bodies that are posted, in turns. */
  readonly bodies: ReadonlyArray<Buffer | string>
  /** Lines of the head. Default: that it is text. */
  readonly headers?: string
  /** The body comes as it stands, in chunks of HTTP. */
  readonly isChunked?: boolean
  /** A session is asked for one more thing: nothing, once, as it is closed then. */
  readonly once?: boolean
  /** The session is at the other server. */
  readonly isAway?: boolean
}

export const TEXT = "Content-Type: text/plain;charset=UTF-8\r\n"

/** A session over polling; when it has ended, another one. */
export const polling =
  (plan: PollingPlan): Attack =>
  async (target) => {
    const { bodies, headers = TEXT, isChunked = false, join = "40", query = "EIO=4&transport=polling" } = plan
    const raw = bodies.map((body) => Buffer.from(body))
    let n = 0
    while (!target.isOver) {
      const [posts, polls] = [new Line(target), new Line(target)]
      const handshake = plan.isAway === true ? new Line(target, target.owner) : posts
      target.lives++
      await handshake.ask([`GET /socket.io/?${query} HTTP/1.1\r\nHost: a\r\n\r\n`])
      const sid = /"sid":"([\w-]+)"|\\"sid\\":\\"([\w-]+)/.exec(handshake.lastBody)
      const { lastBody, lastStatuses } = handshake
      if (handshake !== posts) handshake.socket.resetAndDestroy()
      if (sid === null) {
        if (!target.isOver) target.problem ??= `no session: ${lastStatuses.join()} ${lastBody.slice(0, 60)}`
        await sleep(1)
        continue
      }
      const path = `/socket.io/?${query}&sid=${sid[1] ?? sid[2]!} HTTP/1.1\r\nHost: a\r\n`
      const post = (body: Buffer, head: string, chunked = false) =>
        posts.ask([
          `POST ${path}${head}${chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`}\r\n\r\n`,
          body
        ])
      if (join !== "") await post(Buffer.from(join), headers)
      void (async () => {
        while (!target.isOver && (await polls.ask([`GET ${path}\r\n`])) && polls.lastStatuses[0] === 200) continue
      })()
      while (!target.isOver && (await post(raw[n++ % raw.length]!, headers, isChunked))) {
        if (posts.lastStatuses[0] !== 200 || plan.once === true) break
      }
      posts.socket.resetAndDestroy()
      polls.socket.resetAndDestroy()
    }
  }

export interface RequestsPlan {
  /** Requests, as they go over the wire. */
  readonly requests: string
  /** How many these are. */
  readonly count?: number
  /** Whether each time on a connection of its own. */
  readonly fresh?: boolean
}

/** Requests over one connection; when it is closed, another one. */
export const requests =
  ({ count = 1, fresh = false, requests }: RequestsPlan): Attack =>
  async (target) => {
    const bytes = Buffer.from(requests)
    while (!target.isOver) {
      const line = new Line(target)
      target.lives++
      while (await line.ask([bytes], count)) {
        if (fresh || target.isOver) break
      }
      line.socket.resetAndDestroy()
    }
  }

/** Opens a session over polling, on a connection of its own. Returns its id. */
export const openSession = async (target: Target, port = target.port): Promise<string> => {
  const line = new Line(target, port)
  await line.ask(["GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"])
  line.socket.resetAndDestroy()
  const sid = /"sid":"([\w-]+)"/.exec(line.lastBody)?.[1]
  if (sid === undefined && !target.isOver) target.problem ??= `no session: ${line.lastBody.slice(0, 60)}`
  return sid ?? ""
}

/**
 * Requests whose bodies come byte by byte, one each `pause` milliseconds on each of many
 * connections.
 */
export const trickled =
  (connections: number, pause: number, isAway = false): Attack =>
  async (target) => {
    const lines: Array<Net.Socket> = []
    for (let i = 0; i < connections && !target.isOver; i++) {
      const line = new Line(target)
      const sid = await openSession(target, isAway ? target.owner : target.port)
      line.socket.write(
        `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\n${TEXT}Content-Length: 100000\r\n\r\n4`
      )
      lines.push(line.socket)
    }
    target.lives = lines.length
    while (!target.isOver) {
      for (const line of lines) line.write("x")
      await sleep(pause)
    }
  }

/** A client that starts a stream, and reads it from its start without waiting for its values. */
export const readAgain: Attack = async (target) => {
  while (!target.isOver) {
    const socket = await openWebSocket(target, EIO4, ["40/streams,"], /"sid":/g, 2)
    if (socket === undefined) {
      await sleep(1)
      continue
    }
    const id = new Promise<string | undefined>((resolve) => {
      let text = ""
      socket.once("close", () => resolve(undefined))
      socket.on("data", (chunk: Buffer) => {
        if (text.length < 1_000) text += chunk.toString("latin1")
        const found = /"stream":"([^"]+)"/.exec(text)
        if (found !== null) resolve(found[1]!)
      })
    })
    socket.write(frame(1, '42/streams,1["long"]'))
    const stream = await id
    if (stream === undefined) continue
    await pour(target, socket, chunkOf(frame(1, `42/streams,1["long:read",{"stream":"${stream}","after":0}]`)))
  }
}

/** A request with a body that has no end, in chunks of one byte; when it is closed, another one. */
export const unwanted =
  (request: string): Attack =>
  async (at) => {
    const chunks = Buffer.from("1\r\nx\r\n".repeat(10_000))
    while (!at.isOver) {
      const socket = at.connect()
      at.lives++
      socket.resume()
      socket.write(`${request} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`)
      await pour(at, socket, chunks)
    }
  }

/**
 * WebSockets that ask whether a session may change to them, and go: of one session, which goes on.
 */
export const probes: Attack = async (target) => {
  const line = new Line(target)
  await line.ask(["GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"])
  const sid = /"sid":"([\w-]+)"/.exec(line.lastBody)?.[1]
  while (!target.isOver) {
    const socket = await openWebSocket(target, `${EIO4}&sid=${sid}`, ["2probe"], /3probe/g, 1)
    if (socket === undefined) await sleep(1)
    else socket.resetAndDestroy()
  }
}

/** Sessions over polling that post something, perhaps begin to post something else, and stay away then. */
export const leftSessions =
  (posts: ReadonlyArray<string>, begun?: string): Attack =>
  async (target) => {
    const line = new Line(target)
    while (!target.isOver) {
      await line.ask(["GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"])
      const sid = /"sid":"([\w-]+)"/.exec(line.lastBody)?.[1]
      target.lives++
      const head = `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\n${TEXT}Content-Length: `
      for (const body of posts) await line.ask([`${head}${body.length}\r\n\r\n${body}`])
      if (begun !== undefined) target.connect().write(`${head}${begun.length + 9}\r\n\r\n${begun}`)
    }
  }

/** WebSockets that join, and never answer a ping. */
export const leftWebSockets: Attack = async (target) => {
  while (!target.isOver) await openWebSocket(target, EIO4, ["40"], /"sid":/g, 2)
}

/**
 * A WebSocket that sends a message `count` times, and again when all of these are answered: platforms
 * that read on, and close a connection of which too much waits, are given no more.
 */
export const answered =
  (message: Buffer, count: number): Attack =>
  async (target) => {
    const bytes = Buffer.concat(Array.from({ length: count }, () => message))
    while (!target.isOver) {
      const socket = await openWebSocket(target, EIO4, ["40"], /"sid":/g, 2)
      if (socket === undefined) {
        await sleep(1)
        continue
      }
      let answers = 0
      socket.on("data", (chunk: Buffer) => {
        answers += chunk.toString("latin1").match(/431\[/g)?.length ?? 0
        if (answers < count) return
        answers = 0
        if (!target.isOver) socket.write(bytes)
      })
      socket.write(bytes)
      await closed(socket)
    }
  }
