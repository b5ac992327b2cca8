import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

import type { ClosingTime } from "../../ClosingTime.ts"
import type { EngineSession } from "../../EngineSession.ts"
import type { TimerWheel } from "../../TimerWheel.ts"
import type { Admission } from "../admission.ts"
import type { Session } from "../session/session.ts"
import type { Moving } from "./moving.ts"
import type { SessionRegistry } from "./registry.ts"

/**
 * The number of sessions that are closed in one turn of the event loop at shutdown. It is larger if
 * time is short.
 */
const DRAIN_BATCH = 500

/** The pause between two batches, in milliseconds. */
const DRAIN_PAUSE = 10

/** The parts of a server that its shutdown needs. */
export interface ShutdownServer {
  readonly wheel: TimerWheel
  readonly closing: ClosingTime
  readonly admission: Admission
  readonly registry: SessionRegistry
  readonly moving: Moving
}

/** The drain of a server: its state, and its steps. */
type State =
  | { readonly _tag: "Open" }
  /** Sessions are being closed, a batch after the other, until `end` on the wheel's clock. */
  | { readonly _tag: "Closing"; readonly end: number }
  /** Every session was closed, and some hold resources: `polling` of them are polled. */
  | { readonly _tag: "Closed"; readonly end: number; polling: number }

/** Closes the sessions of a server within `drainTimeout`. */
export class Shutdown {
  private readonly server: ShutdownServer
  private readonly timeout: number
  private state: State = { _tag: "Open" }
  private readonly begun = Latch.makeUnsafe(false)
  /** Every session has released everything. */
  private readonly released = Latch.makeUnsafe(false)
  /** Every polling client has come once more. */
  private readonly polled = Latch.makeUnsafe(false)

  /** `timeout` is the time limit in milliseconds. */
  constructor(timeout: number, server: ShutdownServer) {
    this.timeout = timeout
    this.server = server
  }

  get hasBegun(): boolean {
    return this.state._tag !== "Open"
  }

  /** Waits until it begins. */
  get whenBegun(): Effect.Effect<void> {
    return this.begun.await
  }

  /** Waits until every polling client has come once more to learn of the end. */
  get lastPolls(): Effect.Effect<void> {
    return this.polled.await
  }

  /** The rest of the time in milliseconds: all of it before the drain. */
  get timeLeft(): number {
    return this.state._tag === "Open" ? this.timeout : Math.max(0, this.state.end - this.server.wheel.now())
  }

  /** A session holds no resources any more. */
  onReleased({ isPolling }: Session): void {
    const { state } = this
    if (state._tag === "Open") return
    if (state._tag === "Closed" && isPolling && --state.polling === 0) this.polled.openUnsafe()
    if (this.server.registry.byId.size === 0) this.released.openUnsafe()
  }

  /** Closes every session, waits until their messages are sent, and cuts the rest. */
  get drain(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { admission, closing, moving, registry } = this.server
      if (this.state._tag === "Open") yield* moving.moveForShutdown()
      yield* moving.close
      const end = this.begin(closing)
      admission.close()
      this.begun.openUnsafe()
      yield* this.closeSessions(Array.from(registry.byId.values()), this.timeLeft)
      let polling = 0
      for (const { isPolling } of registry.byId.values()) if (isPolling) polling++
      this.state = { _tag: "Closed", end, polling }
      if (polling === 0) this.polled.openUnsafe()
      if (registry.byId.size > 0 && this.timeLeft > 0) {
        yield* Effect.timeoutOption(this.released.await, Duration.millis(this.timeLeft))
      }
      registry.terminate()
      this.polled.openUnsafe()
    })
  }

  /** Returns the end of the time. A second drain has that of the first one. */
  private begin(closing: ClosingTime): number {
    if (this.state._tag === "Open") this.state = { _tag: "Closing", end: closing.begin() }
    return this.state.end
  }

  /**
   * Closes sessions, a batch after the other. The pauses in between, in which the server does what
   * else there is, take at most half of the time that is left, in milliseconds.
   */
  closeSessions(all: ReadonlyArray<EngineSession>, left: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const batches = Math.max(1, Math.floor(left / 2 / DRAIN_PAUSE))
      const size = Math.max(DRAIN_BATCH, Math.ceil(all.length / batches))
      for (let at = 0; at < all.length; at += size) {
        if (at > 0) yield* this.timeout > 0 ? Effect.sleep(Duration.millis(DRAIN_PAUSE)) : Effect.yieldNow
        for (const session of all.slice(at, at + size)) session.closeUnsafe("server shutting down")
      }
    })
  }
}
