import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { EngineServer } from "../../engine/EngineServer.ts"
import type { EngineSession } from "../../engine/EngineSession.ts"
import type { OverflowError, StreamOptions } from "../../StreamOptions.ts"
import type { NewsOverflow } from "../NamespaceHandle.ts"
import type { ServerConnection } from "../ServerConnection.ts"
import type { ResolvedServerOptions } from "../ServerOptions.ts"
import { admit } from "./admission.ts"
import { Connection } from "./connection.ts"
import { Directory } from "./directory.ts"
import { type Environment, makeEnvironment } from "./environment.ts"
import { Hub } from "./hub.ts"
import { connectionOf } from "./views.ts"

/** A server, put together from its parts. */
export class ServerRuntime {
  readonly environment: Environment
  readonly directory: Directory
  private readonly opened = new Hub<Connection>()

  constructor(environment: Environment) {
    this.environment = environment
    this.directory = new Directory(environment, admit)
  }

  /** The engine runs. */
  start(engine: EngineServer): void {
    this.environment.start({
      options: engine.options,
      wheel: engine.wheel,
      closing: engine.closing,
      get sessionCount() {
        return engine.sessionCount
      },
      moveForShutdown: (concerns, close) =>
        engine.moveForShutdown({
          concerns: ({ handler }) => handler instanceof Connection && handler.isIn(concerns),
          close,
          isNeeded: () => this.directory.isServing
        }),
      forgetShutdown: engine.forgetShutdown,
      onNamespacesEnded: () => {
        if (!this.directory.isServing) engine.refuseForShutdown()
      },
      closeSessions: engine.closeForShutdown,
      retire: engine.retire
    })
  }

  /** The connections that open. */
  connections<O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ): Stream.Stream<ServerConnection, OverflowError<O>> {
    return this.opened.stream("connections", options, connectionOf)
  }

  /** The server has ended. */
  dispose(): void {
    this.opened.close()
    this.environment.recovery?.dispose()
    this.directory.dispose()
  }

  onSession(session: EngineSession): Connection {
    const connection = new Connection(session, this.environment, this.directory)
    const annotations = { session: session.id, transport: session.transport }
    this.environment.observer.debug("connection", "connection opened", annotations, connection)
    if (this.opened.isWatched) this.opened.publish(connection)
    return connection
  }
}

export const make = (options: ResolvedServerOptions): Effect.Effect<ServerRuntime, never, Scope.Scope> =>
  Effect.map(makeEnvironment(options), (environment) => new ServerRuntime(environment))
