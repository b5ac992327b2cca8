import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { EngineSession } from "../../engine/EngineSession.ts"
import type { ResolvedServerOptions } from "../ServerOptions.ts"
import { admit } from "./admission.ts"
import { Connection } from "./connection.ts"
import { Directory } from "./directory.ts"
import { type EngineClock, type Environment, makeEnvironment } from "./environment.ts"

/** A server, put together from its parts. */
export class ServerRuntime {
  readonly environment: Environment
  readonly directory: Directory

  constructor(environment: Environment) {
    this.environment = environment
    this.directory = new Directory(environment, admit)
  }

  /** The engine runs. */
  start(engine: EngineClock): void {
    this.environment.start(engine)
  }

  onSession(session: EngineSession): Connection {
    const connection = new Connection(session, this.environment, this.directory)
    const annotations = { session: session.id, transport: session.transport }
    this.environment.observer.debug("connection", "connection opened", annotations, connection)
    return connection
  }
}

export const make = (options: ResolvedServerOptions): Effect.Effect<ServerRuntime, never, Scope.Scope> =>
  Effect.map(makeEnvironment(options), (environment) => new ServerRuntime(environment))
