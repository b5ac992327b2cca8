import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import { AckArguments } from "../../AckArguments.ts"
import type { EngineClientRuntime } from "../../engine/EngineClient.ts"
import type { ClientWire } from "../../internal/clientWire.ts"
import { log } from "../../internal/log.ts"
import { makeStreamBuffer, type StreamBuffer } from "../../internal/streamBuffer.ts"
import type { StreamOptions, StreamOverflow } from "../../StreamOptions.ts"
import type { ClientOverflow } from "../ClientSocket.ts"
import { MAX_UNHEARD, UNHEARD_FOR } from "./bounds.ts"
import type { Received } from "./connection.ts"
import { contextHere, scoped } from "./scoped.ts"

export type Arguments = ReadonlyArray<unknown>

export type Handler = (...args: Array<any>) => Effect.Effect<any, any, any>

type Listener = (...args: Array<any>) => unknown

export type Listeners = Set<Listener>

export type Options = StreamOptions<ClientOverflow>

/** Calls the listeners that are there now. */
export const call = (listeners: Listeners | undefined, ...args: Arguments) => {
  for (const listener of Array.from(listeners ?? [])) listener(...args)
}

/** The events that come in, on their way to handlers and streams. */
export interface Inbound {
  /** The socket is connected. For a while from now on, events wait for their first reader. */
  readonly open: () => void
  /** The socket is not connected any more. */
  readonly close: () => void
  /** Ends the streams. */
  readonly end: () => void
  readonly receive: (packet: Received) => void
  /** Runs a handler for everything that listeners are called with, until the scope closes. */
  readonly handle: (listeners: Listeners, handler: Handler) => Effect.Effect<void, never, any>
  /**
   * A stream of the first arguments that listeners are called with, after a first value. Newer
   * values take the place of old ones.
   */
  readonly watch: <A>(listeners: Listeners, first: () => A) => Stream.Stream<A>
  /** The part of the socket's face that reads events. */
  readonly readers: {
    readonly onAny: (handler: Handler) => Effect.Effect<void, never, any>
    readonly respond: (event: string, handler: Handler) => Effect.Effect<void, never, any>
    readonly events: (options?: Options) => EventStream
    readonly stream: (event: string, options?: Options) => EventStream
    readonly subscribe: (event: string, options?: Options) => Effect.Effect<EventStream, never, Scope.Scope>
  }
}

type EventStream = Stream.Stream<any, StreamOverflow>

export const makeInbound = (
  namespace: string,
  wire: ClientWire | undefined,
  { now, runFork }: EngineClientRuntime,
  acknowledge: (packet: Received, args: Arguments) => void
): Inbound => {
  const all: Listeners = new Set()
  const declared: Listeners = new Set()
  const ends: Listeners = new Set()
  const taps = new Map<string, Listeners>()
  const handlers = new Map<string, Listeners>()
  let openedAt = 0
  /** The events that wait for their first reader. */
  let unheard: Array<Heard> = []
  let forgetting: Fiber.Fiber<unknown> | undefined
  let isOver = false

  const forget = () => {
    unheard = []
    forgetting?.interruptUnsafe()
    forgetting = undefined
  }

  /** Gives an event to its readers, or keeps it for a while if there are none. */
  const hear: (...heard: Heard) => void = (event, args, packet) => {
    if (declared.size > 0 || taps.has(event) || handlers.has(event)) return deliver(event, args, packet)
    // Nobody can read an undeclared event later: it would take the place of others.
    if ((wire && !wire.serverCodec(event)) || unheard.length === MAX_UNHEARD || now() - openedAt >= UNHEARD_FOR) return
    forgetting ??= runFork(Effect.map(Effect.sleep(UNHEARD_FOR), forget))
    unheard.push([event, args, packet])
  }

  const deliver: (...heard: Heard) => void = (event, args, packet) => {
    const { data, id } = packet
    const taken = wire
      ? wire.decode(namespace, event, data as Arguments, (logged, refusal) => {
          runFork(logged)
          if (id !== undefined && refusal && handlers.has(event)) acknowledge(packet, refusal)
        })
      : args
    if (!taken) return
    const payload = wire ? taken[0] : args
    call(taps.get(event), payload)
    call(declared, wire ? { event, payload } : { event, args })
    let isAnswered = id === undefined
    call(handlers.get(event), taken, event, (exit: Exit.Exit<unknown, unknown>) => {
      if (isAnswered) return
      const answer = wire ? wire.encodeExit(event, exit) : toAnswer(exit)
      if (!answer) return
      isAnswered = true
      acknowledge(packet, answer)
    })
  }

  /**
   * Adds a listener, and lets the events that wait come again; gives the function that takes it
   * out.
   */
  const listen = (listeners: Listeners, listener: Listener, each?: (...heard: Heard) => void) => {
    listeners.add(listener)
    const waiting = unheard
    unheard = []
    for (const heard of waiting) {
      each?.(...heard)
      hear(...heard)
    }
    return () => listeners.delete(listener)
  }

  const listenTo = (map: Map<string, Listeners>, event: string, listener: Listener) => {
    wire?.check(event)
    const listeners = map.get(event) ?? new Set()
    map.set(event, listeners)
    const remove = listen(listeners, listener)
    return () => {
      remove()
      if (listeners.size === 0) map.delete(event)
    }
  }

  /**
   * Runs a handler for everything that its listener is called with. Its failures are logged, and
   * disturb nobody else. The end of the scope interrupts those that are under way.
   */
  const handle = (handler: Handler, begin: (listener: Listener) => () => void) =>
    Effect.flatMap(contextHere, (context) =>
      scoped(() => {
        const fibers = new Set<Fiber.Fiber<unknown, unknown>>()
        const stop = begin((args: Arguments, event: string, onExit?: (exit: Exit.Exit<unknown, unknown>) => void) => {
          const fiber = Effect.runForkWith(context)(Effect.suspend(() => handler(...args)))
          fibers.add(fiber)
          fiber.addObserver((exit) => {
            fibers.delete(fiber)
            let { cause } = exit as Partial<Exit.Failure<unknown, unknown>>
            try {
              onExit?.(exit)
            } catch (defect) {
              cause = Cause.die(defect)
            }
            if (cause?.reasons.some(({ _tag }) => _tag !== "Interrupt")) {
              runFork(log("Error", "event handler failed", { event, namespace }, cause))
            }
          })
        })
        return () => {
          stop()
          for (const fiber of fibers) fiber.interruptUnsafe()
        }
      })
    )

  /**
   * A buffer between a listener and the readers of a stream, until the scope or the socket closes.
   */
  const buffered = <O extends ClientOverflow = "fail">(
    name: string,
    options: StreamOptions<O> | undefined,
    begin: (offer: (value: any) => void) => () => void
  ) =>
    Effect.suspend(() => {
      const { end, offer, pull } = makeStreamBuffer<any, O>(name, options)
      return Effect.map(
        scoped(() => {
          const stop = begin(offer)
          if (isOver) end()
          ends.add(end)
          return () => {
            stop()
            ends.delete(end)
          }
        }),
        () => pull
      )
    })

  const bufferedEvent = (event: string, options?: Options) =>
    buffered(event, options, (offer) => listenTo(taps, event, offer))

  return {
    open: () => {
      openedAt = now()
    },
    close: forget,
    end: () => {
      isOver = true
      call(ends)
    },
    receive: (packet) => {
      const [name, ...args] = packet.data as Arguments
      const event = String(name)
      call(all, [event, args], event)
      hear(event, args, packet)
    },
    handle: (listeners, handler) => handle(handler, (listener) => listen(listeners, listener)),
    watch: (listeners, first) =>
      toStream(
        buffered("status", { overflow: "dropOldest" }, (offer) => {
          offer(first())
          return listen(listeners, ([value]) => offer(value))
        })
      ) as Stream.Stream<any>,
    readers: {
      onAny: (handler) =>
        handle(handler, (listener) => listen(all, listener, (event, args) => listener([event, args], event))),
      respond: (event, handler) => handle(handler, (listener) => listenTo(handlers, event, listener)),
      events: (options) => toStream(buffered("events", options, (offer) => listen(declared, offer))),
      stream: (event, options) => toStream(bufferedEvent(event, options)),
      subscribe: (event, options) => Effect.map(bufferedEvent(event, options), (pull) => toStream(Effect.succeed(pull)))
    }
  }
}

/** An event that waits, with its arguments. */
type Heard = readonly [event: string, args: Arguments, packet: Received]

const toStream = <E>(pull: Effect.Effect<StreamBuffer<any, E>["pull"], never, Scope.Scope>): Stream.Stream<any, E> =>
  Stream.fromChannel(Channel.fromTransform((_, scope) => Scope.provide(pull, scope)))

/** The answer of a handler without a contract; none if it has failed. */
const toAnswer = (exit: Exit.Exit<unknown, unknown>): Arguments | undefined =>
  exit._tag === "Failure"
    ? undefined
    : exit.value instanceof AckArguments
      ? exit.value.values
      : exit.value === undefined
        ? []
        : [exit.value]
