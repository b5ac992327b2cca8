import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"

import { decodePayload, describe, encodePayload, type EventCodec, getOrThrow } from "../../internal/contractCodec.ts"
import { AckArguments } from "../ServerSocket.ts"
import { decodeAck } from "./acks.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import type { RunFork } from "./inbound.ts"

/** Handles an event of another server. */
export interface ServerEventHandler {
  readonly run: RunFork
  readonly codec: EventCodec | undefined
  readonly handle: (...args: Array<any>) => Effect.Effect<unknown, any, any>
}

/** The events that the servers of a cluster send to each other in a namespace. */
export class ServerEvents {
  private readonly home: NamespaceRuntime
  private handlers: Map<string, Set<ServerEventHandler>> | undefined

  constructor(home: NamespaceRuntime) {
    this.home = home
  }

  /** Adds a handler; gives the function that takes it away. */
  on(event: string, handler: ServerEventHandler): () => void {
    this.home.joinCluster()
    const handlers = (this.handlers ??= new Map<string, Set<ServerEventHandler>>())
    let existing = handlers.get(event)
    if (existing === undefined) handlers.set(event, (existing = new Set()))
    existing.add(handler)
    return () => {
      if (existing.delete(handler) && existing.size === 0 && handlers.get(event) === existing) handlers.delete(event)
    }
  }

  /** The codec of an event that the contract declares between servers. */
  codec(event: string): EventCodec {
    const codec = this.home.contract?.serverToServer.get(event)
    if (codec === undefined) {
      throw new Error(`"${event}" is not among the events between servers of "${this.home.name}"`)
    }
    return codec
  }

  emit(codec: EventCodec | undefined, event: string, args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => this.home.adapter.serverSideEmit(data(codec, event, args)))
  }

  emitWithAck(codec: EventCodec | undefined, event: string, args: ReadonlyArray<unknown>): Stream.Stream<any, any> {
    const answers = Stream.suspend(() => this.home.adapter.serverSideEmitWithAck(data(codec, event, args)))
    return codec === undefined ? answers : Stream.mapEffect(answers, (answer) => decodeAck(codec, answer))
  }

  /** Takes an event of another server. */
  receive(
    [event, ...args]: readonly [event: string, ...args: Array<unknown>],
    reply: ((args: ReadonlyArray<unknown>) => void) | undefined
  ): void {
    let answered = reply === undefined
    for (const handler of Array.from(this.handlers?.get(event) ?? [])) {
      this.start(handler, event, args, (exit) => {
        if (exit._tag === "Failure") return this.report(event, exit.cause)
        if (answered) return
        answered = true
        reply!(answer(handler.codec, exit.value))
      })
    }
  }

  private start(
    { codec, handle, run }: ServerEventHandler,
    event: string,
    args: ReadonlyArray<unknown>,
    onExit: (exit: Exit.Exit<unknown, any>) => void
  ): void {
    let payload: ReadonlyArray<unknown> = args
    if (codec !== undefined) {
      const decoded = decodePayload(codec, [event, ...args])
      if (decoded._tag === "Failure") return this.report(event, Cause.die(new Error(describe(decoded))))
      payload = [decoded.value]
    }
    run(Effect.suspend(() => handle(...payload))).addObserver(onExit)
  }

  private report(event: string, cause: Cause.Cause<unknown>): void {
    if (Cause.hasInterruptsOnly(cause)) return
    this.home.server.error("handler of a server's event failed", cause, { event, namespace: this.home.name })
  }
}

const data = (
  codec: EventCodec | undefined,
  event: string,
  args: ReadonlyArray<unknown>
): readonly [event: string, ...args: Array<unknown>] =>
  codec === undefined ? [event, ...args] : encodePayload(codec, args[0])

const answer = (codec: EventCodec | undefined, value: unknown): ReadonlyArray<unknown> => {
  if (codec === undefined) {
    return value === undefined ? [] : value instanceof AckArguments ? value.values : [value]
  }
  if (!codec.event.hasAck || codec.ackIsVoid) return []
  return [getOrThrow(codec.ack.encode(value), `acknowledgement of "${codec.event._tag}"`)]
}
