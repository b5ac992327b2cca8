import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

import type { LaneEnd } from "../../adapter/Received.ts"
import type { Sequences } from "../../adapter/Sequences.ts"
import { MAX_BEAT_LANES } from "../../adapter/WireValues.ts"
import type { RedisClient } from "../RedisClient.ts"

/** From a message to the beat that tells its number, in milliseconds. */
const INTERVAL = 1_000

/**
 * A server that hangs does not know when Redis has cut its connection: it asks for the numbers of
 * so much more than its outage, in milliseconds.
 */
const MARGIN = 60_000

/** The lanes of which it is remembered when they have changed. */
const MAX_LANES = 10_000

/** Tells the others the last numbers of this server's lanes, some time after they have changed. */
export interface Beat {
  /** A message was sent on a lane. */
  readonly changed: (lane: string) => void
  /**
   * Another server may have missed messages: it is told the lanes that have changed in so many
   * milliseconds.
   */
  readonly asked: (time: number) => void
  /** This server may have missed messages of so many milliseconds: it asks the others. */
  readonly ask: (time: number) => void
}

/**
 * Makes the beat of a namespace. Without it, nobody would miss the last message before a pause.
 * Nothing is sent while nothing else is, but after an outage: a beat may have been lost with the
 * messages that it counts, so the others are asked for theirs.
 */
export const makeBeat = (
  redis: RedisClient["Service"],
  sequences: Sequences,
  send: (lanes: ReadonlyArray<LaneEnd>, asks?: number) => void
): Effect.Effect<Beat, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const lanes = new Set<string>()
    /** When each lane has changed, about; the one that has not changed for the longest is first. */
    const changes = new Map<string, number>()
    const wanted = Latch.makeUnsafe(false)
    let askedFor = -1
    let asks = -1
    const beat = Effect.sync(() => {
      wanted.closeUnsafe()
      if (askedFor >= 0) {
        const since = now() - askedFor - INTERVAL
        for (const [lane, at] of changes) if (at >= since) lanes.add(lane)
      }
      const ends = Array.from(lanes, (lane): LaneEnd => [lane, sequences.last(lane)])
      const question = asks < 0 ? undefined : asks
      lanes.clear()
      askedFor = asks = -1
      if (ends.length > 0 || question !== undefined) send(ends.slice(0, MAX_BEAT_LANES), question)
      for (let at = MAX_BEAT_LANES; at < ends.length; at += MAX_BEAT_LANES) send(ends.slice(at, at + MAX_BEAT_LANES))
    })
    yield* wanted.await.pipe(
      Effect.andThen(Effect.sleep(INTERVAL)),
      Effect.andThen(beat),
      Effect.forever,
      Effect.forkScoped
    )
    const ask = (time: number) => {
      asks = Math.max(asks, Math.ceil(time))
      wanted.openUnsafe()
    }
    let awaySince = redis.isConnected() ? undefined : Infinity
    const onChange = () => {
      const isConnected = redis.isConnected()
      if (!isConnected) awaySince ??= now()
      else if (awaySince !== undefined) {
        // The first connection follows no outage.
        if (awaySince < Infinity) ask(now() - awaySince + MARGIN)
        awaySince = undefined
      }
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => redis.onChange(onChange)),
      (stop) => Effect.sync(stop)
    )
    return {
      changed: (lane) => {
        if (lanes.has(lane)) return
        lanes.add(lane)
        changes.delete(lane)
        if (changes.size >= MAX_LANES) changes.delete(changes.keys().next().value!)
        changes.set(lane, now())
        wanted.openUnsafe()
      },
      asked: (time) => {
        if (changes.size === 0) return
        askedFor = Math.max(askedFor, time)
        wanted.openUnsafe()
      },
      ask
    }
  })
