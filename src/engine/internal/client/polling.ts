import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

import { defectOf } from "../../../internal/defectOf.ts"
import { encodeBinaryText } from "../../../protocol/EnginePacket.ts"
import { decodePayload, encodePayload } from "../../../protocol/EnginePayload.ts"
import { type ClientPlatformShape, messageOf, type PollResponse } from "../../ClientPlatform.ts"
import { MAX_PACKETS } from "./constants.ts"
import { after, type ClientPolling, type RunFork, type TransportEnd } from "./transport.ts"

export interface PollingOptions {
  readonly headers: Readonly<Record<string, string>>
  readonly withCredentials: boolean
  /** The time in which the server must take the goodbye, in milliseconds. */
  readonly connectTimeout: number
}

export interface PollingRuntime {
  readonly platform: ClientPlatformShape
  readonly runFork: RunFork
}

/**
 * Long-polling: a GET request is always under way, and POST requests carry the packets to the
 * server (Engine.IO protocol 4, "HTTP long-polling"). `url` gives the address of the next request.
 * `onDrain` is called when the written packets have arrived.
 */
export const makePolling = (
  url: () => string,
  { connectTimeout, headers, withCredentials }: PollingOptions,
  { platform, runFork }: PollingRuntime,
  onPacket: (packet: string) => void,
  onDrain: () => void,
  onEnd: TransportEnd
): ClientPolling => {
  let poll: Fiber.Fiber<PollResponse, Error> | undefined
  let post: Fiber.Fiber<PollResponse, Error> | undefined
  let onPaused: (() => void) | undefined
  let isClosed = false
  let requests = 0

  const request = (body?: string) =>
    Effect.suspend(() =>
      platform.request({
        method: body ? "POST" : "GET",
        url: url(),
        headers: body ? { ...headers, "content-type": "text/plain;charset=UTF-8" } : headers,
        body,
        withCredentials
      })
    )

  const start = (body?: string) =>
    // A platform may answer within the same turn, again and again: others need turns, too.
    runFork(++requests % 16 ? request(body) : Effect.flatMap(Effect.yieldNow, () => request(body)))

  const watch = (fiber: Fiber.Fiber<PollResponse, Error>, method: string, onBody: (body: string) => void) =>
    fiber.addObserver((exit) => {
      if (isClosed) return
      if (exit._tag === "Failure") {
        // A platform may throw anything.
        const cause = defectOf(exit.cause.reasons[0]!) as Partial<Error> | null | undefined
        return onEnd(
          cause instanceof RangeError ? "payload too large" : "transport error",
          `${method} failed: ${cause?.message ?? cause}`,
          { cause }
        )
      }
      const { status, body } = exit.value
      if (status === 200) return onBody(body)
      onEnd(
        status === 413 && method === "POST" ? "payload too large" : "transport error",
        `${method} was answered with status ${status}${messageOf(body)}`,
        { status, body: body.slice(0, 1_000) }
      )
    })

  const next = () => {
    poll = start()
    watch(poll, "GET", (body) => {
      poll = undefined
      const error = decodePayload(body, { maxPackets: MAX_PACKETS }, (packet) => {
        if (!isClosed) onPacket(packet)
      })
      if (isClosed) return
      if (error) onEnd(error.code === "too many packets" ? error.code : "parse error", error.message)
      else if (onPaused) settle(onPaused)
      else next()
    })
  }

  const settle = (onPaused: () => void) => {
    if (poll || post) return
    isClosed = true
    onPaused()
  }

  return {
    // The first response carries the open packet.
    open: next,
    write: (packets) => {
      post = start(
        encodePayload(
          packets.map((packet) => (typeof packet === "string" ? packet : encodeBinaryText(packet as Uint8Array)))
        )
      )
      watch(post, "POST", () => {
        post = undefined
        if (onPaused) settle(onPaused)
        else onDrain()
      })
    },
    pause: (callback) => {
      onPaused = callback
      settle(callback)
    },
    resume: () => {
      onPaused = undefined
      if (!poll) next()
      if (!post) onDrain()
    },
    close: (sid) => {
      if (isClosed) return
      isClosed = true
      poll?.interruptUnsafe()
      const last = post
      if (!sid) return last?.interruptUnsafe()
      // The answer does not matter. The request leaves now: a closed page may have no other turn.
      const goodbye = runFork(last ? Effect.flatMap(Fiber.await(last), () => request("1")) : request("1"))
      const forget = after(runFork, connectTimeout, () => goodbye.interruptUnsafe())
      goodbye.addObserver(() => {
        forget()
        last?.interruptUnsafe()
      })
    }
  }
}
