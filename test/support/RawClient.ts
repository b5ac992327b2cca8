/**
 * Clients that speak the wire formats by hand: nothing between the test and the bytes.
 */
import * as Http from "node:http"

import { WebSocket } from "ws"

/** How long to wait for what must come. It fires on failure only. */
const PATIENCE = 20_000

/** Fails with a message that says what was waited for. */
export const within = <A>(what: string, promise: Promise<A>, millis = PATIENCE): Promise<A> => {
  let timer: NodeJS.Timeout
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${millis} ms`)), millis)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** Values that arrive, and whoever waits for them. */
export class Inbox<A> {
  private readonly values: Array<A> = []
  private readonly waiting: Array<(value: A) => void> = []

  push(value: A): void {
    const waiting = this.waiting.shift()
    if (waiting === undefined) this.values.push(value)
    else waiting(value)
  }

  next(what: string): Promise<A> {
    const value = this.values.shift()
    if (value !== undefined) return Promise.resolve(value)
    return within(what, new Promise<A>((resolve) => this.waiting.push(resolve)))
  }

  /** The values that have arrived and were not taken. */
  get rest(): ReadonlyArray<A> {
    return this.values
  }
}

export interface Response {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  /** The body as it came. */
  readonly bytes: Buffer
}

export interface RequestOptions {
  /** The request target as it goes over the wire. Default: what the URL says, normalised. */
  readonly target?: string
  readonly method?: string
  readonly body?: string | Uint8Array
  readonly headers?: Record<string, string>
  readonly signal?: AbortSignal
}

/** The same promise. It may fail although nobody awaits it: servers that close reset what is under way. */
const unwatched = <A>(promise: Promise<A>): Promise<A> => {
  promise.catch(() => {})
  return promise
}

/** One HTTP request, on a connection of its own. */
export const request = (url: string, options: RequestOptions = {}): Promise<Response> =>
  unwatched(
    within(
      `response to ${options.method ?? "GET"} ${url}`,
      new Promise((resolve, reject) => {
        const { body, headers, method = "GET", signal, target } = options
        const request = Http.request(
          url,
          {
            method,
            agent: false,
            headers: { ...headers },
            ...(target === undefined ? {} : { path: target }),
            ...(signal === undefined ? {} : { signal })
          },
          (response) => {
            const chunks: Array<Buffer> = []
            response.on("data", (chunk: Buffer) => chunks.push(chunk))
            response.on("end", () => {
              const bytes = Buffer.concat(chunks)
              resolve({ status: response.statusCode!, headers: response.headers, body: bytes.toString(), bytes })
            })
            response.on("error", reject)
          }
        )
        request.on("error", reject)
        request.end(body)
      })
    )
  )

export const engineUrl = (url: string, query: Record<string, string>): string =>
  `${url}/socket.io/?${new URLSearchParams(query).toString()}`

/** The operations of both kinds of raw client. */
export interface RawClient {
  readonly transport: "polling" | "websocket"
  readonly sid: string
  send(...packets: ReadonlyArray<string | Uint8Array>): Promise<void>
  /** The next packet: text, or the bytes of a binary message. Pings are answered and left out. */
  next(): Promise<string | Buffer>
  /** Resolves when the server has ended the session. */
  readonly closed: Promise<void>
  close(): Promise<void>
}

/** A WebSocket, with or without a session behind it. */
export class RawSocket {
  readonly opened: Promise<void>
  /** The close code. */
  readonly closed: Promise<number>
  private readonly ws: WebSocket
  private readonly inbox = new Inbox<string | Buffer>()

  constructor(url: string, query: Record<string, string>) {
    this.ws = new WebSocket(engineUrl(url, query).replace("http", "ws"), { perMessageDeflate: false })
    this.ws.on("message", (data: Buffer, isBinary) => this.inbox.push(isBinary ? data : data.toString()))
    this.opened = within(
      "open WebSocket",
      new Promise((resolve, reject) => {
        this.ws.once("open", () => resolve())
        this.ws.once("error", reject)
      })
    )
    // A caller that does not wait for the opening expects it to fail.
    this.opened.catch(() => {})
    this.ws.on("error", () => {})
    this.closed = new Promise((resolve) => this.ws.once("close", resolve))
  }

  send(...packets: ReadonlyArray<string | Uint8Array>): void {
    for (const packet of packets) this.ws.send(packet)
  }

  next(): Promise<string | Buffer> {
    return this.inbox.next("WebSocket message")
  }

  get rest(): ReadonlyArray<string | Buffer> {
    return this.inbox.rest
  }

  close(code?: number): void {
    this.ws.close(code)
  }

  /** Drops the connection. */
  terminate(): void {
    this.ws.terminate()
  }

  /** Bytes as they are, behind whatever was sent. */
  sendRaw(bytes: Uint8Array): void {
    ;(this.ws as unknown as { _socket: NodeJS.WritableStream })._socket.write(bytes)
  }
}

export class WebSocketClient implements RawClient {
  readonly transport = "websocket"
  readonly closed: Promise<void>
  sid = ""
  readonly socket: RawSocket
  answersPings = true

  constructor(socket: RawSocket) {
    this.socket = socket
    this.closed = within(
      "end of the session",
      socket.closed.then(() => undefined)
    )
    this.closed.catch(() => {})
  }

  static async open(url: string): Promise<WebSocketClient> {
    const socket = new RawSocket(url, { EIO: "4", transport: "websocket" })
    await socket.opened
    const client = new WebSocketClient(socket)
    client.sid = JSON.parse(String(await socket.next()).slice(1)).sid
    return client
  }

  async send(...packets: ReadonlyArray<string | Uint8Array>): Promise<void> {
    this.socket.send(...packets)
  }

  async next(): Promise<string | Buffer> {
    const packet = await this.socket.next()
    if (packet !== "2" || !this.answersPings) return packet
    this.socket.send("3")
    return this.next()
  }

  async close(): Promise<void> {
    this.socket.close()
    await this.socket.closed
  }
}

export class PollingClient implements RawClient {
  readonly transport = "polling"
  readonly sid: string
  readonly closed: Promise<void>
  readonly url: string
  answersPings = true
  private readonly inbox = new Inbox<string | Buffer>()
  private readonly abort = new AbortController()
  private readonly end: () => void
  private ended = false

  constructor(url: string, sid: string, polls = true) {
    this.url = engineUrl(url, { EIO: "4", transport: "polling", sid })
    this.sid = sid
    let end: () => void
    const closed = new Promise<void>((resolve) => {
      end = resolve
    })
    this.end = () => {
      this.ended = true
      end()
    }
    this.closed = within("end of the session", closed)
    this.closed.catch(() => {})
    if (polls) void this.loop()
  }

  static async handshake(url: string): Promise<string> {
    const { body } = await request(engineUrl(url, { EIO: "4", transport: "polling" }))
    return JSON.parse(body.slice(1)).sid
  }

  /** Opens a session and keeps a poll under way, as clients do. */
  static async open(url: string): Promise<PollingClient> {
    return new PollingClient(url, await PollingClient.handshake(url))
  }

  private async loop(): Promise<void> {
    while (!this.ended) {
      let response: Response
      try {
        response = await request(this.url, { signal: this.abort.signal })
      } catch {
        return this.end()
      }
      if (response.status !== 200) return this.end()
      for (const packet of response.body.split("\x1e")) {
        if (packet === "1") return this.end()
        if (packet === "2") {
          // Where it fails the next poll does, too, and ends the session.
          if (this.answersPings) await this.send("3").catch(() => {})
        } else if (packet.startsWith("b")) this.inbox.push(Buffer.from(packet.slice(1), "base64"))
        else if (packet !== "6") this.inbox.push(packet)
      }
    }
  }

  send(...packets: ReadonlyArray<string | Uint8Array>): Promise<void> {
    const body = packets
      .map((packet) => (typeof packet === "string" ? packet : "b" + Buffer.from(packet).toString("base64")))
      .join("\x1e")
    return unwatched(this.sendBody(body))
  }

  private async sendBody(body: string): Promise<void> {
    await this.post(body)
  }

  post(body: string | Uint8Array, headers: Record<string, string> = {}): Promise<Response> {
    return request(this.url, {
      method: "POST",
      body,
      headers: { "content-type": "text/plain;charset=UTF-8", ...headers }
    })
  }

  next(): Promise<string | Buffer> {
    return this.inbox.next("polled packet")
  }

  async close(): Promise<void> {
    this.ended = true
    this.abort.abort()
    await this.post("1").catch(() => {})
  }
}

export const transports = ["polling", "websocket"] as const

export const openClient = (transport: "polling" | "websocket", url: string): Promise<RawClient> =>
  transport === "polling" ? PollingClient.open(url) : WebSocketClient.open(url)

/** Joins a namespace and takes the reply and the application's `auth` event; gives the socket's id. */
export const join = async (client: RawClient, namespace = "/", auth?: unknown): Promise<string> => {
  const prefix = namespace === "/" ? "" : namespace + ","
  await client.send("40" + prefix + (auth === undefined ? "" : JSON.stringify(auth)))
  const reply = String(await client.next())
  if (!reply.startsWith("40" + prefix + "{")) throw new Error(`not a CONNECT reply: ${reply}`)
  await client.next()
  return JSON.parse(reply.slice(2 + prefix.length)).sid
}
