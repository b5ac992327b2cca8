import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

import { log } from "../../internal/log.ts"
import type { Extend } from "./connection.ts"

/**
 * The shortest time between two warnings that the server cannot be connected to, in milliseconds.
 */
const WARNING_INTERVAL = 60_000

/**
 * Warns that the server cannot be connected to, when another attempt follows. A lost connection is
 * no failed attempt yet. Not every attempt warns, as there may be thousands, of many clients.
 */
export const warnOfAttempts: Extend = (parts, { options, runtime }) => {
  const { reconnection } = parts
  /** Whether the session that has ended last was open. */
  let wasOpen = false
  /** The time before which there is no other warning. */
  let quietUntil = -Infinity
  return {
    ...parts,
    dial: (sink, fx) =>
      Effect.suspend(() => {
        let isOpened = false
        // An attempt may fail before there is a session.
        wasOpen = false
        return parts.dial(
          {
            ...sink,
            onOpen: (handshake) => {
              isOpened = true
              sink.onOpen(handshake)
            },
            onClose: (close) => {
              wasOpen = isOpened
              sink.onClose(close)
            }
          },
          fx
        )
      }),
    reconnection:
      reconnection &&
      Schedule.tap(reconnection, ({ input: { attempt, error, reason } }) =>
        Effect.sync(() => {
          if ((wasOpen && attempt === 0) || runtime.now() < quietUntil) return
          quietUntil = runtime.now() + WARNING_INTERVAL
          const why = error.description ?? reason
          runtime.runFork(log("Warn", `cannot connect to ${options.origin}, trying again: ${why}`, { ...error }))
        })
      )
  }
}
