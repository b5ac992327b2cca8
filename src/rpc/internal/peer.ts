import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type { FromClientEncoded, FromServerEncoded, RequestEncoded } from "effect/rpc/RpcMessage"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"

import { costOf } from "../../internal/cost.ts"
import { logText } from "../../internal/logText.ts"
import type * as Namespace from "../../Namespace.ts"
import type { ServerConnection } from "../../server/ServerConnection.ts"
import type { ServerSocket } from "../../server/ServerSocket.ts"
import { CurrentSocket } from "../SocketIoRpc.ts"
import type { RequestId, Resumed, ServerFrame, TotalAck } from "./frames.ts"
import { readFrame, type Refused } from "./reading.ts"

/** Frames and requests of clients that were refused, by `reason`: `frame`, `in flight`. */
export const refusals: Metric.Counter<number> = Metric.counter("socketio_rpc_refusals", {
  description: "Frames and requests of RPC clients that were refused",
  incremental: true
})

const refusalsOf = {
  frame: Metric.withAttributes(refusals, { reason: "frame" }),
  "in flight": Metric.withAttributes(refusals, { reason: "in flight" })
}

export interface PeerOptions {
  readonly event: string
  readonly window: number
  readonly maxInFlight: number
  readonly maxInFlightBytes: number
  readonly maxAwayBytes: number
}

/** The requests in flight of a connection, over all of its sockets. */
export interface Load {
  requests: number
  cost: number
}

/** The parts that all peers share. */
export interface PeerHost {
  readonly options: PeerOptions
  readonly loadOf: (connection: ServerConnection) => Load
  /** Gives a frame to the RPC server. */
  readonly write: (peer: number, frame: FromClientEncoded) => Effect.Effect<void>
  /** Sends to a client that is away, and may come back. */
  readonly sendAway: (peer: Peer, frame: ServerFrame) => Effect.Effect<void>
}

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
  peer: Peer | undefined
  id: RequestId = ""
  cost = 0
  chunks = 0
  acked = 0
  /** The stream waits for the client's acknowledgement. */
  isWaiting = false
  /** The client gets nothing. */
  isNotification = false
  /** The client gets the news that the handler has started, and nothing after it. */
  isDiscarded = false
  /** The client has its answer, and the handler is still at work. */
  isAnswered = false
  isInterrupted = false

  constructor(socket: UntypedSocket, services: Context.Context<never>) {
    this.socket = socket
    this.services = services
    // No other service of the builder: they would take the place of those of the RPC's own layer.
    this.context = Context.make(CurrentSlot, this as Slot).pipe(
      Context.add(CurrentSocket, socket),
      Context.add(Scheduler.Scheduler, Context.get(services, Scheduler.Scheduler))
    )
  }

  take(peer: Peer, { discard, id, isNotification }: RequestEncoded, cost: number): void {
    this.peer = peer
    this.id = id
    this.cost = cost
    this.chunks = this.acked = 0
    this.isWaiting = this.isAnswered = this.isInterrupted = false
    this.isNotification = isNotification === true
    this.isDiscarded = discard === true || this.isNotification
  }
}

/** The request that a fiber handles. */
export class CurrentSlot extends Context.Service<CurrentSlot, Slot>()("effect-socket.io/rpc/CurrentSlot") {}

/**
 * The memory of a request beside its frame, as measured: the handler's fiber, its context, its
 * scope and its span.
 */
const REQUEST = 6_500

/** The ids of notifications, which have none. They are longer than those of clients may be. */
const NOTIFICATION = `notification ${"-".repeat(64)} `

const die = (requestId: RequestId, defect: string): FromServerEncoded => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Failure", cause: [{ _tag: "Die", defect }] }
})

/**
 * A client of the RPC server: a socket, and with recovery all the sockets of its session.
 *
 * The RPC server bounds nothing, and tells nothing of requests that have ended without an answer.
 * So the peer keeps each request until its handler has ended.
 */
export class Peer {
  readonly id: number
  readonly namespace: string
  readonly sid: string
  /** Whether its client may come back. */
  readonly isRecoverable: boolean
  private readonly host: PeerHost
  socket: UntypedSocket
  private services: Context.Context<never>
  private readonly requests = new Map<RequestId, Slot>()
  private free: Array<Slot> = []
  private cost = 0
  private load: Load
  private notifications = 0
  /** Frames that the RPC server has not taken yet. */
  private readonly taking = new Set<Fiber.Fiber<void>>()
  /** The client sends nothing any more. */
  private isClosing = false
  /** The client may ask for the requests that are known: once for each return. */
  private mayAsk: boolean
  /** The client has come back to its requests. */
  private isBack = false
  isEnded = false

  constructor(host: PeerHost, id: number, socket: UntypedSocket, services: Context.Context<never>) {
    this.host = host
    this.id = id
    this.namespace = socket.namespace
    this.sid = socket.id
    this.isRecoverable = socket.recoverable
    this.socket = socket
    this.services = services
    this.mayAsk = socket.recovered
    this.load = host.loadOf(socket.connection)
  }

  /** The memory of the requests whose handlers have not ended. */
  get memory(): number {
    return this.cost
  }

  /** The client is back, on another socket. */
  bind(socket: UntypedSocket, services: Context.Context<never>): void {
    this.socket = socket
    this.services = services
    this.free = []
    this.isBack = this.mayAsk = true
    this.addLoad(-this.requests.size, -this.cost)
    this.load = this.host.loadOf(socket.connection)
    this.addLoad(this.requests.size, this.cost)
  }

  private addLoad(requests: number, cost: number): void {
    this.load.requests += requests
    this.load.cost += cost
  }

  /** The requests of which the client has to know after an outage. */
  private resumed(question: number): Resumed {
    const open = Array.from(this.requests.values()).filter(
      ({ isAnswered, isNotification }) => !isAnswered && !isNotification
    )
    return { _tag: "Resumed", question, requests: open.map(({ chunks, id }) => [id, chunks]) }
  }

  /** The client will not come back. */
  end(): void {
    this.isEnded = true
    for (const fiber of this.taking) fiber.interruptUnsafe()
    this.addLoad(-this.requests.size, -this.cost)
    this.requests.clear()
    this.free = []
  }

  // ---------------------------------------------------------------- in

  /**
   * A frame has come. The effect is that of the event's handler: it waits where the answer has to
   * wait for the client, so that the client is not read any more.
   */
  receive(value: unknown): Effect.Effect<void> {
    if (this.isEnded || this.isClosing) return Effect.void
    const frame = readFrame(value)
    switch (frame._tag) {
      case "Request":
        return this.onRequest(frame, value)
      case "Ack":
        return this.onAck(frame.requestId, "total" in frame ? frame : undefined)
      case "Interrupt":
        return this.onInterrupt(frame)
      case "Ping":
        return this.emit({ _tag: "Pong" })
      case "Resume":
        return this.onResume(frame.question)
      case "Eof":
        this.isClosing = true
        return this.forward(frame)
      case "Refused":
        return this.refuse(frame)
    }
  }

  private onRequest(frame: RequestEncoded, value: unknown): Effect.Effect<void> {
    const { options } = this.host
    const { isNotification } = frame
    // The RPC server would interrupt its caller.
    if (!isNotification && this.requests.has(frame.id)) return this.refuse(refusedRequest("an id is used twice"))
    const cost = REQUEST + costOf(value)
    const { load } = this
    if (load.requests >= options.maxInFlight || load.cost + cost > options.maxInFlightBytes) {
      const message = `too many requests in flight: ${load.requests}`
      return this.refuse(refusedRequest(message, isNotification ? undefined : frame.id), "in flight")
    }
    const id = isNotification ? NOTIFICATION + this.notifications++ : frame.id
    const slot = this.free.pop() ?? new Slot(this.socket, this.services)
    slot.take(this, { ...frame, id }, cost)
    this.requests.set(id, slot)
    this.cost += cost
    this.addLoad(1, cost)
    // A discarded request is answered when its handler starts: that is the moment from which on the
    // end of a handler without an answer can be seen.
    const { isNotification: _, ...request } = frame
    return this.forward(isNotification ? { ...request, id, discard: true } : frame, slot.context)
  }

  private onAck(id: RequestId, total: TotalAck | undefined): Effect.Effect<void> {
    const slot = this.requests.get(id)
    if (slot === undefined) return Effect.void
    const acked = total === undefined ? slot.acked + 1 : total.total
    // More than were sent, or fewer than before, would change the window.
    if (acked > slot.chunks || acked < slot.acked) return Effect.void
    slot.acked = acked
    if (!slot.isWaiting || slot.chunks - acked >= this.host.options.window) return Effect.void
    slot.isWaiting = false
    return this.forward({ _tag: "Ack", requestId: id })
  }

  private onInterrupt(frame: FromClientEncoded & { readonly requestId: RequestId }): Effect.Effect<void> {
    const slot = this.requests.get(frame.requestId)
    if (slot === undefined || slot.isInterrupted || slot.isNotification) return Effect.void
    slot.isInterrupted = true
    return this.forward(frame)
  }

  private onResume(question: number): Effect.Effect<void> {
    if (!this.mayAsk) return this.refuse(refusedRequest("the client has not recovered, or has asked already"))
    this.mayAsk = false
    return this.emit(this.isBack ? this.resumed(question) : { _tag: "Reset", question })
  }

  /** A frame breaks a rule, or the request is one too many. A request with an id is answered. */
  private refuse({ id, message }: Refused, reason: "frame" | "in flight" = "frame"): Effect.Effect<void> {
    const told = Effect.andThen(
      Metric.update(refusalsOf[reason], 1),
      Effect.annotateLogs(Effect.logDebug(`RPC frame refused: ${message}`), {
        sid: this.sid,
        namespace: logText(this.namespace)
      })
    )
    return id === undefined || this.requests.has(id) ? told : Effect.andThen(told, this.emit(die(id, message)))
  }

  /**
   * Gives a frame to the RPC server, which mostly takes it at once. Otherwise, as while a payload
   * is decoded, this is no part of the event: with recovery it may outlive the socket.
   */
  private forward(frame: FromClientEncoded, context: Context.Context<never> = this.services): Effect.Effect<void> {
    const fiber = Effect.runForkWith(context)(this.host.write(this.id, frame))
    if (fiber.pollUnsafe() !== undefined) return Effect.void
    this.taking.add(fiber)
    fiber.addObserver(() => this.taking.delete(fiber))
    return Effect.void
  }

  // ---------------------------------------------------------------- out

  /**
   * Sends a response of the RPC server. It runs in the fiber of the request, if it is about one.
   */
  send(response: FromServerEncoded): Effect.Effect<void> {
    if (this.isEnded) return Effect.void
    switch (response._tag) {
      case "Chunk":
        return this.sendChunk(response)
      case "Exit":
        return this.sendExit(response)
      case "Defect":
        return Effect.andThen(this.emit(response), this.releaseCurrent)
      default:
        return this.emit(response)
    }
  }

  private sendChunk(chunk: Extract<FromServerEncoded, { _tag: "Chunk" }>): Effect.Effect<void> {
    const slot = this.requests.get(chunk.requestId)
    if (slot === undefined) return Effect.void
    const sent = this.emit(chunk)
    if (++slot.chunks - slot.acked >= this.host.options.window) {
      slot.isWaiting = true
      return sent
    }
    return Effect.andThen(sent, this.host.write(this.id, { _tag: "Ack", requestId: chunk.requestId }))
  }

  private sendExit(exit: Extract<FromServerEncoded, { _tag: "Exit" }>): Effect.Effect<void> {
    const slot = this.requests.get(exit.requestId)
    if (slot === undefined) return this.emit(exit)
    const sent = slot.isNotification ? Effect.void : this.emit(exit)
    // The handler of a discarded request has started. Its scope closes with it.
    if (slot.isDiscarded && exit.exit._tag === "Success") {
      return Effect.andThen(sent, this.releaseWithScope(slot))
    }
    return Effect.andThen(
      sent,
      Effect.sync(() => this.release(slot))
    )
  }

  private releaseWithScope(slot: Slot): Effect.Effect<void> {
    return Effect.contextWith((context: Context.Context<never>) => {
      slot.isAnswered = true
      const scope = Context.getOption(context, Scope.Scope)
      const release = Effect.sync(() => this.release(slot))
      return scope._tag === "None" ? release : Scope.addFinalizer(scope.value, release)
    })
  }

  /**
   * A request has died, and with it all requests of its client, which does not hear of it by its
   * id.
   */
  private readonly releaseCurrent = Effect.contextWith((context: Context.Context<never>) => {
    const slot = Context.getOption(context, CurrentSlot)
    if (slot._tag === "Some") this.release(slot.value)
    return Effect.void
  })

  private release(slot: Slot): void {
    if (slot.peer !== this || this.requests.get(slot.id) !== slot) return
    this.requests.delete(slot.id)
    this.cost -= slot.cost
    this.addLoad(-1, -slot.cost)
    slot.peer = undefined
    // Those of an earlier socket are not used again.
    if (slot.socket === this.socket) this.free.push(slot)
  }

  /** Sends a frame. Once the connection is lost, a client that may come back gets it then. */
  emit(frame: ServerFrame): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isEnded) return Effect.void
      if (this.socket.connected) return this.socket.emit(this.host.options.event, frame)
      return this.isRecoverable ? this.host.sendAway(this, frame) : Effect.void
    })
  }
}

const refusedRequest = (message: string, id?: RequestId): Refused => ({ _tag: "Refused", message, id })
