/**
 * How two servers make sure of one another at the beginning of a connection: each proves that it
 * knows the secret of the one that was called, and the secret itself does not travel.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import type { Socket } from "node:net"
import * as Effect from "effect/Effect"

/** A connection for requests, or one that becomes a WebSocket. */
export type Kind = "requests" | "upgrade"

const VERSION = Buffer.from("effect-socket.io/1\n")
const NONCE = 16
const PROOF = 32
const KINDS: ReadonlyArray<Kind> = ["requests", "upgrade"]

const proofOf = (secret: string, role: "caller" | "called", ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const hmac = createHmac("sha256", secret).update(role)
  for (const part of parts) hmac.update(part)
  return hmac.digest()
}

/** The peer is a stranger, or has disconnected. */
export class GreetingError extends Error {}

/**
 * Waits for this many bytes, and returns them with those after them. The connection is paused then.
 */
const take = (socket: Socket, before: Buffer, size: number) =>
  Effect.callback<readonly [bytes: Buffer, rest: Buffer], GreetingError>((resume) => {
    let bytes = before
    const stop = () => {
      socket.off("data", onData).off("end", onEnd).off("close", onEnd)
      socket.pause()
    }
    const onData = (chunk: Buffer) => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      if (bytes.length < size) return
      stop()
      resume(Effect.succeed([bytes.subarray(0, size), bytes.subarray(size)]))
    }
    const onEnd = () => {
      stop()
      resume(Effect.fail(new GreetingError("the peer has disconnected")))
    }
    if (socket.destroyed) return resume(Effect.fail(new GreetingError("the connection is closed")))
    if (bytes.length >= size) return resume(Effect.succeed([bytes.subarray(0, size), bytes.subarray(size)]))
    socket.on("data", onData).on("end", onEnd).on("close", onEnd).resume()
    return Effect.sync(stop)
  })

const nothing = Buffer.alloc(0)

/** Greets the server that was called. Returns what it has sent since. */
export const greet = Effect.fnUntraced(function* (
  socket: Socket,
  secret: string,
  kind: Kind
): Effect.fn.Return<Buffer, GreetingError> {
  const head = Buffer.concat([VERSION, randomBytes(NONCE), Buffer.of(KINDS.indexOf(kind))])
  socket.write(head)
  const [bytes, rest] = yield* take(socket, nothing, NONCE + PROOF)
  const nonce = bytes.subarray(0, NONCE)
  if (!timingSafeEqual(bytes.subarray(NONCE), proofOf(secret, "called", head, nonce))) {
    return yield* Effect.fail(new GreetingError("the peer does not know the secret"))
  }
  socket.write(proofOf(secret, "caller", head, nonce))
  return rest
})

/** Answers the greeting of a caller. Returns the kind of the connection, and what came after it. */
export const answer = Effect.fnUntraced(function* (
  socket: Socket,
  secret: string
): Effect.fn.Return<readonly [kind: Kind, rest: Buffer], GreetingError> {
  const [head, early] = yield* take(socket, nothing, VERSION.length + NONCE + 1)
  const kind = KINDS[head[head.length - 1]!]
  if (!head.subarray(0, VERSION.length).equals(VERSION) || kind === undefined) {
    return yield* Effect.fail(new GreetingError("the peer is no server of this library"))
  }
  const nonce = randomBytes(NONCE)
  socket.write(Buffer.concat([nonce, proofOf(secret, "called", head, nonce)]))
  const [proof, rest] = yield* take(socket, early, PROOF)
  if (!timingSafeEqual(proof, proofOf(secret, "caller", head, nonce))) {
    return yield* Effect.fail(new GreetingError("the peer does not know the secret"))
  }
  return [kind, rest]
})
