import type { IncomingMessage } from "node:http"
import type { Socket } from "node:net"

import type { NodeAddress } from "../../../engine/NodeDirectory.ts"
import * as Frames from "./frames.ts"
import { decodeResponse, type ResponseHead } from "./heads.ts"
import type { Pipe } from "./pipe.ts"

/** A request that this server has passed on, as its link sees it. */
export interface Passed {
  /** A response, with the first part of its body, which may be all of it. */
  onResponse(head: ResponseHead, body: Buffer, isLast: boolean): void
  onBody(body: Buffer, isLast: boolean): void
  onReset(): void
  /** The link is lost: there will be no response, or the rest of it will not come. */
  onLost(): void
}

/** After this many questions without a sign of life, a link counts as lost. */
const MAX_SILENCE = 3

/** The connection to the owner of sessions, for all requests that are passed on to it. */
export class Link {
  readonly address: NodeAddress
  /** WebSockets with the same owner. They end with the link. */
  readonly pipes = new Set<Pipe>()
  private readonly socket: Socket
  private readonly writer: Frames.FrameWriter
  private readonly passed = new Map<number, Passed>()
  private readonly waiting = new Set<IncomingMessage>()
  private readonly onClosed: () => void
  private lastId = 0
  private heard = true
  private silence = 0

  constructor(address: NodeAddress, socket: Socket, rest: Buffer, onClosed: () => void) {
    this.address = address
    this.socket = socket
    this.onClosed = onClosed
    this.writer = new Frames.FrameWriter(socket)
    const reader = new Frames.FrameReader((type, id, payload) => this.onFrame(type, id, payload))
    const onData = (chunk: Buffer) => {
      if (!reader.push(chunk)) socket.destroy()
    }
    socket
      .on("data", onData)
      .on("drain", () => this.onDrain())
      .on("end", () => socket.destroy())
      .on("close", () => this.onClose())
    if (rest.length > 0) onData(rest)
    socket.resume()
  }

  /** The number of requests that are under way. */
  get pending(): number {
    return this.passed.size
  }

  get isOpen(): boolean {
    return !this.socket.destroyed
  }

  /** Sends a request. Returns its id. */
  begin(passed: Passed, head: string): number {
    do this.lastId = (this.lastId + 1) >>> 0
    while (this.passed.has(this.lastId))
    this.passed.set(this.lastId, passed)
    this.writer.write(Frames.frame(Frames.REQUEST, this.lastId, head))
    return this.lastId
  }

  send(type: number, id: number): void {
    this.writer.write(Frames.frame(type, id))
  }

  /** Sends a part of a request's body, and stops reading it while the owner does not keep up. */
  sendBody(id: number, chunk: Uint8Array, incoming: IncomingMessage): void {
    for (let at = 0; at < chunk.length; at += Frames.PART) {
      this.writer.write(Frames.frame(Frames.BODY, id, chunk.subarray(at, at + Frames.PART)))
    }
    if (!this.writer.isFull) return
    this.waiting.add(incoming)
    incoming.pause()
  }

  /** Forgets a request, and tells the owner why. */
  end(id: number, type: typeof Frames.ABORT | typeof Frames.GONE): void {
    if (this.passed.delete(id)) this.send(type, id)
  }

  /** Asks the owner to move a session, within some milliseconds. */
  move(sid: string, within: number): void {
    this.writer.write(Frames.frame(Frames.MOVE, Math.min(Math.ceil(within), 0xffff_ffff), sid))
  }

  /** Asks the owner to answer every held poll. */
  releaseAll(): void {
    for (const id of this.passed.keys()) this.send(Frames.RELEASE, id)
  }

  /** Asks for a sign of life, if something waits for the owner. Called at regular intervals. */
  check(): void {
    if (this.passed.size === 0 && this.pipes.size === 0) {
      this.silence = 0
      this.heard = true
      return
    }
    this.silence = this.heard ? 0 : this.silence + 1
    this.heard = false
    if (this.silence >= MAX_SILENCE) return this.destroy()
    this.send(Frames.PING, 0)
  }

  /** Ends the link, and what depends on it. */
  destroy(): void {
    this.socket.destroy()
  }

  private onFrame(type: number, id: number, payload: Buffer): void {
    this.heard = true
    const passed = this.passed.get(id)
    // The client may have disconnected meanwhile.
    if (passed === undefined) return
    switch (type) {
      case Frames.RESPONSE:
      case Frames.RESPONSE_BEGIN: {
        const response = decodeResponse(payload)
        if (response === undefined) return this.destroy()
        return passed.onResponse(response.head, response.body, type === Frames.RESPONSE)
      }
      case Frames.RESPONSE_PART:
        return passed.onBody(payload, false)
      case Frames.RESPONSE_END:
        return passed.onBody(payload, true)
      case Frames.RESET:
        this.passed.delete(id)
        return passed.onReset()
    }
  }

  private onDrain(): void {
    for (const incoming of this.waiting) incoming.resume()
    this.waiting.clear()
  }

  private onClose(): void {
    this.onClosed()
    this.onDrain()
    const passed = Array.from(this.passed.values())
    this.passed.clear()
    for (const request of passed) request.onLost()
    for (const pipe of Array.from(this.pipes)) pipe.destroy()
  }
}
