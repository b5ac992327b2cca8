import type { IncomingMessage, ServerResponse } from "node:http"

import { Chunks } from "../../../internal/chunks.ts"
import { atTurnEnd, setImmediate, type TurnTask } from "../../../internal/turn.ts"
import { discard, onChunk } from "../bodyChunks.ts"
import * as Frames from "./frames.ts"
import { encodeRequest, type RequestHead, type ResponseHead } from "./heads.ts"
import type { Link, Passed } from "./link.ts"

/** The client of a request, as the server that it has reached knows it. */
export interface Origin {
  readonly address: string
  readonly secure: boolean
}

export const headOf = ({ headers, method = "GET", url }: IncomingMessage, origin: Origin): string =>
  encodeRequest({ method, url: url!, ...origin, headers: headers as RequestHead["headers"] })

/** A request that is passed on to the owner of its session, until its response has left. */
export class PassedRequest implements Passed, TurnTask {
  private readonly link: Link
  private readonly incoming: IncomingMessage
  private readonly response: ServerResponse
  private readonly onOver: (isLost: boolean) => void
  private readonly id: number
  private isOver = false
  /** Bytes of the body that have come and are not sent yet. */
  private parts: Chunks | undefined

  /**
   * `onOver`: called once. If it is lost and has no response, the caller gives one. Whether the
   * owner has handled it is not known then.
   */
  constructor(
    link: Link,
    incoming: IncomingMessage,
    response: ServerResponse,
    origin: Origin,
    onOver: (isLost: boolean) => void
  ) {
    this.link = link
    this.incoming = incoming
    this.response = response
    this.onOver = onOver
    this.id = link.begin(this, headOf(incoming, origin))
    // Other requests have no body that anything reads.
    if (incoming.method === "POST") incoming.on("data", this.onData).on("end", this.onEnd)
    else discard(incoming)
    response.on("close", this.onClose)
  }

  /** Asks for a response soon. */
  release(): void {
    if (!this.isOver) this.link.send(Frames.RELEASE, this.id)
  }

  onResponse({ headers, status }: ResponseHead, body: Buffer, isLast: boolean): void {
    const { incoming, response } = this
    this.stopReading()
    if (response.destroyed || response.headersSent) return
    try {
      response.writeHead(status, headers)
    } catch {
      // Headers that Node does not send: the owner would not have sent them either.
      return void response.destroy()
    }
    this.onBody(body, isLast)
    discard(incoming)
  }

  onBody(body: Buffer, isLast: boolean): void {
    const { response } = this
    if (response.destroyed || !response.headersSent) return
    if (isLast) response.end(body)
    else response.write(body)
  }

  onReset(): void {
    const { incoming, response } = this
    this.finish(false)
    if (!response.writableEnded) return void incoming.socket.destroy()
    // The owner does not know yet that the response has left. Then it is as good as read.
    setImmediate(() => {
      if (!response.writableFinished) incoming.socket.destroy()
    })
  }

  onLost(): void {
    if (this.response.headersSent) this.response.destroy()
    this.finish(true)
  }

  private readonly onData = (chunk: Buffer): void => {
    onChunk(this.incoming, chunk.length)
    if (this.parts === undefined) {
      this.parts = new Chunks()
      atTurnEnd(this)
    }
    this.parts.add(chunk)
    if (this.parts.size >= Frames.PART) this.sendParts()
  }

  private readonly onEnd = (): void => {
    this.sendParts()
    this.link.send(Frames.BODY_END, this.id)
  }

  /**
   * Sends what has come in this turn: the peer chooses the chunks, down to a byte each.
   */
  private sendParts(): void {
    const { parts } = this
    this.parts = undefined
    if (parts !== undefined) this.link.sendBody(this.id, parts.join(), this.incoming)
  }

  onTurnEnd(): void {
    this.sendParts()
  }

  onDefect(): void {
    this.response.destroy()
  }

  private readonly onClose = (): void => {
    this.link.end(this.id, this.response.headersSent ? Frames.GONE : Frames.ABORT)
    this.finish(false)
  }

  private stopReading(): void {
    this.parts = undefined
    this.incoming.off("data", this.onData).off("end", this.onEnd)
  }

  private finish(isLost: boolean): void {
    if (this.isOver) return
    this.isOver = true
    this.stopReading()
    this.response.off("close", this.onClose)
    this.onOver(isLost)
  }
}
