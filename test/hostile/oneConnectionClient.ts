/**
 * The client of `one-connection.ts`: a connection that sends as much as the server takes.
 */
import { setImmediate as turn } from "node:timers/promises"

import { frame } from "../bench/load/frames.ts"
import { now, type Role, sleep } from "../bench/roles.ts"
import { EIO4, Line, openWebSocket, type Target } from "./cost/traffic.ts"

/** One connection of a client that goes as far as it can, whatever its transport. */
export interface Connection {
  /** The bytes of the largest attachment that it can send. */
  readonly largest: number
  /**
   * Sends packets, and waits until the server has read them; gives whether the connection is still
   * open.
   */
  readonly send: (...packets: ReadonlyArray<string | Uint8Array>) => Promise<boolean>
  /** Sends so many packets, each in a turn of its own, or as many as a request may bring. */
  readonly sendSmall: (count: number, packet: string) => Promise<boolean>
  /** From now on nothing is taken from the server. */
  readonly stopReading: () => void
  /** Says that it goes, where the server does not see it by itself. */
  readonly sayGoodbye: () => void
}

/** Gives a pong now and then: pings are not looked for. */
const makePongs = (): (() => ReadonlyArray<string>) => {
  let last = now()
  return () => {
    if (now() - last < 5_000) return []
    last = now()
    return ["3"]
  }
}

/** Opens connections, and looks at what the server does. */
export class Client {
  private readonly server: Role
  private readonly target: Target

  constructor(server: Role, target: Target) {
    this.server = server
    this.target = target
  }

  async open(transport: "websocket" | "polling"): Promise<Connection> {
    return transport === "websocket" ? this.openWebSocket() : this.openPolling()
  }

  private async openWebSocket(): Promise<Connection> {
    const socket = (await openWebSocket(this.target, EIO4, [], /"sid":/g, 1))!
    let { bytes } = await this.server.ask("progress")
    const pongs = makePongs()
    const send = async (...packets: ReadonlyArray<string | Uint8Array>) => {
      for (const packet of [...pongs(), ...packets]) {
        const framed = frame(typeof packet === "string" ? 1 : 2, packet)
        bytes += framed.length
        socket.write(framed)
      }
      // Not read is where the server has stopped to: that is as far as one gets.
      for (let i = 0; i < 2_000; i++) {
        const progress = await this.server.ask("progress")
        if (progress.sessions === 0) return false
        if (progress.bytes >= bytes) return true
        await sleep(2)
      }
      return true
    }
    return {
      largest: 990_000,
      send,
      sendSmall: async (count, packet) => {
        socket.setNoDelay(true)
        const framed = frame(1, packet)
        for (let i = 1; i < count; i++) {
          bytes += framed.length
          socket.write(framed)
          await turn()
        }
        return send(packet)
      },
      stopReading: () => void socket.pause(),
      sayGoodbye: () => {}
    }
  }

  private async openPolling(): Promise<Connection> {
    const [posts, polls] = [new Line(this.target), new Line(this.target)]
    await posts.ask(["GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"])
    const sid = /"sid":"([\w-]+)"/.exec(posts.lastBody)![1]!
    const path = `/socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\n`
    let isReading = true
    let unpolled = 0
    /** The request that the server has not answered in time: it reads nothing more for now. */
    let unanswered: Promise<boolean> | undefined
    const pongs = makePongs()
    void (async () => {
      while ((await polls.ask([`GET ${path}\r\n`])) && polls.lastStatuses[0] === 200) {
        if (!isReading) break
      }
    })()
    const poll = () => {
      // Each over a connection of its own, of which nothing is read.
      const line = this.target.connect().pause()
      line.write(`GET ${path}\r\n`)
    }
    const send = async (...packets: ReadonlyArray<string | Uint8Array>) => {
      for (const packet of [...pongs(), ...packets]) {
        // A request beside another one would be an offence.
        if (unanswered !== undefined) break
        const body = Buffer.from(
          typeof packet === "string" ? packet : `b${Buffer.from(packet).toString("base64")}`
        ).subarray(0, 1_000_000)
        const head = `POST ${path}Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n`
        const answer = posts.ask([Buffer.concat([Buffer.from(head), body])])
        const answered = await Promise.race([answer, sleep(4_000)])
        if (answered === false || (answered === true && posts.lastStatuses[0] !== 200)) return false
        // As much as the outbox takes with each: the kernel takes a response of a megabyte whole.
        if (!isReading && ++unpolled % 14 === 0) poll()
        if (answered === undefined) {
          unanswered = answer
          void answer.then(() => (unanswered = undefined))
        }
      }
      return (await this.server.ask("progress")).sessions > 0
    }
    return {
      largest: 740_000,
      send,
      sendSmall: (count, packet) => send(Array(count).fill(packet).join("\x1e")),
      stopReading: () => {
        isReading = false
      },
      sayGoodbye: () => {
        const head = `POST ${path}Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n1`
        this.target.connect().write(head)
      }
    }
  }

  /**
   * Waits until the server has done what it has read, which it may put off, and gives whether the
   * connection is still open then.
   */
  async settle(): Promise<boolean> {
    for (let i = 0; i < 60; i++) {
      const before = await this.server.ask("progress")
      if (before.sessions === 0) return false
      await sleep(50)
      const after = await this.server.ask("progress")
      if (after.sessions === 0) return false
      if (after.bytes === before.bytes && after.cpu - before.cpu < 5_000) break
    }
    return true
  }

  /** Ends every connection, and waits until the server has noticed. */
  async end(connection: Connection): Promise<void> {
    connection.sayGoodbye()
    for (let i = 0; i < 10 && (await this.server.ask("progress")).sessions > 0; i++) await sleep(20)
    this.target.reset()
    for (let i = 0; i < 500 && (await this.server.ask("progress")).sessions > 0; i++) await sleep(20)
  }
}
