import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

import { encodeBinaryText } from "../../../protocol/EnginePacket.ts"
import { decodePayload, encodePayload } from "../../../protocol/EnginePayload.ts"
import type { ClientPlatformShape, PollResponse } from "../../ClientPlatform.ts"
import { Deadline } from "./deadline.ts"
import type { ClientTransport, ClientTransportSink } from "./transport.ts"

/** Packets that one response may hold. Servers group what they have; a hostile one shall not keep the client busy for ever. */
const MAX_PACKETS = 100_000

export interface PollingOptions {
  readonly headers: Readonly<Record<string, string>>
  readonly withCredentials: boolean
  /** How long the server may take to hear that the session is over, in milliseconds. */
  readonly connectTimeout: number
}

export interface PollingRuntime {
  readonly platform: ClientPlatformShape
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly now: () => number
}

/** Long-polling: a GET request is always under way, POST requests carry what is sent (Engine.IO protocol 4, "HTTP long-polling"). */
export class ClientPolling implements ClientTransport {
  readonly name = "polling"
  readonly #url: () => string
  readonly #options: PollingOptions
  readonly #runtime: PollingRuntime
  readonly #sink: ClientTransportSink
  #state: "idle" | "polling" | "pausing" | "closed" = "idle"
  #poll: Fiber.Fiber<unknown, unknown> | undefined
  #post: Fiber.Fiber<unknown, unknown> | undefined
  #posting = false
  #requests = 0
  #onPaused: (() => void) | undefined

  /** `url` gives the address for the next request. */
  constructor(url: () => string, options: PollingOptions, runtime: PollingRuntime, sink: ClientTransportSink) {
    this.#url = url
    this.#options = options
    this.#runtime = runtime
    this.#sink = sink
  }

  get writable(): boolean {
    return this.#state === "polling" && !this.#posting
  }

  /** The first response carries the open packet: the session takes it from there. */
  open(): void {
    this.#state = "polling"
    this.#next()
  }

  write(packets: ReadonlyArray<string | Uint8Array>): void {
    this.#posting = true
    const body = encodePayload(
      packets.map((packet) => (typeof packet === "string" ? packet : encodeBinaryText(packet)))
    )
    this.#post = this.#start("POST", body, () => {
      this.#posting = false
      this.#settle()
      if (this.#state === "polling") this.#sink.onDrain()
    })
  }

  /** Closes as soon as nothing is under way any more, and calls back; the server releases the poll that it holds. */
  pause(onPaused: () => void): void {
    this.#onPaused = onPaused
    this.#state = "pausing"
    this.#settle()
  }

  /** Goes on: the other transport came to nothing. */
  resume(): void {
    this.#state = "polling"
    if (this.#poll === undefined) this.#next()
    this.#sink.onDrain()
  }

  close(sid: string | undefined): void {
    if (this.#state === "closed") return
    this.#state = "closed"
    this.#poll?.interruptUnsafe()
    const [post, runtime] = [this.#post, this.#runtime]
    if (sid === undefined) return post?.interruptUnsafe()
    // Nobody waits for the answer, and it does not matter. The request leaves in this turn: a page may have no other.
    const goodbye = Effect.suspend(() => this.#request("POST", "1"))
    const last = runtime.runFork(post === undefined ? goodbye : Effect.andThen(Fiber.await(post), goodbye))
    const deadline = new Deadline(runtime, () => last.interruptUnsafe())
    deadline.set(this.#options.connectTimeout)
    last.addObserver(() => {
      deadline.clear()
      post?.interruptUnsafe()
    })
  }

  #next(): void {
    this.#poll = this.#start("GET", undefined, ({ body }) => {
      this.#poll = undefined
      const error = decodePayload(body, { maxPackets: MAX_PACKETS }, (packet) => {
        if (this.#state !== "closed") this.#sink.onPacket(packet)
      })
      if (error !== undefined) return this.#end("parse error", error.message)
      if (this.#state === "polling") this.#next()
      else this.#settle()
    })
  }

  #settle(): void {
    if (this.#state !== "pausing" || this.#posting || this.#poll !== undefined) return
    this.#state = "closed"
    this.#onPaused!()
  }

  #request(method: "GET" | "POST", body: string | undefined): Effect.Effect<PollResponse, Error> {
    const { headers, withCredentials } = this.#options
    return this.#runtime.platform.request({
      method,
      url: this.#url(),
      headers: body === undefined ? headers : { ...headers, "content-type": "text/plain;charset=UTF-8" },
      body,
      withCredentials
    })
  }

  #start(
    method: "GET" | "POST",
    body: string | undefined,
    onDone: (response: PollResponse) => void
  ): Fiber.Fiber<unknown, unknown> {
    const request = Effect.suspend(() => this.#request(method, body))
    // A platform that answers within the same turn leaves others theirs.
    const fiber = this.#runtime.runFork(
      ++this.#requests % 16 === 0 ? Effect.andThen(Effect.yieldNow, request) : request
    )
    fiber.addObserver((exit) => {
      if (this.#state === "closed") return
      if (exit._tag === "Failure") this.#end("transport error", `${method} failed: ${messageOf(exit.cause)}`)
      else if (exit.value.status !== 200) {
        this.#end("transport error", `${method} was answered with status ${exit.value.status}`)
      } else onDone(exit.value)
    })
    return fiber
  }

  #end(reason: "transport error" | "parse error", description: string): void {
    if (this.#state !== "closed") this.#sink.onEnd({ reason, description })
  }
}

const messageOf = (cause: Cause.Cause<Error>): string => (Cause.squash(cause) as Error).message
