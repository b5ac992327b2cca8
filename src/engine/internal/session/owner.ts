import type * as Scope from "effect/Scope"

import type { ResolvedEngineOptions } from "../../EngineOptions.ts"
import type { SessionClose } from "../../EngineSession.ts"
import type { TimerWheel } from "../../TimerWheel.ts"
import type { ServerTransport } from "../../Transport.ts"
import type { Heartbeat } from "../heartbeat.ts"
import type { EngineStats } from "../stats.ts"
import type { Inflow } from "./inflow.ts"
import type { Outflow } from "./outflow.ts"

/** The parts of a server that its sessions use. */
export interface SessionOwner<Session> {
  readonly options: ResolvedEngineOptions
  /** The names of the transports to which a session can change from its first one. */
  readonly upgradesOf: (transport: ServerTransport) => ReadonlyArray<string>
  readonly wheel: TimerWheel
  /** The scope of all resources of sessions. It closes after the server has drained. */
  readonly scope: Scope.Scope
  readonly heartbeat: Heartbeat
  readonly inflow: Inflow
  readonly outflow: Outflow
  readonly stats: EngineStats
  /** The monotonic time, in milliseconds. */
  readonly now: () => number
  /**
   * Runs a task after some milliseconds, unless the returned function is called before. With 0 it
   * runs in a later turn.
   */
  readonly after: (millis: number, run: () => void) => () => void
  /** Closes the scope of a session, or of one of its transports. */
  readonly closeScope: (scope: Scope.Closeable) => void
  /** An open session has changed from a transport to another one. */
  onTransportChanged(from: string, to: string): void
  /** The session has ended; a transport may still be flushing. */
  onSessionClosed(session: Session, close: SessionClose): void
  /** The session holds no resources any more. */
  onSessionReleased(session: Session): void
  /** A session counts as a connection until the returned function is called. Once per session. */
  keepPlace(session: Session): () => void
  /** Code of the session has thrown. */
  onSessionDefect(session: Session, defect: unknown): void
}
