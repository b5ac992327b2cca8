import type { Duplex } from "node:stream"

import { setTimeout } from "../../internal/turn.ts"

/** The bytes of a peer that are read although nobody takes them: its end comes after them. */
const MAX_UNWANTED = 64 * 1024

/** The time in milliseconds in which such a peer may take what was sent to it before. */
const REST = 1_000

/**
 * Reads a connection whose bytes nobody takes any more, and which would not notice its end
 * otherwise. After 64 KiB it is not read any further, and is dropped a second later. One that is
 * trusted is read to its end. The caller makes it flow.
 */
export const discard = (connection: Duplex, isTrusted = false): void => {
  let unwanted = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  connection.on("data", ({ length }: Buffer) => {
    unwanted += length
    if (isTrusted || unwanted <= MAX_UNWANTED) return
    connection.pause()
    timer ??= setTimeout(() => connection.destroy(), REST)
  })
  connection.once("close", () => clearTimeout(timer))
}
