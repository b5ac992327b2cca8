import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { FromClientEncoded, FromServerEncoded, RequestEncoded } from "effect/rpc/RpcMessage"
import { RpcClientDefect, RpcClientError } from "effect/rpc/RpcClientError"

import type { SocketStatus } from "../../client/ClientSocket.ts"
import type { ClientFrame, RequestId, Resumed, ServerFrame } from "./frames.ts"

/**
 * The chunks of one stream that may wait for its reader. A server of this library sends `window` at
 * the most.
 */
const MAX_UNREAD = 1_000

/** The parts of the socket that calls need, and their options. */
export interface CallsHost {
  /** Sends a frame; dies if it cannot be encoded. */
  readonly emit: (frame: ClientFrame) => Effect.Effect<void>
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Whether calls wait for the connection. */
  readonly waits: boolean
  readonly maxWaiting: number
  readonly resumes: boolean
}

/** A call, from its request to the arrival of its answer. */
interface Call {
  readonly clientId: number
  readonly request: RequestEncoded
  /**
   * Ends the sending of the request, which takes as long as the call: so one call can fail alone.
   */
  readonly settle: (result: Effect.Effect<void, RpcClientError>) => void
  isSent: boolean
  /** The chunks that have come, and those that were read. */
  received: number
  acked: number
  /** The responses that wait for the reader of earlier ones; `undefined` if none is at work. */
  unread: Array<FromServerEncoded> | undefined
}

const failure = (message: string, cause: unknown): RpcClientError =>
  new RpcClientError({ reason: new RpcClientDefect({ message, cause }) })

/**
 * The calls of a client.
 *
 * Responses are handed on in their order for each call, and each call has an order of its own: a
 * stream that nobody reads holds up nothing but itself.
 */
export class Calls {
  private readonly host: CallsHost
  /** In the order of their requests. */
  private readonly calls = new Map<RequestId, Call>()
  private waiting = 0
  /** The RPC clients, and those of their calls whose responses came before they took any. */
  private readonly clients = new Map<number, (response: FromServerEncoded) => Effect.Effect<void>>()
  private readonly early = new Set<Call>()
  /** The session on the server; `undefined` while the socket is not connected. */
  private session: string | undefined
  /** The session before that, which may come back. */
  private former: string | undefined
  /** The server has been asked for the requests that it knows. */
  private isResuming = false
  /** The number of times that it was asked. */
  private question = 0
  /** The last one of which the server was told that nobody waits for it. */
  private stranger: RequestId | undefined
  /** Why the socket does not connect any more. */
  private refusal: RpcClientError | undefined
  private lost: RpcClientError = failure("not connected", undefined)

  constructor(host: CallsHost, session: string | undefined) {
    this.host = host
    this.session = session
  }

  private get isOpen(): boolean {
    return this.session !== undefined && !this.isResuming
  }

  /** An RPC client takes responses from now on; gives the function that ends that. */
  begin(clientId: number, take: (response: FromServerEncoded) => Effect.Effect<void>): () => void {
    this.clients.set(clientId, take)
    for (const call of Array.from(this.early)) {
      if (call.clientId !== clientId) continue
      this.early.delete(call)
      const first = call.unread?.shift()
      if (first === undefined) call.unread = undefined
      else this.handOn(call, first)
    }
    return () => {
      this.clients.delete(clientId)
      for (const call of Array.from(this.calls.values())) if (call.clientId === clientId) this.abandon(call)
    }
  }

  // ---------------------------------------------------------------- out

  send(clientId: number, frame: FromClientEncoded): Effect.Effect<void, RpcClientError> {
    if (frame._tag === "Request") return this.call(clientId, frame)
    return Effect.suspend(() => {
      if (frame._tag === "Interrupt") return this.interrupt(frame)
      if (frame._tag === "Ack") {
        const call = this.calls.get(frame.requestId)
        if (call === undefined) return Effect.void
        call.acked++
      }
      // After an outage the server is told how many were read.
      return this.isOpen ? this.host.emit(frame) : Effect.void
    })
  }

  private call(clientId: number, request: RequestEncoded): Effect.Effect<void, RpcClientError> {
    return Effect.callback<void, RpcClientError>((settle) => {
      const { maxWaiting, waits } = this.host
      if (!this.isOpen) {
        if (this.refusal !== undefined) return settle(this.refusal)
        // While the server is asked for its requests, the socket is connected.
        if (!waits && this.session === undefined) return settle(this.lost)
        if (this.waiting >= maxWaiting) return settle(failure(`${maxWaiting} calls wait for the connection`, undefined))
        this.waiting++
      }
      const call: Call = { clientId, request, settle, isSent: false, received: 0, acked: 0, unread: undefined }
      this.calls.set(request.id, call)
      if (this.isOpen) this.transmit(call)
    })
  }

  private transmit(call: Call): void {
    call.isSent = true
    const exit = this.host.run(this.host.emit(call.request)).pollUnsafe()
    // A payload that cannot be encoded is its caller's mistake.
    if (exit?._tag !== "Failure") return
    this.forget(call)
    call.settle(exit)
  }

  private interrupt(frame: Extract<FromClientEncoded, { _tag: "Interrupt" }>): Effect.Effect<void> {
    const call = this.calls.get(frame.requestId)
    if (call === undefined) return Effect.void
    this.forget(call)
    // A server that was not told, as the connection is lost, is told when it names the call.
    return call.isSent && this.isOpen ? this.host.emit(frame) : Effect.void
  }

  private forget(call: Call): void {
    this.calls.delete(call.request.id)
    if (!call.isSent) this.waiting--
    if (call.unread !== undefined) call.unread = []
    this.early.delete(call)
  }

  private fail(call: Call, error: RpcClientError): void {
    this.forget(call)
    call.settle(error)
  }

  // ---------------------------------------------------------------- in

  /** A frame has come. */
  receive(value: unknown): void {
    if (typeof value !== "object" || value === null) return
    // The server is trusted to keep the protocol. The schemas of the RPCs check its values.
    const frame = value as ServerFrame
    switch (frame._tag) {
      case "Chunk":
      case "Exit":
        return this.onResponse(frame)
      case "Defect":
        return this.onDefect(frame)
      case "Resumed":
        return this.onResumed(frame)
      case "Reset":
        if (frame.question === undefined) this.lost = failure("the server has lost an answer", undefined)
        else if (!this.isResuming || frame.question !== this.question) return
        this.failSent()
        return this.open()
    }
  }

  private onResponse(response: Extract<FromServerEncoded, { _tag: "Chunk" | "Exit" }>): void {
    const call = this.calls.get(response.requestId)
    if (call === undefined) return this.onStranger(response)
    // A server cannot answer what it was not sent.
    if (!call.isSent) return
    if (response._tag === "Exit") this.calls.delete(response.requestId)
    else {
      call.received++
      if (call.unread !== undefined && call.unread.length >= MAX_UNREAD) {
        this.fail(call, failure(`more than ${MAX_UNREAD} chunks wait for their reader`, undefined))
        return this.tell({ _tag: "Interrupt", requestId: response.requestId })
      }
    }
    if (call.unread === undefined) this.handOn(call, response)
    else call.unread.push(response)
  }

  /**
   * A response to a call that is over. A handler that goes on would wait for its reader as long as
   * the socket lives.
   */
  private onStranger({ _tag, requestId }: Extract<FromServerEncoded, { _tag: "Chunk" | "Exit" }>): void {
    if (_tag === "Exit" || requestId === this.stranger) return
    this.stranger = requestId
    this.tell({ _tag: "Interrupt", requestId })
  }

  /** Gives a response to the call's reader, and the next one when that has taken it. */
  private handOn(call: Call, response: FromServerEncoded): void {
    const { run } = this.host
    const take = this.clients.get(call.clientId)
    if (take === undefined) {
      call.unread = [response]
      return void this.early.add(call)
    }
    for (let next: FromServerEncoded | undefined = response; next !== undefined; next = call.unread?.shift()) {
      const fiber = run(take(next))
      const isLast = next._tag === "Exit"
      if (fiber.pollUnsafe() === undefined) {
        call.unread ??= []
        fiber.addObserver(() => {
          if (isLast) return call.settle(Effect.void)
          const following = call.unread?.shift()
          if (following === undefined) call.unread = undefined
          else this.handOn(call, following)
        })
        return
      }
      if (isLast) return call.settle(Effect.void)
    }
    call.unread = undefined
  }

  /** A call has died, and with it all others. The server still has them. */
  private onDefect(defect: FromServerEncoded): void {
    for (const call of Array.from(this.calls.values())) this.abandon(call)
    for (const take of Array.from(this.clients.values())) this.host.run(take(defect))
  }

  /** Nobody waits for a call any more: its handler is interrupted. */
  private abandon(call: Call): void {
    this.forget(call)
    if (call.isSent) this.tell({ _tag: "Interrupt", requestId: call.request.id })
    call.settle(Effect.void)
  }

  private tell(frame: ClientFrame): void {
    if (this.isOpen) this.host.run(this.host.emit(frame))
  }

  // ---------------------------------------------------------------- the connection

  /** The socket's status has changed. `mayResume`: the server keeps its session. */
  onStatus(status: SocketStatus, mayResume: boolean): void {
    switch (status._tag) {
      case "Connecting":
        this.refusal = undefined
        return
      case "Connected": {
        const isSame = status.recovered && status.id === (this.session ?? this.former)
        if (!isSame && this.session !== undefined)
          this.lost = failure("the client has moved to another server", undefined)
        this.session = status.id
        this.former = undefined
        if (isSame) {
          this.isResuming = true
          return void this.host.run(this.host.emit({ _tag: "Resume", question: ++this.question }))
        }
        this.failSent()
        return this.open()
      }
      case "Disconnected":
      case "Failed": {
        const isFailed = status._tag === "Failed"
        const { willRetry } = isFailed ? status.error : status
        // An attempt that fails is not the reason why the connection is lost.
        if (!isFailed || !willRetry) {
          const message = isFailed ? status.error.message : status.reason
          this.lost = failure(message, isFailed ? status.error : new Error(message))
        }
        this.former = this.session ?? this.former
        this.session = undefined
        this.isResuming = false
        if (!willRetry) {
          this.refusal = this.lost
          for (const call of Array.from(this.calls.values())) this.fail(call, this.lost)
        } else if (!mayResume || !this.host.resumes) this.failSent()
        return
      }
    }
  }

  private failSent(): void {
    for (const call of Array.from(this.calls.values())) if (call.isSent) this.fail(call, this.lost)
  }

  /**
   * The server tells the requests that it knows. Others were lost on their way; of some it does not
   * know yet that they are over.
   */
  private onResumed({ question, requests }: Resumed): void {
    if (!this.isResuming || question !== this.question) return
    this.isResuming = false
    const known = new Map(requests)
    for (const [requestId, chunks] of known) {
      const call = this.calls.get(requestId)
      if (call === undefined) this.tell({ _tag: "Interrupt", requestId })
      else if (call.received !== chunks) {
        this.fail(call, failure(`${chunks - call.received} chunks are missing after an outage`, undefined))
        this.tell({ _tag: "Interrupt", requestId })
      } else if (call.acked > 0) this.tell({ _tag: "Ack", requestId, total: call.acked })
    }
    for (const call of Array.from(this.calls.values())) {
      if (call.isSent && !known.has(call.request.id)) this.transmit(call)
    }
    this.open()
  }

  /** Sends the requests that wait. */
  private open(): void {
    this.isResuming = false
    for (const call of Array.from(this.calls.values())) {
      if (call.isSent) continue
      this.waiting--
      this.transmit(call)
    }
  }

  /** The scope closes: nobody answers any more. */
  end(): void {
    this.refusal = failure("the scope of the protocol is closed", undefined)
    this.session = undefined
    for (const call of Array.from(this.calls.values())) this.fail(call, this.refusal)
  }
}
