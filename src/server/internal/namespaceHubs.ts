import type { RoomChange } from "../../adapter/Adapter.ts"
import type { Disconnection, SessionEnd } from "../NamespaceHandle.ts"
import type { Emission } from "./emissions.ts"
import { Hub } from "./hub.ts"
import type { SocketRuntime } from "./socket.ts"

/** An event of a client. */
export interface InboundEvent {
  readonly socket: SocketRuntime
  readonly event: string
  /** Its payload, where the contract declares it; otherwise its arguments. */
  readonly value: unknown
  readonly isDeclared: boolean
  /** The event's name and its wire arguments. */
  readonly data: ReadonlyArray<unknown>
}

/** The session of a client has ended, or this server has lost it to another one. */
export type SessionNews = SessionEnd | { readonly sid: string; readonly reason: "lost" }

/** The hubs of a namespace's news. */
export class NamespaceHubs {
  readonly connections = new Hub<SocketRuntime>()
  readonly disconnections = new Hub<Disconnection>()
  readonly rooms = new Hub<RoomChange>()
  readonly broadcasts = new Hub<Emission>()
  readonly events = new Hub<InboundEvent>()
  readonly sessionEnds = new Hub<SessionNews>()

  close(): void {
    this.connections.close()
    this.disconnections.close()
    this.rooms.close()
    this.broadcasts.close()
    this.events.close()
    this.sessionEnds.close()
  }
}
