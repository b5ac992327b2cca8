/**
 * A server that answers its clients with generated input, until it is calm: then it is an official
 * one, at the same address.
 */
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"

import { Server } from "socket.io"

import { acceptance, serverFrame } from "./cost/hostileServer.ts"
import { pause } from "./entrances.ts"
import type { Generator } from "./generators.ts"

const JOINED = ["40", "40/typed,"].map((head) => `${head}{"sid":"x"}`)

/** A text message of a server. */
const text = (message: string): Buffer => serverFrame(1, message)

export class HostileHost {
  /** How often a client has come. */
  visits = 0
  private readonly generator: Generator
  private readonly http: Http.Server
  private readonly official = new Server({ transports: ["polling", "websocket"] })
  private readonly open = new Set<Socket>()
  private isCalm = false
  /** The time at which a session over polling ends, by its id. */
  private readonly ends = new Map<string, number>()

  constructor(generator: Generator) {
    this.generator = generator
    this.http = Http.createServer((request, response) => void this.respond(request, response))
    this.http.on("upgrade", (request: Http.IncomingMessage, socket: Socket, head: Buffer) => {
      if (this.isCalm) this.official.engine.handleUpgrade(request, socket, head)
      else void this.upgrade(request, socket)
    })
    this.http.on("connection", (socket) => {
      this.open.add(socket)
      socket.on("error", () => {}).once("close", () => this.open.delete(socket))
    })
    this.official.of(/.*/).on("connection", (socket) => {
      socket.on("echo", (value, reply) => reply(value))
    })
    this.official.of("/").on("connection", (socket) => {
      socket.on("echo", (value, reply) => reply(value))
    })
    // Its engine is that of no other server.
    this.official.attach(Http.createServer())
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.http.listen(0, "127.0.0.1", resolve)
    })
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`
  }

  /** Ends every connection, and serves those that come after that as they should be. */
  calm(): void {
    this.isCalm = true
    this.cut()
  }

  async close(): Promise<void> {
    this.cut()
    await this.official.close()
    this.http.close()
  }

  private cut(): void {
    for (const socket of this.open) socket.destroy()
  }

  /** The packet that opens a session, mostly one that a client can take. */
  private opening(sid: string, upgrades: ReadonlyArray<string>): string {
    const { generator } = this
    const odd = () => generator.pick<unknown>([0, -1, 1, 1e9, 2 ** 53, "25000", null, generator.value(1)])
    const open = {
      sid: generator.chance(0.95) ? sid : odd(),
      upgrades: generator.chance(0.9) ? upgrades : generator.value(2),
      pingInterval: generator.chance(0.8) ? 200 : odd(),
      pingTimeout: generator.chance(0.8) ? 200 : odd(),
      maxPayload: generator.chance(0.8) ? 1_000_000 : odd()
    }
    return generator.chance(0.9) ? `0${JSON.stringify(open)}` : generator.mutate(`0${JSON.stringify(open)}`)
  }

  /** Messages to a client: packets of every kind, and bytes. */
  private messages(): ReadonlyArray<string> {
    const { generator } = this
    const kinds = generator.times(4, () =>
      generator.pick<() => string>([
        () => generator.enginePacket(),
        () => `4${generator.payload()}`,
        () => `42${generator.below(5)}["ask",${generator.below(9)}]`,
        () => `42/typed,${generator.below(5)}["typed",{"name":"a","count":${generator.below(3)},"tags":[]}]`,
        () => `43${generator.below(50)}[${generator.json(1)}]`,
        () => `43/typed,${generator.below(50)}[${generator.json(1)}]`,
        () => `4${generator.connect()}`,
        () => generator.pick(["2", "3", "6", "1", "41", "41/typed,", '44{"message":"no"}', '44/typed,{"message":"no"}'])
      ])
    )
    return kinds.flatMap((make) => Array.from({ length: generator.size(7) }, make))
  }

  private async respond(request: Http.IncomingMessage, response: Http.ServerResponse): Promise<void> {
    const { generator } = this
    if (this.isCalm) return this.official.engine.handleRequest(request, response)
    const sid = new URL(request.url!, "http://a").searchParams.get("sid")
    request.resume()
    response.on("error", () => {})
    const status = generator.chance(0.95) ? 200 : generator.pick([100, 204, 301, 400, 404, 500, 503])
    if (status === 100) return void response.socket?.destroy()
    response.statusCode = status
    if (generator.chance(0.1)) response.setHeader("content-encoding", generator.pick(["gzip", "identity", "x"]))
    if (generator.chance(0.1)) response.setHeader("set-cookie", generator.header().replaceAll("é", ""))
    if (request.method === "POST") return void response.end(generator.chance(0.9) ? "ok" : generator.body())
    if (sid === null) {
      this.visits++
      const id = `s${this.visits}`
      this.ends.set(id, generator.below(8))
      const rest = generator.chance(0.5) ? JOINED : []
      return void response.end([this.opening(id, ["websocket"]), ...rest].join("\u001e"))
    }
    const left = (this.ends.get(sid) ?? 0) - 1
    this.ends.set(sid, left)
    if (left < 0) {
      this.ends.delete(sid)
      if (generator.chance(0.5)) response.statusCode = 400
      return void response.end(generator.chance(0.5) ? "1" : generator.body())
    }
    if (generator.chance(0.2)) await pause(generator.below(20))
    const body = generator.chance(0.3) ? generator.body() : [...JOINED, ...this.messages()].join("\u001e")
    if (generator.chance(0.7)) return void response.end(body)
    for (let at = 0; at < body.length;) response.write(body.slice(at, (at += generator.size(14))))
    if (generator.chance(0.7)) response.end()
    else response.socket?.destroy()
  }

  private async upgrade(request: Http.IncomingMessage, socket: Socket): Promise<void> {
    const { generator } = this
    this.visits++
    socket.on("error", () => {})
    if (generator.chance(0.05)) return void socket.end(generator.mutate("HTTP/1.1 101 A\r\nUpgrade: websocket\r\n\r\n"))
    const head = acceptance(request)
    socket.write(generator.chance(0.95) ? head : generator.mutate(head))
    const isUpgrade = request.url!.includes("sid=")
    const opening = isUpgrade ? ["3probe"] : [this.opening("s", []), ...JOINED]
    for (const message of opening) socket.write(text(message))
    if (generator.chance(0.8)) socket.resume()
    for (let round = generator.below(6); round > 0 && !socket.destroyed; round--) {
      if (generator.chance(0.5)) socket.write(Buffer.concat(this.messages().map(text)))
      else socket.write(generator.frames(false))
      await pause(generator.below(10))
    }
    if (generator.chance(0.4)) socket.resetAndDestroy()
    else if (generator.chance(0.6)) socket.end()
    // Others are silent from now on, and are noticed by their heartbeat.
    else setTimeout(() => socket.destroy(), 1_000).unref()
  }
}
