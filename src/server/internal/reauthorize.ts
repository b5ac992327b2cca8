import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** A socket, as far as its rooms are concerned. */
interface InRooms {
  readonly id: string
  readonly rooms: ReadonlySet<string>
  leave(room: string): Effect.Effect<void>
}

/**
 * Asks for each room whether the socket may stay, and leaves it at once if the answer is no, or
 * fails. Gives the rooms that were left, or fails with the first failure, after all answers.
 */
export const reauthorize = Effect.fnUntraced(function* <E, R>(
  socket: InRooms,
  may: (room: string) => Effect.Effect<boolean, E, R>
) {
  const left: Array<string> = []
  let failed: Exit.Exit<never, E> | undefined
  for (const room of Array.from(socket.rooms)) {
    if (room === socket.id) continue
    const answer = yield* Effect.exit(Effect.suspend(() => may(room)))
    if (Exit.isSuccess(answer) && answer.value) continue
    yield* socket.leave(room)
    left.push(room)
    if (Exit.isFailure(answer)) failed ??= Exit.failCause(answer.cause)
  }
  return failed === undefined ? left : yield* failed
})
