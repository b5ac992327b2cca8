import type { Duplex } from "node:stream"

import * as Openings from "../../internal/openings.ts"

/**
 * Runs a request that opens a session: now, or in its turn. Returns whether it ran now. If not,
 * `onTurn` is called before it runs. It is forgotten if its connection ends before that.
 *
 * The caller sees to it that no more than one of a connection waits. Hence as many wait as there
 * are connections at most.
 */
export const openInTurn = (connection: Duplex, run: () => void, onTurn?: (connection: Duplex) => void): boolean => {
  let forget: (() => void) | undefined
  const opening = Openings.take(connection, () => {
    if (forget !== undefined) {
      connection.off("close", forget)
      onTurn?.(connection)
    }
    run()
  })
  if (opening === undefined) return true
  forget = () => Openings.forget(opening)
  connection.once("close", forget)
  return false
}
