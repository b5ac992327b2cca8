import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type { FromClientEncoded, FromServerEncoded, RequestEncoded } from "effect/rpc/RpcMessage"

import { costOf } from "../../internal/cost.ts"
import { logText } from "../../internal/logText.ts"
import { SESSION, type WithSession } from "../../internal/socketSession.ts"
import type { ServerConnection } from "../../server/ServerConnection.ts"
import type { RequestId, Resumed, ServerFrame, TotalAck } from "./frames.ts"
import { readFrame, type Refused } from "./reading.ts"
import { CurrentSlot, Slot, type UntypedSocket } from "./slot.ts"

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
  /** A frame may never reach its client. */
  readonly onLost: (peer: Peer) => void
}

/**
 * The memory of a request beside its frame, as measured: the handler's fiber, its context, its
 * scope and its span.
 */
const REQUEST = 6_500

/** The slots of a peer that wait for requests: each keeps a context for every RPC it has had. */
const MAX_FREE = 16

// Ids that clients cannot choose: theirs are shorter.

/** The ids of notifications, which have none. */
const NOTIFICATION = `notification ${"-".repeat(64)} `

/** The ids of requests that the RPC server knows by another id. */
const AGAIN = `again ${"-".repeat(64)} `

/** The end of a request that was interrupted before its handler has started. */
const interrupted = (requestId: RequestId): FromServerEncoded => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: undefined }] }
})

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
  /** By the ids that the client knows; also those that are answered and not at their end yet. */
  private readonly requests = new Map<RequestId, Slot>()
  /** Those at their end whose ids have had later requests, by their ids for the RPC server. */
  private readonly closing = new Map<RequestId, Slot>()
  /** Those that the RPC server knows by another id, by that. */
  private readonly renamed = new Map<RequestId, Slot>()
  private free: Array<Slot> = []
  private cost = 0
  private load: Load
  private lastNumber = 0
  /** Frames that the RPC server has not taken yet. */
  private readonly taking = new Set<Fiber.Fiber<void>>()
  /** The client sends nothing any more. */
  private isClosing = false
  /** The client may ask for the requests that are known: once for each return. */
  private mayAsk: boolean
  /** The client has come back to its requests. */
  private isBack = false
  isEnded = false
  /** Its session has ended, or is at another server: nobody comes back to it. */
  isForgotten = false
  private readonly onLost = () => this.host.onLost(this)

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
    this.addLoad(-this.inFlight, -this.cost)
    this.load = this.host.loadOf(socket.connection)
    this.addLoad(this.inFlight, this.cost)
  }

  /** The client has left, and may come back: it has another context then. */
  onAway(): void {
    this.free = []
  }

  private get inFlight(): number {
    return this.requests.size + this.closing.size
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
    this.addLoad(-this.inFlight, -this.cost)
    this.requests.clear()
    this.closing.clear()
    this.renamed.clear()
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
        return this.onInterrupt(frame.requestId)
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
    const former = isNotification ? undefined : this.requests.get(frame.id)
    // The RPC server would interrupt its caller.
    if (former?.isAnswered === false) return this.refuse(refusedRequest("an id is used twice"))
    const cost = REQUEST + costOf(value)
    const { load } = this
    if (load.requests >= options.maxInFlight || load.cost + cost > options.maxInFlightBytes) {
      const message = `too many requests in flight: ${load.requests}`
      return this.refuse(refusedRequest(message, isNotification ? undefined : frame.id), "in flight")
    }
    const id = isNotification ? NOTIFICATION + this.lastNumber++ : frame.id
    const isAgain = former !== undefined || this.closing.has(id)
    const serverId = isAgain ? AGAIN + this.lastNumber++ : id
    const slot = this.free.pop() ?? new Slot(this.socket, this.services)
    slot.take(this, frame, id, serverId, cost)
    if (former !== undefined) this.closing.set(former.serverId, former)
    if (isAgain) this.renamed.set(serverId, slot)
    this.requests.set(id, slot)
    this.cost += cost
    this.addLoad(1, cost)
    // A discarded request is answered when its handler starts: that is the moment from which on the
    // end of a handler without an answer can be seen.
    const { isNotification: _, ...request } = frame
    if (isNotification) return this.forward({ ...request, id, discard: true }, slot)
    return this.forward(isAgain ? { ...frame, id: serverId } : frame, slot)
  }

  /** The request that the RPC server means. */
  private slotOf(serverId: RequestId): Slot | undefined {
    const slot = this.requests.get(serverId)
    return slot?.serverId === serverId ? slot : this.renamed.get(serverId)
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
    return this.forward({ _tag: "Ack", requestId: slot.serverId })
  }

  private onInterrupt(id: RequestId): Effect.Effect<void> {
    const slot = this.requests.get(id)
    if (slot === undefined || slot.isInterrupted || slot.isNotification) return Effect.void
    slot.isInterrupted = true
    const { serverId, taking } = slot
    if (taking === undefined) return this.forward({ _tag: "Interrupt", requestId: serverId })
    // The RPC server does not know it yet.
    taking.interruptUnsafe()
    this.release(slot)
    return this.emit(interrupted(id))
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
    const isOpen = id !== undefined && this.requests.get(id)?.isAnswered === false
    return id === undefined || isOpen ? told : Effect.andThen(told, this.emit(die(id, message)))
  }

  /**
   * Gives a frame to the RPC server, which mostly takes it at once. Otherwise, as while a payload
   * is decoded, this is no part of the event: with recovery it may outlive the socket.
   */
  private forward(frame: FromClientEncoded, slot?: Slot): Effect.Effect<void> {
    const fiber = Effect.runForkWith(slot?.context ?? this.services)(this.host.write(this.id, frame))
    if (fiber.pollUnsafe() !== undefined) return Effect.void
    this.taking.add(fiber)
    if (slot !== undefined) slot.taking = fiber
    fiber.addObserver(() => {
      this.taking.delete(fiber)
      if (slot?.taking === fiber) slot.taking = undefined
    })
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
    const slot = this.slotOf(chunk.requestId)
    if (slot === undefined) return Effect.void
    const { id } = slot
    const sent = this.emit(id === chunk.requestId ? chunk : { ...chunk, requestId: id })
    if (++slot.chunks - slot.acked >= this.host.options.window) {
      slot.isWaiting = true
      return sent
    }
    return Effect.andThen(sent, this.host.write(this.id, { _tag: "Ack", requestId: chunk.requestId }))
  }

  private sendExit(exit: Extract<FromServerEncoded, { _tag: "Exit" }>): Effect.Effect<void> {
    const slot = this.slotOf(exit.requestId)
    if (slot === undefined) return this.emit(exit)
    const { id, isNotification } = slot
    if (isNotification) return this.releaseAtEnd(slot)
    const sent = this.emit(id === exit.requestId ? exit : { ...exit, requestId: id })
    return Effect.andThen(sent, this.releaseAtEnd(slot))
  }

  /**
   * The client has its answer. The fiber that has given it is at work until the handler's scope has
   * closed; that of a discarded request, until its handler has ended.
   */
  private releaseAtEnd(slot: Slot): Effect.Effect<void> {
    return Effect.withFiber((fiber) => {
      slot.isAnswered = true
      fiber.addObserver(() => this.release(slot))
      return Effect.void
    })
  }

  /**
   * A request has died, and with it all requests of its client, which does not hear of it by its
   * id.
   */
  private readonly releaseCurrent = Effect.contextWith((context: Context.Context<never>) => {
    const slot = Context.getOption(context, CurrentSlot)
    return slot._tag === "Some" ? this.releaseAtEnd(slot.value) : Effect.void
  })

  private release(slot: Slot): void {
    if (slot.owner !== this) return
    if (this.requests.get(slot.id) === slot) this.requests.delete(slot.id)
    else if (!this.closing.delete(slot.serverId)) return
    if (slot.serverId !== slot.id) this.renamed.delete(slot.serverId)
    this.cost -= slot.cost
    this.addLoad(-1, -slot.cost)
    slot.owner = undefined
    // Those of an earlier socket are not used again.
    const { free, socket } = this
    if (slot.socket === socket && socket.connected && free.length < MAX_FREE) free.push(slot)
  }

  /** Sends a frame. Once the connection is lost, a client that may come back gets it then. */
  emit(frame: ServerFrame): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { isRecoverable, socket } = this
      if (this.isEnded) return Effect.void
      const { event } = this.host.options
      if (!isRecoverable) return socket.connected ? socket.emit(event, frame) : Effect.void
      return (socket as unknown as WithSession)[SESSION].emit(event, frame, this.onLost)
    })
  }
}

const refusedRequest = (message: string, id?: RequestId): Refused => ({ _tag: "Refused", message, id })
