import type { BroadcastFlags } from "../../adapter/Adapter.ts"
import { SharedSession } from "../../recovery/SharedSession.ts"
import type { EventData } from "./wire.ts"

/** An event for one client that has to come out of the log before it is sent. */
export interface Pending {
  readonly packet: EventData
  readonly flags: BroadcastFlags
  /** Called when it has been sent, or will not be. */
  onEnd: Array<() => void> | undefined
}

/** The session of a client that is connected to this server, where all servers share the log. */
export class LiveSession extends SharedSession {
  /** The events for this client alone that are on their way through the log. */
  pending: Array<Pending> = none
  /** The time at which it has last been written, in milliseconds. */
  writtenAt = 0
  /** Another server has it. */
  isTaken = false

  add(pending: Pending): void {
    if (this.pending === none) this.pending = []
    this.pending.push(pending)
  }

  /** An event has been sent, or will not be. */
  end(pending: Pending): void {
    const at = this.pending.indexOf(pending)
    if (at < 0) return
    this.pending.splice(at, 1)
    if (this.pending.length === 0) this.pending = none
    for (const onEnd of pending.onEnd ?? []) onEnd()
  }
}

/** All sessions without pending events share it. */
const none: Array<never> = []

/** The session of a socket, where all servers share it. */
export const sessionOf = ({ recoverable }: { readonly recoverable: unknown }): LiveSession | undefined =>
  recoverable instanceof LiveSession ? recoverable : undefined
