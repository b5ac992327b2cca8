import type { IncomingMessage } from "node:http"

import { WebSocket } from "ws"

import {
  type ClientWebSocket,
  type ClientWebSocketEvents,
  type ConnectionDetails,
  messageOf
} from "../../engine/ClientPlatform.ts"
import { Deque } from "../../internal/deque.ts"
import { now, setImmediate } from "../../internal/turn.ts"
import { explain } from "./clientRequest.ts"
import { readOffHeap } from "./offHeap.ts"

/** Smaller messages are not worth compressing. */
const THRESHOLD = 1_024

const sizeOf = (data: string | Uint8Array | Blob): number => (data instanceof Blob ? data.size : data.length)

/** The characters of a refusal that are kept. */
const MAX_BODY = 1_000

/**
 * The beginning of a response's body. A server that does not get on with it is not waited for
 * beyond the client's `connectTimeout`.
 */
const beginningOf = (response: IncomingMessage, onBody: (body: string) => void): void => {
  let body = ""
  const end = () => onBody(body.slice(0, MAX_BODY))
  response.setEncoding("utf8").on("data", (chunk: string) => {
    if (body.length >= MAX_BODY) return
    body += chunk
    if (body.length >= MAX_BODY) end()
  })
  for (const event of ["end", "close", "error"]) response.once(event, end)
}

/**
 * The messages of one turn of the event loop, and the time in milliseconds after which it is over.
 * Other connections of the process get their turn then.
 */
const TURN_MESSAGES = 64
const TURN_TIME = 0.5

/**
 * Takes the messages of a WebSocket in turns: a server that sends as much as it can would otherwise
 * have all the time of the process. Unlike a server's clients, it is not slowed down.
 */
class Messages {
  private readonly ws: WebSocket
  private readonly events: ClientWebSocketEvents
  /** Messages that came after reading was stopped: those of one read. */
  private held: Deque<readonly [data: Buffer, isBinary: boolean]> | undefined
  private left = TURN_MESSAGES
  private began = 0
  private isCounting = false
  private onHandled: (() => void) | undefined

  constructor(ws: WebSocket, events: ClientWebSocketEvents) {
    this.ws = ws
    this.events = events
  }

  take(data: Buffer, isBinary: boolean): void {
    if (this.held === undefined && this.mayGoOn()) return this.handOver(data, isBinary)
    this.hold().push([data, isBinary])
  }

  /** A ping or a pong has come, which `ws` handles itself. */
  countControl(): void {
    if (this.held === undefined && !this.mayGoOn()) this.hold()
  }

  /** The connection is closed. Calls back when the messages that came before are handled. */
  close(onHandled: () => void): void {
    if (this.held === undefined) onHandled()
    else this.onHandled = onHandled
  }

  /** Stops reading until the next turn. Gives the messages that wait for it. */
  private hold(): Deque<readonly [data: Buffer, isBinary: boolean]> {
    if (this.held === undefined) {
      this.held = new Deque()
      this.ws.pause()
    }
    return this.held
  }

  private mayGoOn(): boolean {
    if (!this.isCounting) {
      this.isCounting = true
      this.left = TURN_MESSAGES
      this.began = now()
      setImmediate(this.onNextTurn)
    }
    return --this.left >= 0 && (this.left % 8 !== 0 || now() - this.began < TURN_TIME)
  }

  private readonly onNextTurn = (): void => {
    this.isCounting = false
    const { held, ws } = this
    if (held === undefined) return
    while (held.size > 0 && this.mayGoOn()) this.handOver(...held.shift())
    if (held.size > 0) return
    this.held = undefined
    ws.resume()
    this.onHandled?.()
  }

  private handOver(data: Buffer, isBinary: boolean): void {
    readOffHeap(data.length)
    if (isBinary) this.events.onBinary(data)
    else this.events.onText(data.toString())
  }
}

/** A WebSocket of `ws` for a client. */
export const openWebSocket = (ws: WebSocket, events: ClientWebSocketEvents): ClientWebSocket => {
  let failure: (ConnectionDetails & { readonly description: string }) | undefined
  const messages = new Messages(ws, events)
  ws.on("open", () => events.onOpen())
  ws.on("message", (data: Buffer, isBinary: boolean) => messages.take(data, isBinary))
  for (const control of ["ping", "pong"]) ws.on(control, () => messages.countControl())
  ws.on("unexpected-response", (_, response) => {
    beginningOf(response, (body) => {
      const status = response.statusCode!
      failure ??= { description: `the server answered with status ${status}${messageOf(body)}`, status, body }
      ws.terminate()
    })
  })
  ws.on("error", (cause: Error & { readonly code?: string }) => {
    failure ??= {
      description: explain(cause).message,
      cause,
      // It is closed with this code, which is not what it was closed with by the server.
      ...(cause.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" ? { closeCode: 1009 } : {})
    }
  })
  ws.on("close", (closeCode: number, reason: Buffer) => {
    const { description, ...details } = failure ?? { closeCode, closeReason: reason.toString() }
    messages.close(() => events.onClose(description, details))
  })
  return {
    send: (data, compress = true) => {
      if (ws.readyState !== WebSocket.OPEN) return
      // Without compression, which the server may not have agreed to, it makes no difference.
      ws.send(data, { binary: typeof data !== "string", compress: compress && sizeOf(data) >= THRESHOLD })
    },
    close: () => ws.close()
  }
}
