import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import type { RequestEncoded } from "effect/rpc/RpcMessage"
import * as Scheduler from "effect/Scheduler"

import type * as Namespace from "../../Namespace.ts"
import type { ServerSocket } from "../../server/ServerSocket.ts"
import { CurrentSocket } from "../SocketIoRpc.ts"
import type { RequestId } from "./frames.ts"

/** A socket, whatever its contract is. */
export type UntypedSocket = ServerSocket<Namespace.Untyped>

/**
 * A request of a peer. Its context is that of the handler. It is used again for later requests of
 * the same socket, as `RpcServer` prepares something for every context that it sees.
 */
export class Slot {
  readonly socket: UntypedSocket
  /** The services of the builder that has attached the socket. */
  readonly services: Context.Context<never>
  readonly context: Context.Context<never>
  /** The peer that has it; `undefined` if it is free. */
  owner: object | undefined
  id: RequestId = ""
  /** Its id for the RPC server: another one if an earlier request of the same id is at its end. */
  serverId: RequestId = ""
  cost = 0
  chunks = 0
  acked = 0
  /** The stream waits for the client's acknowledgement. */
  isWaiting = false
  /** The client gets nothing. */
  isNotification = false
  /** The client gets the news that the handler has started, and nothing after it. */
  isDiscarded = false
  /** The client has its answer, and the handler or its finalizers are still at work. */
  isAnswered = false
  isInterrupted = false
  /** At work until the RPC server has taken the request: it is being decoded. */
  taking: Fiber.Fiber<void> | undefined

  constructor(socket: UntypedSocket, services: Context.Context<never>) {
    this.socket = socket
    this.services = services
    // No other service of the builder: they would take the place of those of the RPC's own layer.
    this.context = Context.make(CurrentSlot, this as Slot).pipe(
      Context.add(CurrentSocket, socket),
      Context.add(Scheduler.Scheduler, Context.get(services, Scheduler.Scheduler))
    )
  }

  take(
    owner: object,
    { discard, isNotification }: RequestEncoded,
    id: RequestId,
    serverId: RequestId,
    cost: number
  ): void {
    this.owner = owner
    this.id = id
    this.serverId = serverId
    this.cost = cost
    this.chunks = this.acked = 0
    this.isWaiting = this.isAnswered = this.isInterrupted = false
    this.isNotification = isNotification === true
    this.isDiscarded = discard === true || this.isNotification
  }
}

/** The request that a fiber handles. */
export class CurrentSlot extends Context.Service<CurrentSlot, Slot>()("effect-socket.io/rpc/CurrentSlot") {}
