import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

import type { Kept, OnKept, SessionStore } from "../../adapter/SharedLog.ts"
import * as StoredSession from "../../adapter/StoredSession.ts"
import type { RedisClient } from "../RedisClient.ts"
import type { Command, Reply } from "../RedisCommand.ts"
import { decode, encode } from "./msgpack.ts"
import { makeSender } from "./sender.ts"

export interface SessionsOptions {
  /** The first part of the keys. Default of official servers: `sio:session:`. */
  readonly keyPrefix: string
}

/** A session that takes more is not stored, and not read, in bytes of base64. */
const MAX_VALUE = 1 << 20

/** For so long a command waits for a connection, and then for its reply. */
const TIMEOUT = Duration.seconds(3)

/**
 * The sessions that Redis has not forgotten yet, as it did not answer. Of more, those that have
 * waited longest are left to their time to live.
 */
const MAX_UNFORGOTTEN = 10_000

/** From one attempt to make Redis forget them to the next, and how many are tried at once. */
const RETRY_DELAY = Duration.millis(500)
const RETRIES = 100

/** The end of the server waits for so long for commands that are under way. */
const CLOSING_TIME = Duration.seconds(1)

/**
 * A value is base64 of MessagePack, as official servers write it: a map that begins with the
 * generation in ours, of 14 characters. So the first 24 characters of base64 say whose session it
 * is.
 */
const GENERATION = 14
const HEAD = 24

/** The beginning of the head of each session of this library. */
const MARK = Buffer.from([0x86, 0xa1, 0x67]).toString("base64")

/** Writes a session if it has the head of this owner. */
const UPDATE =
  `local h = redis.call('getrange', KEYS[1], 0, ${HEAD - 1}) if h == '' then return 0 end ` +
  "if h ~= ARGV[1] then return 2 end redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3]) return 1"

const REMOVE = `if redis.call('getrange', KEYS[1], 0, ${HEAD - 1}) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`

/**
 * Takes a session: one of this library gets another head, and stays for as long as it would; an
 * official one is removed, as official servers do it.
 */
const CLAIM =
  `local n = redis.call('strlen', KEYS[1]) if n == 0 then return '' end if n > ${MAX_VALUE} then redis.call('del', KEYS[1]) return '' end ` +
  `local v = redis.call('get', KEYS[1]) if string.sub(v, 1, 4) == '${MARK}' then ` +
  `redis.call('set', KEYS[1], ARGV[1] .. string.sub(v, ${HEAD + 1}), 'keepttl') else redis.call('del', KEYS[1]) end return v`

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

const generation = (): string =>
  Array.from(globalThis.crypto.getRandomValues(new Uint8Array(GENERATION)), (byte) => ALPHABET[byte & 63]).join("")

/** The head of a session of a generation. */
const headOf = (generation: string): string =>
  Buffer.concat([Buffer.from([0x86, 0xa1, 0x67, 0xa0 + GENERATION]), Buffer.from(generation, "latin1")]).toString(
    "base64"
  )

const valueOf = (session: StoredSession.StoredSession, generation: string): string =>
  encode({ g: generation, ...StoredSession.toValue(session) }).toString("base64")

const KEPT: { readonly [reply: number]: Kept } = { 0: "missing", 1: "kept", 2: "taken" }

/**
 * Makes the store of sessions in Redis, in the layout of official servers. When its scope closes,
 * it waits for what is under way, for a second at most.
 */
export const make = (
  redis: RedisClient["Service"],
  { keyPrefix }: SessionsOptions
): Effect.Effect<SessionStore, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const send = makeSender(redis, TIMEOUT, context)
    const run = Effect.runForkWith(context)
    const keyOf = prefixed(keyPrefix)
    let underWay = 0
    let onIdle: (() => void) | undefined
    const start = (pid: string, command: Command, onEnd: (reply: Reply | undefined) => void) => {
      underWay++
      const key = keyOf(pid)
      run(
        Effect.map(
          Effect.orElseSucceed(send({ command, key }), () => undefined),
          (reply) => {
            underWay--
            onEnd(reply)
            if (underWay === 0) onIdle?.()
          }
        )
      )
    }
    const unforgotten = new Map<string, string>()
    const isUnforgotten = Latch.makeUnsafe(false)
    const removal = (pid: string, generation: string): Command => ["EVAL", REMOVE, "1", keyOf(pid), headOf(generation)]
    /** It must not be taken any more: its client has missed something that nobody else knows of. */
    const removeLater = (pid: string, generation: string) => {
      // The next attempt begins with another one.
      unforgotten.delete(pid)
      unforgotten.set(pid, generation)
      if (unforgotten.size > MAX_UNFORGOTTEN) unforgotten.delete(unforgotten.keys().next().value!)
      isUnforgotten.openUnsafe()
    }
    /** Returns whether Redis has answered. */
    const removeAgain = ([pid, generation]: readonly [string, string]) =>
      Effect.match(send({ command: removal(pid, generation), key: keyOf(pid) }), {
        onFailure: () => {
          if (unforgotten.get(pid) === generation) removeLater(pid, generation)
          return false
        },
        onSuccess: () => {
          if (unforgotten.get(pid) === generation) unforgotten.delete(pid)
          return true
        }
      })
    yield* Effect.suspend(() => {
      const [first, ...others] = unforgotten
      if (first === undefined) return Effect.sync(() => isUnforgotten.closeUnsafe())
      // One of them finds out whether Redis answers.
      return Effect.flatMap(removeAgain(first), (isAnswered) =>
        isAnswered ? Effect.forEach(others, removeAgain, { concurrency: RETRIES, discard: true }) : Effect.void
      )
    }).pipe(
      Effect.delay(RETRY_DELAY),
      (attempt) => Effect.andThen(isUnforgotten.await, attempt),
      Effect.forever,
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() =>
      Effect.timeoutOption(
        Effect.callback<void>((resume) => {
          if (underWay === 0) return resume(Effect.void)
          onIdle = () => resume(Effect.void)
        }),
        CLOSING_TIME
      )
    )
    const write = (
      session: StoredSession.StoredSession,
      generation: string,
      onEnd: OnKept,
      make: (key: string, value: string) => Command,
      read: (reply: Reply) => Kept
    ) => {
      const value = valueOf(session, generation)
      if (value.length > MAX_VALUE) return onEnd("missing")
      start(session.pid, make(keyOf(session.pid), value), (reply) =>
        onEnd(reply === undefined ? "unavailable" : read(reply))
      )
    }
    return {
      generation,
      create: (session, generation, timeToLive, onEnd) =>
        write(
          session,
          generation,
          onEnd,
          (key, value) => ["SET", key, value, "PX", millis(timeToLive)],
          () => "kept"
        ),
      update: (session, generation, timeToLive, onEnd) =>
        write(
          session,
          generation,
          onEnd,
          (key, value) => ["EVAL", UPDATE, "1", key, headOf(generation), value, millis(timeToLive)],
          (reply) => KEPT[Number(reply)] ?? "unavailable"
        ),
      remove: (pid, generation) =>
        start(pid, removal(pid, generation), (reply) => {
          if (reply === undefined) removeLater(pid, generation)
        }),
      claim: (pid, generation) =>
        send({ command: ["EVAL", CLAIM, "1", keyOf(pid), headOf(generation)], key: keyOf(pid) }).pipe(
          Effect.map((reply) => read(reply, pid)),
          Effect.orElseSucceed(() => "unavailable" as const)
        )
    }
  })

const prefixed = (prefix: string) => (pid: string) => prefix + pid

const millis = (duration: number): string => String(Math.max(1, Math.ceil(duration)))

/** Reads a value. Others may have written it. */
const read = (reply: Reply, pid: string): StoredSession.StoredSession | undefined => {
  if (typeof reply !== "string" || reply === "") return undefined
  const decoded = decode(Buffer.from(reply, "base64"), MAX_VALUE)
  return typeof decoded === "string" ? undefined : StoredSession.fromValue(decoded.value, pid)
}
