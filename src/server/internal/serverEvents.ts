import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

import { decodePayload, describe, encodeFailure, encodeSuccess, type EventCodec } from "../../internal/contractCodec.ts"
import type { Adapter } from "../../adapter/Adapter.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { decodeAck, unsent } from "../../internal/decodeAck.ts"
import { betweenServers, encodeServerEvent } from "../../internal/emits.ts"
import type { AckError, ServersMissingError } from "../../SocketIoError.ts"
import type { TraceContext } from "../../TraceContext.ts"
import { AckArguments } from "../ServerSocket.ts"
import type { Environment } from "./environment.ts"
import type { Broadcaster, RunFork } from "./ports.ts"
import { traced, type Tracing } from "./tracing.ts"

/** Handles an event of another server. */
export interface ServerEventHandler {
  readonly run: RunFork
  readonly codec: EventCodec | undefined
  readonly handle: (...args: Array<any>) => Effect.Effect<unknown, any, any>
}

/** A namespace, as the events between servers see it. */
export interface ClusterNamespace extends Pick<Broadcaster, "ask"> {
  readonly name: string
  readonly label: string
  readonly environment: Environment
  readonly contract: CompiledContract | undefined
  joinCluster(): void
  askAll<A, E>(question: (adapter: Adapter) => Stream.Stream<A, E>): Stream.Stream<A, E>
}

/** The events that a handler works on at once. More are refused: another server sends too fast. */
const MAX_RUNNING = 10_000

/** A handler, and its fibers. */
interface Registered extends ServerEventHandler {
  readonly fibers: Set<Fiber.Fiber<unknown, unknown>>
}

/** Takes the arguments of an answer; `undefined` if there will be none. */
type Reply = (args: ReadonlyArray<unknown> | undefined) => void

/** The events that the servers of a cluster send to each other in a namespace. */
export class ServerEvents {
  private readonly namespace: ClusterNamespace
  private handlers: Map<string, Set<Registered>> | undefined

  constructor(namespace: ClusterNamespace) {
    this.namespace = namespace
  }

  /** Adds a handler; gives the function that removes it and interrupts its fibers. */
  on(event: string, handler: ServerEventHandler): () => void {
    if (!this.namespace.environment.isAlone) this.namespace.joinCluster()
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

  private get tracing(): Tracing | undefined {
    return this.namespace.environment.observer.tracing
  }

  /** The codec of an event that the contract declares between servers. */
  codec(event: string): EventCodec {
    return betweenServers(this.namespace.contract, this.namespace.name, event)
  }

  emit(codec: EventCodec | undefined, event: string, args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const encoded = encodeServerEvent(codec, event, args)
      if (this.tracing === undefined) return this.namespace.ask(undefined, (adapter) => adapter.serverSideEmit(encoded))
      return traced((trace) => this.namespace.ask(undefined, (adapter) => adapter.serverSideEmit(encoded, trace)))
    })
  }

  emitWithAck(codec: EventCodec | undefined, event: string, args: ReadonlyArray<unknown>): Stream.Stream<any, any> {
    const answers = Stream.suspend((): Stream.Stream<ReadonlyArray<unknown>, AckError | ServersMissingError> => {
      try {
        const encoded = encodeServerEvent(codec, event, args)
        const ask = (trace?: TraceContext) =>
          this.namespace.askAll((adapter) => adapter.serverSideEmitWithAck(encoded, trace))
        return this.tracing === undefined ? ask() : Stream.unwrap(traced((trace) => Effect.sync(() => ask(trace))))
      } catch (defect) {
        return Stream.fromEffect(unsent(event, Cause.die(defect)))
      }
    })
    return codec === undefined ? answers : Stream.mapEffect(answers, (answer) => decodeAck(codec, answer))
  }

  /** Takes an event of another server. */
  receive(
    [event, ...args]: readonly [event: string, ...args: Array<unknown>],
    reply: Reply | undefined,
    trace: TraceContext | undefined
  ): void {
    const handlers = Array.from(this.handlers?.get(event) ?? [])
    let asked = reply
    let running = handlers.length
    const answer: Reply = (args) => {
      // The first answer counts. There is none if all handlers are done without one.
      if (args === undefined && running > 0) return
      asked?.(args)
      asked = undefined
    }
    if (running === 0) return answer(undefined)
    for (const handler of handlers) {
      this.start(handler, event, args, { isAsked: reply !== undefined, trace }, (exit) => {
        running--
        answer(this.answer(handler.codec, event, exit, asked !== undefined))
      })
    }
  }

  private start(
    { codec, fibers, handle, run }: Registered,
    event: string,
    args: ReadonlyArray<unknown>,
    { isAsked, trace }: { readonly isAsked: boolean; readonly trace: TraceContext | undefined },
    onExit: (exit: Exit.Exit<unknown, any>) => void
  ): void {
    let payload: ReadonlyArray<unknown> = args
    if (codec !== undefined) {
      const decoded = decodePayload(codec, [event, ...args])
      if (decoded._tag === "Failure") return onExit(Exit.die(new Error(describe(decoded))))
      payload = [decoded.value]
    }
    if (fibers.size >= MAX_RUNNING) {
      return onExit(Exit.die(new Error(`${MAX_RUNNING} earlier ones are still in work`)))
    }
    const { namespace, tracing } = this
    const handled = Effect.suspend(() => handle(...payload))
    const fiber = run(tracing?.ofServerEvent(handled, namespace, event, isAsked, trace) ?? handled)
    fibers.add(fiber)
    fiber.addObserver((exit) => {
      fibers.delete(fiber)
      onExit(exit)
    })
  }

  /**
   * The answer of a handler's exit, if the other server asks for one. An undeclared failure is
   * logged.
   */
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
    const { environment, name } = this.namespace
    // Clients of other servers may cause it: the namespace's lines are limited as a client's are.
    const annotations = { event, namespace: name }
    environment.observer.error("handler of a server's event failed", cause, annotations, this.namespace)
  }
}

const successAnswer = (codec: EventCodec | undefined, value: unknown): ReadonlyArray<unknown> => {
  if (codec !== undefined) return encodeSuccess(codec, value)
  return value === undefined ? [] : value instanceof AckArguments ? value.values : [value]
}
