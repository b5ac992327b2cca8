import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

import type { LaneEnd } from "../../adapter/Received.ts"
import type { Sequences } from "../../adapter/Sequences.ts"

/** From a message to the beat that tells its number, in milliseconds. */
const INTERVAL = 1_000

/** Tells the others the last numbers of this server's lanes, some time after they have changed. */
export interface Beat {
  /** A message was sent on a lane. */
  readonly changed: (lane: string) => void
}

/**
 * Makes the beat of a namespace. Without it, nobody would miss the last message before a pause.
 * Nothing is sent while nothing else is.
 */
export const makeBeat = (
  sequences: Sequences,
  send: (lanes: ReadonlyArray<LaneEnd>) => void
): Effect.Effect<Beat, never, Scope.Scope> =>
  Effect.gen(function* () {
    const lanes = new Set<string>()
    const wanted = Latch.makeUnsafe(false)
    const beat = Effect.sync(() => {
      wanted.closeUnsafe()
      const ends = Array.from(lanes, (lane): LaneEnd => [lane, sequences.last(lane)])
      lanes.clear()
      send(ends)
    })
    yield* wanted.await.pipe(
      Effect.andThen(Effect.sleep(INTERVAL)),
      Effect.andThen(beat),
      Effect.forever,
      Effect.forkScoped
    )
    return {
      changed: (lane) => {
        lanes.add(lane)
        if (lanes.size === 1) wanted.openUnsafe()
      }
    }
  })
