import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

import { eventRefused, eventUnhandled, failure, internalError, payloadRefused } from "../../internal/answers.ts"
import type { CompiledContract, CompiledMiddleware } from "../../internal/compileContract.ts"
import { encodeFailure, encodeSuccess, type EventCodec } from "../../internal/contractCodec.ts"
import type { OwnerSocket } from "../../Once.ts"
import { eventsRefused, eventsUnhandled, handlerFailures, payloadsRefused } from "../ServerMetrics.ts"
import { AckArguments, EventRefused } from "../ServerSocket.ts"
import type { ObservedNamespace } from "./observer.ts"
import type { EventHandler } from "./ports.ts"
import type { Cost, Supervisor } from "./supervisor.ts"

/** The parts of a socket that a report of its handlers' failures uses. */
export interface ReportingSocket extends Supervisor {
  readonly namespace: ObservedNamespace
  /** The contract by which it was admitted. */
  readonly contract: CompiledContract | undefined
}

/** The parts of a socket that the answers of its events use. */
export interface InboundSocket extends ReportingSocket {
  readonly id: string
  readonly isConnected: boolean
  /** The socket as its builder has got it. */
  readonly view: OwnerSocket | undefined
  /** The grants of its middlewares, if they end or can be refreshed. */
  readonly rights:
    | {
        refresh(middleware: CompiledMiddleware, auth: unknown, raw: unknown): Effect.Effect<unknown, unknown>
        onAnswered(): void
      }
    | undefined
  /** A context that was captured earlier, with the services that refreshes have replaced. */
  current(context: Context.Context<any>): Context.Context<any>
  /** Publishes to the readers of the events of all sockets, if there are any. */
  publishEvent(event: string, value: unknown, data: ReadonlyArray<unknown>, isDeclared: boolean): void
  /** Throws on arguments that cannot be encoded. */
  sendAck(id: number, args: ReadonlyArray<unknown>, mayHaveBinary: boolean): void
}

const UNHANDLED = "event without a handler"

// Hints for the log, about an event that was not handled.
const CONTRACT_HINT =
  "the namespace's contract does not declare it: add it to clientToServer, or correct the name that the client emits"
const UNTYPED_HINT =
  "register a handler with socket.on before the builder is done, or correct the name that the client emits"
const REFUSED_HINT =
  "the description says where it differs from the event's schema: change what the client sends, or the schema"

/** It omits the event's name: the client knows it, and it may be as long as a message. */
const NOBODY_HANDLES = eventUnhandled("the server handles no event of this name")

/** Answers with a failure. */
export const fail = (socket: InboundSocket, id: number, error: unknown, mayHaveBinary = false): void =>
  socket.sendAck(id, failure(error), mayHaveBinary)

/** The answer to an event of the contract, from its handler's exit. */
export const answering =
  (socket: InboundSocket, codec: EventCodec, id: number | undefined) =>
  (exit: Exit.Exit<any, any>): void => {
    if (exit._tag === "Success") {
      if (id !== undefined) acknowledge(socket, codec, id, exit.value, true)
      return
    }
    const { event } = codec
    if (isRefused(codec, exit.cause)) return refuseEvent(socket, event._tag, id, exit.cause)
    const failure = event.hasError ? Cause.findErrorOption(exit.cause) : undefined
    if (failure === undefined || failure._tag === "None") {
      report(socket, event._tag, exit.cause)
      if (id !== undefined) fail(socket, id, internalError)
    } else if (id !== undefined) acknowledge(socket, codec, id, failure.value, false)
  }

/** Whether a handler of the server's own has refused the event. */
export const isRefused = ({ event }: EventCodec, cause: Cause.Cause<unknown>): boolean => {
  if (event.hasError) return false
  const failure = Cause.findErrorOption(cause)
  return failure._tag === "Some" && failure.value instanceof EventRefused
}

/** A value that does not fit its contract, or cannot be encoded, is a bug of its handler alone. */
const acknowledge = (socket: InboundSocket, codec: EventCodec, id: number, value: unknown, isSuccess: boolean) => {
  const { ack, error, event } = codec
  try {
    if (isSuccess) socket.sendAck(id, encodeSuccess(codec, value), ack.mayHaveBinary)
    else socket.sendAck(id, encodeFailure(codec, value), error.mayHaveBinary)
  } catch (defect) {
    report(socket, event._tag, Cause.die(defect))
    fail(socket, id, internalError)
  }
}

/** Answers an untyped event with its handler's value. */
export const answerUntyped = (socket: InboundSocket, event: string, id: number, value: unknown): void => {
  const values = value === undefined ? [] : value instanceof AckArguments ? value.values : [value]
  answerSafely(socket, event, () => socket.sendAck(id, values, true))
}

/** Sends an answer. If it cannot be encoded, that is reported, and `otherwise` tells the client. */
const answerSafely = (socket: InboundSocket, event: string, send: () => void, otherwise?: () => void): void => {
  try {
    send()
  } catch (defect) {
    report(socket, event, Cause.die(defect))
    otherwise?.()
  }
}

/** The event's schema has refused its payload. */
export const refusePayload = (
  socket: InboundSocket,
  { event }: EventCodec,
  id: number | undefined,
  description: string
): void => {
  const { connection, namespace } = socket
  const { observer } = connection.environment
  observer.count(payloadsRefused, { namespace: namespace.label, event: event._tag })
  const annotations = { event: event._tag, description, hint: REFUSED_HINT, ...socket.annotations }
  observer.warn("socket", "payload refused", annotations, connection)
  if (id !== undefined) fail(socket, id, payloadRefused(description))
}

/** Packet middleware has refused an event, or failed at it. */
export const refuseEvent = (
  socket: InboundSocket,
  name: string,
  id: number | undefined,
  cause: Cause.Cause<unknown>
): void => {
  if (Cause.hasInterruptsOnly(cause)) return
  const { connection, namespace } = socket
  const { observer } = connection.environment
  const isDeclared = declares(socket, name)
  const failure = Cause.findErrorOption(cause)
  const refused = failure._tag === "Some" && failure.value instanceof EventRefused ? failure.value : undefined
  if (refused === undefined) report(socket, name, cause)
  else {
    observer.count(eventsRefused, { namespace: namespace.label, event: isDeclared ? name : "" })
    const annotations = { event: name, message: refused.message, ...socket.annotations }
    observer.debug("socket", "event refused", annotations, connection)
  }
  // Clients expect only the handler's value from an undeclared event.
  if (id === undefined || !isDeclared) return
  if (refused === undefined) return fail(socket, id, internalError)
  const { data, message } = refused
  // Sends the refusal without its data if that cannot be encoded: the refusal itself counts.
  answerSafely(
    socket,
    name,
    () => fail(socket, id, eventRefused(message, data), true),
    () => fail(socket, id, eventRefused(message))
  )
}

/**
 * Nothing handles an event. A client that waits for an answer is told so, unless the contract is
 * untyped.
 */
export const leaveUnhandled = (socket: InboundSocket, name: string, id: number | undefined, isSeen: boolean): void => {
  const { connection, contract, namespace } = socket
  const { observer } = connection.environment
  observer.count(eventsUnhandled, { namespace: namespace.label })
  const hint = contract?.untyped === true ? UNTYPED_HINT : CONTRACT_HINT
  const annotations = { event: name, hint, ...socket.annotations }
  // A handler of all events may act on this one.
  if (isSeen) observer.debug("socket", UNHANDLED, annotations, connection)
  else observer.warn("socket", UNHANDLED, annotations, connection)
  if (contract?.untyped !== true && id !== undefined) fail(socket, id, NOBODY_HANDLES)
}

/** Counts and logs the failure of a handler. */
export const report = (socket: ReportingSocket, event: string, cause: Cause.Cause<unknown>): void => {
  if (Cause.hasInterruptsOnly(cause)) return
  const { annotations, connection, namespace } = socket
  const { observer } = connection.environment
  observer.count(handlerFailures, { namespace: namespace.label, event: declares(socket, event) ? event : "" })
  observer.error("event handler failed", cause, { event, ...annotations }, connection)
}

// Handlers are added and removed by copying: a running handler may remove itself, or others.

/** The handlers with one more. */
export const withHandler = <A>(handlers: ReadonlyArray<A> | undefined, handler: A): ReadonlyArray<A> =>
  handlers === undefined ? [handler] : [...handlers, handler]

/** The handlers without one; `undefined` if there are none left. */
export const withoutHandler = <A>(handlers: ReadonlyArray<A> | undefined, handler: A): ReadonlyArray<A> | undefined => {
  const left = handlers?.filter((other) => other !== handler)
  return left?.length === 0 ? undefined : left
}

/** Makes the effect that handles an event. */
export type Handle = () => Effect.Effect<any, any, any>

/** Starts handlers that answer nothing, each with something around it. */
export const startAll = (
  socket: ReportingSocket,
  handlers: ReadonlyArray<EventHandler>,
  name: string,
  args: ReadonlyArray<unknown>,
  cost: Cost,
  around: (handle: Handle) => Handle = (handle) => handle
): void => {
  const onExit = (exit: Exit.Exit<any, any>) => {
    if (exit._tag === "Failure") report(socket, name, exit.cause)
  }
  for (const handler of handlers) {
    socket.start(
      handler.run,
      around(() => handler.handle(name, args)),
      onExit,
      cost
    )
  }
}

/** Whether the contract declares an event of clients. Clients choose other names. */
const declares = ({ contract }: ReportingSocket, event: string): boolean => contract?.incoming.has(event) === true
