import { type Context, Effect, Stream } from "effect"

import type { EngineSession } from "../../src/engine/EngineSession.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

/** The sessions of a server by their ids, from now on: for tests that close some of them. */
export const sessionsOf = Effect.fnUntraced(function* (server: Context.Context<SocketIoServer.SocketIoServer>) {
  const sessions = new Map<string, EngineSession>()
  const { engine } = yield* Effect.provideContext(SocketIoServer.SocketIoServer, server)
  yield* Effect.forkScoped(
    Stream.runForEach((yield* engine).sessions(), (session) =>
      Effect.sync(() => {
        sessions.set(session.id, session)
      })
    ),
    { startImmediately: true }
  )
  return sessions
})
