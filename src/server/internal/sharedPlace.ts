import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import * as LogPosition from "../../adapter/LogPosition.ts"
import type { SharedLog } from "../../adapter/SharedLog.ts"
import type { StoredSession } from "../../adapter/StoredSession.ts"

/** The wait until this server has read as far as its client: another server was ahead. */
const REACH = Duration.seconds(2)

/** Waits until this server knows where the log is: it has just started, or Redis is away. */
export const isReady = (log: SharedLog): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(log.reach("0-0"), REACH))

/** Waits until this server is where the client was. Returns whether it is. */
export const reached = (log: SharedLog, received: string | undefined, { checkpoint }: StoredSession) => {
  const confirmed = checkpoint?.position ?? received ?? "0-0"
  const position = received !== undefined && LogPosition.compare(received, confirmed) > 0 ? received : confirmed
  return Effect.map(Effect.timeoutOption(log.reach(position), REACH), (result) => result._tag === "Some")
}
