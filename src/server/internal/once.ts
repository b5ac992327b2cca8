import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"

import type * as Event from "../../Event.ts"
import { type Claim, CurrentMessageId, Idempotency, type Message } from "../../idempotency/Idempotency.ts"
import { eventRefused, internalError } from "../../internal/answers.ts"
import { attributesOf, MAX_ATTRIBUTE } from "../../internal/attributes.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { encodeFailure, encodeSuccess, type EventCodec } from "../../internal/contractCodec.ts"
import { readValues, writeValues } from "../../internal/storedValues.ts"
import { eventsRefused, eventsRepeated } from "../ServerMetrics.ts"
import { fail, type InboundSocket, isRefused, refuseEvent, report } from "./answers.ts"

/** Ids that clients share are hard to guess. */
const MIN_ID = 16

/** The longest id, and the longest owner. */
const MAX_ID = MAX_ATTRIBUTE

/** Longer answers are not kept, in characters. */
const MAX_ANSWER = 1_048_576

/** The pause before a client's next try if the answers cannot be reached, in milliseconds. */
const RETRY_AFTER = 1_000

/** The longest window: that of a timer, in milliseconds. */
const MAX_WINDOW = 2 ** 31 - 1

const ID_HINT =
  "send { id } after the arguments of the event, with an id that is the same in every attempt, such as crypto.randomUUID()"

/** The reason why a message is not handled, as its client is told. */
class Refusal {
  readonly _tag = "Refusal"
  readonly message: string
  readonly data: unknown
  readonly cause: unknown

  constructor(message: string, data: unknown, cause?: unknown) {
    this.message = message
    this.data = data
    this.cause = cause
  }
}

/** The windows of events, in milliseconds. */
const windows = new WeakMap<Event.Any, number>()

/** Returns the window of an event. Throws on one that makes no sense: a contract is a constant. */
const windowOf = (event: Event.Any): number => {
  let window = windows.get(event)
  if (window === undefined) {
    window = Math.ceil(Duration.toMillis(event.once!.window ?? "10 minutes"))
    if (!(window > 0 && window <= MAX_WINDOW)) {
      throw new Error(`once of event "${event._tag}": window must be more than nothing, and at most 24.8 days`)
    }
    windows.set(event, window)
  }
  return window
}

/** Throws on a window that makes no sense. */
export const checkWindows = ({ incoming }: CompiledContract): void => {
  for (const { event } of incoming.values()) if (event.once !== undefined) windowOf(event)
}

const idOf = (codec: EventCodec, payload: unknown, data: ReadonlyArray<unknown>): unknown => {
  const { key } = codec.event.once!
  return key === undefined ? attributesOf(codec, data).id : key(payload)
}

/** Returns the message, or the reason of its refusal. Throws on an owner that is none. */
const messageOf = (
  socket: InboundSocket,
  codec: EventCodec,
  payload: unknown,
  data: ReadonlyArray<unknown>,
  context: Context.Context<never>
): Message | Refusal => {
  const { event } = codec
  const once = event.once!
  const id = idOf(codec, payload, data)
  const owner = once.owner?.(socket.view!, context)
  const shortest = once.owner === undefined ? MIN_ID : 1
  const lengths = `${shortest} to ${MAX_ID} characters`
  if (id === undefined) {
    return new Refusal(`the event needs an id of ${lengths}: { id } after its arguments`, { id: "missing" })
  }
  if (typeof id !== "string" || id.length < shortest || id.length > MAX_ID) {
    return new Refusal(`the id must have ${lengths}`, { id: "invalid" })
  }
  if (once.owner !== undefined && !(typeof owner === "string" && owner.length > 0 && owner.length <= MAX_ID)) {
    throw new Error(`owner of event "${event._tag}" must be a text of 1 to ${MAX_ID} characters`)
  }
  return {
    namespace: socket.namespace.name,
    event: event._tag,
    owner,
    id,
    client: owner ?? socket.connection.session.id,
    window: windowOf(event)
  }
}

/**
 * Handles a message once, and yields the arguments of its acknowledgement. It runs in the context
 * of the socket's handlers.
 */
export const handleOnce = (
  socket: InboundSocket,
  codec: EventCodec,
  payload: unknown,
  data: ReadonlyArray<unknown>,
  handler: (payload: any) => Effect.Effect<any, any, any>
): Effect.Effect<ReadonlyArray<unknown>, unknown, any> =>
  Effect.contextWith((context: Context.Context<any>) => {
    const message = messageOf(socket, codec, payload, data, context)
    if (message instanceof Refusal) return Effect.fail(message)
    const { environment } = socket.connection
    const service = Context.getOption(context as Context.Context<never>, Idempotency)
    const { claim } = service._tag === "Some" ? service.value : environment.idempotency
    return Effect.uninterruptibleMask((restore) => {
      const scope = Scope.makeUnsafe()
      // Not the scope of the handler, which is that of its socket.
      const claimed = Effect.mapError(
        Scope.provide(restore(claim(message)), scope),
        (error) => new Refusal("the event cannot be handled now", { retryAfter: RETRY_AFTER }, error)
      )
      const handled = Effect.suspend(() =>
        Effect.provideService(handler(payload), CurrentMessageId, Option.some(message.id))
      )
      const answered = Effect.flatMap(claimed, (claim) =>
        claim._tag === "Answered"
          ? repeat(socket, codec, claim.answer)
          : // A client that leaves would cut it between its effect and its record, and try again.
            Effect.flatMap(Effect.exit(handled), (exit) => keep(socket, codec, claim, exit))
      )
      return Effect.onExit(answered, (exit) => Scope.close(scope, exit))
    })
  })

/** Answers a message that was handled before. */
const repeat = (
  socket: InboundSocket,
  { event }: EventCodec,
  answer: string
): Effect.Effect<ReadonlyArray<unknown>, Refusal> => {
  const { connection, namespace } = socket
  connection.environment.observer.count(eventsRepeated, { namespace: namespace.label, event: event._tag })
  const args = readValues(answer)
  return args === undefined
    ? Effect.fail(new Refusal("the event was handled before, and its answer was not kept", { handled: true }))
    : Effect.succeed(args)
}

/** Keeps the answer of the handler, if it is one. Its client gets it, even if it cannot be kept. */
const keep = (
  socket: InboundSocket,
  codec: EventCodec,
  claim: Extract<Claim, { readonly _tag: "Claimed" }>,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<ReadonlyArray<unknown>, unknown> =>
  Effect.suspend(() => {
    const args = answerOf(codec, exit)
    if (args === undefined) return exit as Exit.Failure<never, unknown>
    const text = writeValues(args, codec.ack.mayHaveBinary || codec.error.mayHaveBinary)
    return claim.complete(text.length > MAX_ANSWER ? "" : text).pipe(
      Effect.catchCause((cause) => Effect.sync(() => logUnkept(socket, codec, cause))),
      Effect.as(args)
    )
  })

/**
 * The arguments of an acknowledgement, unless the handler died or failed with an undeclared error.
 */
const answerOf = (codec: EventCodec, exit: Exit.Exit<unknown, unknown>): ReadonlyArray<unknown> | undefined => {
  if (exit._tag === "Success") return encodeSuccess(codec, exit.value)
  if (!codec.event.hasError) return undefined
  const failure = Cause.findErrorOption(exit.cause)
  return failure._tag === "Some" ? encodeFailure(codec, failure.value) : undefined
}

const logUnkept = ({ annotations, connection }: InboundSocket, { event }: EventCodec, cause: Cause.Cause<unknown>) =>
  connection.environment.observer.error(
    "an event was handled, and its answer was not kept: it is handled again if it comes again",
    cause,
    { event: event._tag, ...annotations },
    connection
  )

/** Answers an event that is handled once, from the exit of {@link handleOnce}. */
export const answeringOnce =
  (socket: InboundSocket, codec: EventCodec, id: number | undefined) =>
  (exit: Exit.Exit<ReadonlyArray<unknown>, unknown>): void => {
    const { ack, error, event } = codec
    if (exit._tag === "Success") {
      if (id === undefined) return
      try {
        socket.sendAck(id, exit.value, ack.mayHaveBinary || error.mayHaveBinary)
      } catch (defect) {
        report(socket, event._tag, Cause.die(defect))
        fail(socket, id, internalError)
      }
      return
    }
    const failure = Cause.findErrorOption(exit.cause)
    if (failure._tag === "Some" && failure.value instanceof Refusal) return refuse(socket, codec, id, failure.value)
    if (isRefused(codec, exit.cause)) return refuseEvent(socket, event._tag, id, exit.cause)
    report(socket, event._tag, exit.cause)
    if (id !== undefined) fail(socket, id, internalError)
  }

const refuse = (
  socket: InboundSocket,
  { event }: EventCodec,
  id: number | undefined,
  { cause, data, message }: Refusal
): void => {
  const { annotations, connection, namespace } = socket
  const { observer } = connection.environment
  observer.count(eventsRefused, { namespace: namespace.label, event: event._tag })
  const all = { event: event._tag, message, ...annotations }
  if (cause !== undefined) observer.error("event refused", Cause.fail(cause), all, connection)
  else observer.warn("socket", "event refused", { ...all, hint: ID_HINT }, connection)
  if (id !== undefined) fail(socket, id, eventRefused(message, data))
}
