import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

import {
  decodePayload,
  describe,
  encodeFailure,
  encodePayload,
  encodeSuccess,
  type EventCodec
} from "../../internal/contractCodec.ts"
import { AckArguments } from "../ServerSocket.ts"
import { decodeAck, unsent } from "../../internal/decodeAck.ts"
import { refuseFunctions } from "../../internal/refuseFunctions.ts"
import type { AckError } from "../../SocketIoError.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import type { RunFork } from "./inbound.ts"

/** Handles an event of another server. */
export interface ServerEventHandler {
  readonly run: RunFork
  readonly codec: EventCodec | undefined
  readonly handle: (...args: Array<any>) => Effect.Effect<unknown, any, any>
}

/** A handler, and what it is doing. */
interface Registered extends ServerEventHandler {
  readonly fibers: Set<Fiber.Fiber<unknown, unknown>>
}

/** Takes the arguments of an answer; `undefined` where none will come. */
type Reply = (args: ReadonlyArray<unknown> | undefined) => void

/** The events that the servers of a cluster send to each other in a namespace. */
export class ServerEvents {
  private readonly home: NamespaceRuntime
  private handlers: Map<string, Set<Registered>> | undefined

  constructor(home: NamespaceRuntime) {
    this.home = home
  }

  /** Adds a handler; gives the function that takes it away and interrupts what it is doing. */
  on(event: string, handler: ServerEventHandler): () => void {
    this.home.joinCluster()
    const registered: Registered = { ...handler, fibers: new Set() }
    const handlers = (this.handlers ??= new Map<string, Set<Registered>>())
    let existing = handlers.get(event)
    if (existing === undefined) handlers.set(event, (existing = new Set()))
    existing.add(registered)
    return () => {
      if (existing.delete(registered) && existing.size === 0 && handlers.get(event) === existing) handlers.delete(event)
      for (const fiber of registered.fibers) fiber.interruptUnsafe()
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
    const answers = Stream.suspend((): Stream.Stream<ReadonlyArray<unknown>, AckError> => {
      try {
        return this.home.adapter.serverSideEmitWithAck(data(codec, event, args))
      } catch (defect) {
        return Stream.fromEffect(unsent(event, Cause.die(defect)))
      }
    })
    return codec === undefined ? answers : Stream.mapEffect(answers, (answer) => decodeAck(codec, answer))
  }

  /** Takes an event of another server. */
  receive([event, ...args]: readonly [event: string, ...args: Array<unknown>], reply: Reply | undefined): void {
    const handlers = Array.from(this.handlers?.get(event) ?? [])
    let asked = reply
    let running = handlers.length
    const answer: Reply = (args) => {
      // The first answer counts, and when the last handler is done without one, that does.
      if (args === undefined && running > 0) return
      asked?.(args)
      asked = undefined
    }
    if (running === 0) return answer(undefined)
    for (const handler of handlers) {
      this.start(handler, event, args, (exit) => {
        running--
        answer(this.answer(handler.codec, event, exit, asked !== undefined))
      })
    }
  }

  private start(
    { codec, fibers, handle, run }: Registered,
    event: string,
    args: ReadonlyArray<unknown>,
    onExit: (exit: Exit.Exit<unknown, any>) => void
  ): void {
    let payload: ReadonlyArray<unknown> = args
    if (codec !== undefined) {
      const decoded = decodePayload(codec, [event, ...args])
      if (decoded._tag === "Failure") return onExit(Exit.die(new Error(describe(decoded))))
      payload = [decoded.value]
    }
    const fiber = run(Effect.suspend(() => handle(...payload)))
    fibers.add(fiber)
    fiber.addObserver((exit) => {
      fibers.delete(fiber)
      onExit(exit)
    })
  }

  /** What a handler's exit answers, if the other server has asked; what is none of its declared answers is logged. */
  private answer(
    codec: EventCodec | undefined,
    event: string,
    exit: Exit.Exit<unknown, any>,
    isAsked: boolean
  ): ReadonlyArray<unknown> | undefined {
    let answer: () => ReadonlyArray<unknown>
    if (exit._tag === "Success") answer = () => successAnswer(codec, exit.value)
    else {
      const failure = codec?.event.hasError ? Cause.findErrorOption(exit.cause) : Option.none<unknown>()
      if (failure._tag === "None") return this.report(event, exit.cause)
      answer = () => encodeFailure(codec!, failure.value)
    }
    if (!isAsked) return undefined
    try {
      return answer()
    } catch (defect) {
      return this.report(event, Cause.die(defect))
    }
  }

  private report(event: string, cause: Cause.Cause<unknown>): undefined {
    if (Cause.hasInterruptsOnly(cause)) return
    const { home } = this
    // Others' clients may bring it about: the namespace's lines are limited as a client's are.
    home.server.error("handler of a server's event failed", cause, { event, namespace: home.name }, home)
  }
}

const data = (
  codec: EventCodec | undefined,
  event: string,
  args: ReadonlyArray<unknown>
): readonly [event: string, ...args: Array<unknown>] => {
  if (codec !== undefined) return encodePayload(codec, args[0])
  refuseFunctions(event, args)
  return [event, ...args]
}

const successAnswer = (codec: EventCodec | undefined, value: unknown): ReadonlyArray<unknown> => {
  if (codec !== undefined) return encodeSuccess(codec, value)
  return value === undefined ? [] : value instanceof AckArguments ? value.values : [value]
}
