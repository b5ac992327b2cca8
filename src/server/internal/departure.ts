import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import { CONTROL_ID } from "../../internal/controlEvents.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import type { Wire } from "./wire.ts"

/** The time for handlers that run to answer before the connection closes, in milliseconds. */
const SETTLING = 1_000

/** The pause between two looks at the handlers, in milliseconds. */
const PAUSE = 20

/** A connection, as it departs. */
export interface Departing {
  /** Whether its client moves to another server when it is asked to. */
  readonly canMove: boolean
  /** The events that wait for their handlers, or whose handlers run. */
  readonly inFlight: number
  /** The acknowledgements that its client owes. */
  readonly owedAcks: number
  readonly session: { sendUnsafe(message: OutboundMessage): void; onDefect(defect: unknown): void }
  readonly environment: { readonly wheel: TimerWheel; readonly wire: Wire }
  /** The acknowledgements that its client owes will not come. */
  abandonAcks(): void
}

type State =
  /** The client was asked to move, and has not said that nothing more comes. */
  | { readonly _tag: "Asked" }
  /** Handlers that run may answer until a time. `next` follows. */
  | { readonly _tag: "Settling"; readonly until: number; readonly next: () => void }
  /**
   * Nothing is sent to the sockets any more. `next` follows when the handlers have ended: the
   * engine limits the time for that.
   */
  | { readonly _tag: "Silent"; readonly next: (() => void) | undefined }

/**
 * The departure of a connection from a server that is to end.
 *
 * A client that can move is asked to. It opens a connection to another server, and then says
 * that nothing more comes over this one. When the events before that are handled, it is told to
 * join its namespaces over there. From then on it gets only acknowledgements here, until the
 * handlers that still run have given them. So its events start in order, and no other socket of it
 * gets the same message.
 *
 * Other clients are closed when the handlers that run have answered, or a moment later: they cannot
 * be told to stop sending.
 */
export class Departure implements WheelEntry {
  bucket: number = IDLE
  private readonly connection: Departing
  private readonly leave: () => void
  private state: State = { _tag: "Asked" }

  constructor(connection: Departing, leave: () => void) {
    this.connection = connection
    this.leave = leave
  }

  /** Whether nothing is sent to the sockets any more. */
  get isSilent(): boolean {
    return this.state._tag === "Silent"
  }

  start(within: number): void {
    if (this.connection.canMove) return this.tell(["~fx:move", { within }])
    this.settle(() => {
      this.state = { _tag: "Silent", next: undefined }
      this.leave()
    })
  }

  /** The client sends nothing more over this connection. Returns whether the packet says that. */
  onPacket({ id, namespace, type }: SocketPacket): boolean {
    if (this.state._tag !== "Asked" || type !== PacketType.ACK || id !== CONTROL_ID || namespace !== "/") return false
    this.settle(() => {
      this.state = { _tag: "Silent", next: this.leave }
      this.tell(["~fx:moved"])
      this.onDeadline()
    })
    return true
  }

  /** The client has left: handlers end. */
  onLeft(end: () => void): void {
    this.state = { _tag: "Silent", next: end }
    this.connection.abandonAcks()
    this.onDeadline()
  }

  private tell(event: ReadonlyArray<unknown>): void {
    const { environment, session } = this.connection
    session.sendUnsafe(environment.wire.controlEvent(event, CONTROL_ID))
  }

  private settle(next: () => void): void {
    this.state = { _tag: "Settling", until: this.connection.environment.wheel.now() + SETTLING, next }
    this.onDeadline()
  }

  onDeadline(): void {
    const { connection, state } = this
    if (state._tag === "Asked") return
    const { wheel } = connection.environment
    const isIdle = connection.inFlight === 0 && connection.owedAcks === 0
    const mayWait = state._tag === "Silent" || wheel.now() < state.until
    if (!isIdle && mayWait) return wheel.schedule(this, PAUSE)
    wheel.cancel(this)
    if (state._tag === "Silent") this.state = { _tag: "Silent", next: undefined }
    state.next?.()
  }

  onDefect(defect: unknown): void {
    this.connection.session.onDefect(defect)
  }
}
