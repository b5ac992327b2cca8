import type * as Scope from "effect/Scope"

import type { TimerWheel } from "../../TimerWheel.ts"
import type { ServerTransport, TransportContext, TransportDefinition, TransportSink } from "../../Transport.ts"
import { Upgrade } from "../upgrade.ts"

interface Session extends TransportContext {
  readonly wheel: TimerWheel
  readonly isOpen: boolean
  readonly isReading: boolean
  /** Its transport. */
  readonly current: ServerTransport
  /** Another transport is the session's from now on. */
  changeTo(transport: ServerTransport): void
  /** One of the other transports has released everything, or the upgrade is over. */
  onOthersChanged(): void
}

/** The server of the session. */
interface Owner {
  readonly options: { readonly upgradeTimeout: number }
  readonly closeScope: (scope: Scope.Closeable) => void
}

/**
 * The transports of a session that hold resources beside its current one: candidates of an upgrade,
 * refused ones, and those that the session has left. A session has this only while there are some.
 */
export class OtherTransports {
  private readonly session: Session
  private readonly owner: Owner
  private readonly transports = new Set<ServerTransport>()
  private upgrade: Upgrade | undefined

  constructor(session: Session, owner: Owner) {
    this.session = session
    this.owner = owner
  }

  /** Whether the client is changing the transport at the moment. */
  get isUpgrading(): boolean {
    return this.upgrade !== undefined
  }

  /** Whether none of them holds resources. */
  get isReleased(): boolean {
    return this.transports.size === 0
  }

  /** Whether they may be forgotten. An upgrade may outlive its candidate for a while. */
  get isOver(): boolean {
    return this.isReleased && this.upgrade === undefined
  }

  /** Handles a connection with the session's id: the candidate of an upgrade. */
  take<Carrier>(definition: TransportDefinition<Carrier>, carrier: Carrier): void {
    const { session } = this
    const { current } = session
    const make = definition.upgrade ?? definition.open
    if (!session.isOpen || this.upgrade !== undefined || current.handover === undefined) {
      // A refused candidate takes its time to close, too, and a shutdown waits for it.
      const refused = make(session, carrier, new Refused(this))
      this.transports.add(refused)
      return refused.close("server")
    }
    const upgrade = (this.upgrade = new Upgrade(this, current, current.handover, session.wheel))
    const candidate = make(session, carrier, upgrade)
    this.transports.add(candidate)
    upgrade.start(candidate, this.owner.options.upgradeTimeout)
  }

  /** The session or its transport has ended: the upgrade is over. */
  abortUpgrade(): void {
    this.upgrade?.abort()
  }

  abort(): void {
    this.abortUpgrade()
    for (const transport of Array.from(this.transports)) transport.abort()
  }

  /** One of them has released everything. */
  onOtherReleased(transport: ServerTransport): void {
    if (transport.scope !== undefined) this.owner.closeScope(transport.scope)
    this.transports.delete(transport)
    this.session.onOthersChanged()
  }

  // ---------------------------------------------------------------- the session for an upgrade

  get isOpen(): boolean {
    return this.session.isOpen
  }

  get isReading(): boolean {
    return this.session.isReading
  }

  changeTo(candidate: ServerTransport): void {
    const { session } = this
    this.transports.add(session.current)
    this.transports.delete(candidate)
    session.changeTo(candidate)
  }

  onUpgradeEnd(): void {
    this.upgrade = undefined
    this.session.onOthersChanged()
  }
}

/**
 * The receiver of a connection that was refused as a candidate: it only waits for the connection's
 * end.
 */
class Refused implements TransportSink {
  private readonly others: OtherTransports

  constructor(others: OtherTransports) {
    this.others = others
  }

  onPacket(): void {}
  onBinary(): void {}
  onAnswered(): void {}
  onDrain(): void {}
  onTransportClose(): void {}

  onTransportReleased(transport: ServerTransport): void {
    this.others.onOtherReleased(transport)
  }
}
