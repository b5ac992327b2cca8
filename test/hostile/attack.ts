/**
 * Attacks over real connections, on a server in a process of its own.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"

import { io, type Socket } from "socket.io-client"
import { WebSocket } from "ws"

import { request, within } from "../support/RawClient.ts"
import type { Runtime } from "../support/runtimePrograms.ts"
import { Generator } from "./generators.ts"

/** The memory of the server, and its logged bugs. */
export interface Census {
  readonly bugs: ReadonlyArray<string>
  /** Heap and buffers in use, in bytes. */
  readonly memory: number
  readonly sessions: number
}

/** Where the servers of the process listen. */
interface Listening {
  readonly listening: string
  readonly features?: string
  readonly owner?: string
  readonly limited?: string
}

/** How long the server may take to close whom it closes, or to answer whom it does not, in milliseconds. */
const PATIENCE = 1_000

/** How long a busy machine may add to that. */
const LATITUDE = 4_000

/** A part of a query as it goes over the wire: not every byte is one that a character has. Node itself refuses heads that are too long. */
const encode = (text: string, generator: Generator): string =>
  Array.from(Buffer.from(text.slice(0, 500)), (byte) =>
    /[\w.~-]/.test(String.fromCharCode(byte)) || generator.chance(0.02)
      ? String.fromCharCode(byte).replace(/[^\x21-\x7e]|[#&=+]/, "%ff")
      : `%${byte.toString(16).padStart(2, "0")}`
  ).join("")

const METHODS = ["GET", "GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]

const STATUSES = new Set([200, 204, 400, 404, 413, 500])

/** A session that was opened over polling. */
interface Opened {
  readonly eio: string
  readonly sid: string
}

interface Answer {
  readonly status: number
  readonly opened: Opened | undefined
}

/** The session that a response opens: as text, with its length before it in revision 3, or as a script. */
const openedBy = (body: string): Opened | undefined => {
  const opened = /^(?:___eio\[\d*\]\(")?(\d+:)?0\{\\?"sid\\?":\\?"([\w-]+)/.exec(body)
  return opened === null ? undefined : { eio: opened[1] === undefined ? "4" : "3", sid: opened[2]! }
}

export class Attack {
  readonly url: string
  /** A server of the same process that has everything on request, and one that it passes requests on to. */
  readonly features: string
  readonly owner: string
  /** One that takes few connections. */
  readonly limited: string
  readonly generator: Generator
  private readonly child: ChildProcess
  private readonly bystander: Socket
  private asked = 0
  private bystanderLost: string | undefined

  private constructor(child: ChildProcess, { features, limited, listening, owner }: Listening, seed: number) {
    const url = /http:\/\/[\d.:]+/.exec(listening)![0]
    this.child = child
    this.url = url
    this.features = features ?? url
    this.owner = owner ?? url
    this.limited = limited ?? url
    this.generator = new Generator(seed)
    this.bystander = io(url, { transports: ["websocket"], reconnection: false })
    this.bystander.on("disconnect", (reason) => (this.bystanderLost = reason))
  }

  /** Attacks a server on Node, or on another runtime. */
  static async start(
    seed: number,
    { command }: Pick<Runtime, "command"> = { command: [process.execPath] }
  ): Promise<Attack> {
    const [program, ...args] = command
    const entry = fileURLToPath(new URL("server.ts", import.meta.url))
    const child = spawn(program!, [...args, entry], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
    const [listening] = (await within("start of the server", once(child, "message"), 20_000)) as [Listening]
    const attack = new Attack(child, listening, seed)
    await within("connection of the bystander", once(attack.bystander as any, "connect"))
    return attack
  }

  async stop(): Promise<void> {
    this.bystander.disconnect()
    if (this.child.exitCode !== null) return
    this.child.kill("SIGKILL")
    await once(this.child, "exit")
  }

  /** The server lives, and its well-behaved client has its answers. */
  async check(): Promise<void> {
    if (this.child.exitCode !== null) throw new Error(`the server has ended with ${this.child.exitCode}`)
    if (this.bystanderLost !== undefined) throw new Error(`the bystander was disconnected: ${this.bystanderLost}`)
    const n = this.asked++
    const answer: unknown = await this.bystander.timeout(PATIENCE + LATITUDE).emitWithAck("echo", n)
    if (answer !== n) throw new Error(`the bystander got ${String(answer)} for ${n}`)
  }

  async census(): Promise<Census> {
    this.child.send("census")
    const [census] = (await within("census", once(this.child, "message"), 20_000)) as [Census]
    return census
  }

  /** The memory of the server when all but the bystander have left. */
  async rest(): Promise<Census> {
    for (let i = 0; ; i++) {
      const census = await this.census()
      if (census.sessions === 1 || i === 500) return census
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  // ---------------------------------------------------------------- entrances

  /**
   * Requests whose queries, methods and headers are generated, many on each connection; `more` of these come from elsewhere. Gives how
   * often each status came.
   */
  async queries(
    count: number,
    perConnection = 50,
    more: () => ReadonlyArray<string> = () => []
  ): Promise<Map<number, number>> {
    const statuses = new Map<number, number>()
    const { generator } = this
    const connection = async (size: number) => {
      const lines = Array.from({ length: size }, () => {
        const query = generator
          .query("AAAAAAAAAAAAAAAAAAAA")
          .map(([name, value]) => `${encode(name, generator)}=${encode(value, generator)}`)
          .join(generator.chance(0.95) ? "&" : ";")
        const headers = generator.times(2, () =>
          generator.pick(["Origin: null", "Origin: https://evil.example", "Cookie: io=1", "Content-Type: x", "X-A: b"])
        )
        const path = generator.chance(0.97) ? "/socket.io/" : generator.pick(["/socket.io", "/socket.io//", "/%2e%2e/"])
        // None waits for what comes: HEAD has no body, and the others say that they have none.
        return [
          `${generator.pick(METHODS)} ${path}?${query} HTTP/1.1`,
          "Host: a",
          "Content-Length: 0",
          ...headers,
          ...more(),
          "",
          ""
        ].join("\r\n")
      })
      const answered = await this.pipeline(lines, size)
      for (const { status } of answered) {
        if (!STATUSES.has(status)) throw new Error(`a request was answered with ${status}: ${lines.join("")}`)
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      }
      await this.leave(answered.flatMap(({ opened }) => (opened === undefined ? [] : [opened])))
    }
    const workers = Array.from({ length: 8 }, async (_, worker) => {
      for (let left = Math.floor(count / 8) + (worker < count % 8 ? 1 : 0); left > 0; left -= perConnection) {
        await connection(Math.min(left, perConnection))
        if (worker === 0) await this.check()
      }
    })
    await Promise.all(workers)
    return statuses
  }

  /** Sends requests over one connection, and gives their responses. */
  private pipeline(requests: ReadonlyArray<string>, expected: number): Promise<Array<Answer>> {
    const { hostname, port } = new URL(this.url)
    const answers: Array<Answer> = []
    const answered = new Promise<Array<Answer>>((resolve, reject) => {
      const socket = Net.connect({ host: hostname, port: Number(port) })
      let text = ""
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1")
        for (;;) {
          const end = text.indexOf("\r\n\r\n")
          if (end < 0) break
          const isHead = requests[answers.length]!.startsWith("HEAD")
          const length = isHead ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0)
          if (text.length < end + 4 + length) break
          answers.push({ status: Number(text.slice(9, 12)), opened: openedBy(text.slice(end + 4, end + 4 + length)) })
          text = text.slice(end + 4 + length)
        }
        if (answers.length === expected) {
          socket.destroy()
          resolve(answers)
        }
      })
      socket.on("error", () => {})
      socket.on("close", () =>
        reject(
          new Error(`${answers.length} of ${expected} requests were answered, and not ${requests[answers.length]}`)
        )
      )
      socket.write(requests.join(""))
    })
    return within("responses", answered, 20_000)
  }

  /** Closes sessions over polling: the server would wait for their clients for the better part of a minute. */
  private async leave(sessions: ReadonlyArray<Opened>): Promise<void> {
    if (sessions.length === 0) return
    const requests = sessions.map(({ eio, sid }) => {
      const body = eio === "4" ? "1" : "1:1"
      const target = `/socket.io/?EIO=${eio}&transport=polling&sid=${sid}`
      return `POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    })
    await this.pipeline(requests, requests.length)
  }

  /** Bytes that are no request, or not one of this server: the connection ends, or is answered. */
  async garbage(count: number): Promise<void> {
    const { generator } = this
    const { hostname, port } = new URL(this.url)
    for (let i = 0; i < count; i++) {
      const socket = Net.connect({ host: hostname, port: Number(port) })
      socket.on("error", () => {})
      const ended = new Promise((resolve) => socket.once("close", resolve))
      socket.resume()
      const head = `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nHost: a\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`
      socket.write(generator.chance(0.5) ? generator.mutate(head) : head)
      socket.write(generator.bytes())
      if (generator.chance(0.3)) socket.resetAndDestroy()
      else socket.end("\r\n\r\n")
      await within("end of a connection", ended, 45_000)
      if (i % 20 === 0) await this.check()
    }
  }

  /** Bodies of requests, as bytes, in sessions of their own. Gives how many sessions were closed for them. */
  async bodies(count: number): Promise<number> {
    const { generator } = this
    let closed = 0
    const types = ["text/plain;charset=UTF-8", "application/octet-stream", "application/json", ""]
    await this.concurrently(count, async () => {
      const eio = generator.chance(0.7) ? "4" : "3"
      const separator = eio === "4" ? "\u001e" : ""
      const target = `${this.url}/socket.io/?EIO=${eio}&transport=polling`
      const handshake = await request(target)
      const sid = /"sid":"([\w-]+)"/.exec(handshake.body)![1]!
      const post = (body: string | Buffer, type: string) =>
        request(`${target}&sid=${sid}`, { method: "POST", body, headers: { "content-type": type } })
      if (eio === "4") await post(`40${separator}40/typed,`, types[0]!)
      const packet = generator.enginePacket()
      const body =
        eio === "4" ? generator.body() : `${generator.chance(0.8) ? packet.length : generator.digits(20)}:${packet}`
      const before = performance.now()
      const { status } = await post(generator.chance(0.8) ? body : generator.bytes(), generator.pick(types))
      if (![200, 400, 413].includes(status)) throw new Error(`a body was answered with ${status}`)
      const after = await post(eio === "4" ? "6" : "1:6", types[0]!)
      this.inTime(before)
      if (after.status !== 200) closed++
      else await post(eio === "4" ? "1" : "1:1", types[0]!)
    })
    return closed
  }

  /** Messages over WebSockets of their own. Gives how many were closed for them. */
  async messages(count: number): Promise<number> {
    const { generator } = this
    let closed = 0
    await this.concurrently(count, async () => {
      const input = generator.pick<() => string | Buffer>([
        () => generator.enginePacket(),
        () => generator.bytes(),
        () => `4${generator.connect()}`,
        () => `4${generator.payload()}`
      ])()
      const before = performance.now()
      if (await this.offer([input])) closed++
      this.inTime(before)
    })
    return closed
  }

  /** Sends messages over a WebSocket of their own, which has joined. It is closed for them, or goes on: gives whether it was closed. */
  async offer(input: ReadonlyArray<string | Buffer>, eio = "4", url = this.url): Promise<boolean> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=${eio}&transport=websocket`)
    socket.on("error", () => {})
    const gone = new Promise<boolean>((resolve) => socket.once("close", () => resolve(true)))
    await within("open WebSocket", once(socket, "open"))
    // It is closed, if not for the input then for asking to be let in again; or it had left, and is let in again.
    const again = new Promise<boolean>((resolve) => {
      let joined = 0
      socket.on("message", (data: Buffer) => {
        if (String(data).startsWith("40{") && ++joined === 2) resolve(false)
        if (String(data) === '43999["alive"]') resolve(false)
      })
    })
    for (const message of ["40", "40/typed,", ...input, '42999["echo","alive"]', "40"]) socket.send(message)
    const closed = await within("end of a WebSocket, or an answer", Promise.race([gone, again]), PATIENCE + LATITUDE)
    socket.terminate()
    return closed
  }

  private readonly late: Array<number> = []

  /** Answers take longer than they may when the machine is busy, now and then. */
  private inTime(since: number): void {
    if (performance.now() - since > PATIENCE) this.late.push(performance.now() - since)
  }

  /** Durations of more than a second, in milliseconds. */
  get lateness(): ReadonlyArray<number> {
    return this.late
  }

  /** Does some work so many times, 16 at once, while the bystander asks. */
  async concurrently(count: number, work: () => Promise<void>): Promise<void> {
    let left = count
    await Promise.all(
      Array.from({ length: 16 }, async (_, worker) => {
        while (left-- > 0) {
          await work()
          if (worker === 0) await this.check()
        }
      })
    )
  }
}
