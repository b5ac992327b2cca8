/**
 * A client's connection to a namespace as the atoms of `effect/reactivity`: its status, the events
 * that come in, and those that a view sends.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as AsyncResult from "effect/reactivity/AsyncResult"
import * as Atom from "effect/reactivity/Atom"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { ClientSocket, SocketStatus } from "../client/ClientSocket.ts"
import * as SocketIoClient from "../client/SocketIoClient.ts"
import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import type { AckError } from "../SocketIoError.ts"
import type { StreamOverflow } from "../StreamOptions.ts"

/**
 * The value that a view writes into an atom of {@link SocketIoAtom.emit} or
 * {@link SocketIoAtom.ask}: the event's payload, nothing for an event without payload, or the list
 * of the arguments of an untyped event.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Argument<E extends Event.Any> = E extends Event.Untyped
  ? ReadonlyArray<unknown>
  : E["payload"] extends { readonly Type: void }
    ? void
    : Event.Payload<E>

/**
 * The functions of {@link SocketIoAtom.fold}, by the names of events: each makes the next state
 * from the last one and an event's payload. The payload of an untyped event is the list of its
 * arguments.
 *
 * @since 0.1.0
 * @category models
 */
export type Reducers<E extends Event.Any, State> = {
  readonly [Name in Event.Name<E>]?: (state: State, payload: Event.Payload<Event.WithName<E, Name>>) => State
}

/**
 * A namespace as atoms, made by {@link make}.
 *
 * **Details**
 *
 * All atoms share one socket. It connects when a registry mounts the first of them, and leaves the
 * namespace when the last one is not mounted any more, after the registry's idle time. Atoms of the
 * same event are the same atom, so a view may ask for them each time that it renders. Values are
 * `AsyncResult`s: `Failure` where the runtime's layer could not be built.
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketIoAtom<N extends Namespace.Any, E = never> {
  /** The socket, at once: it connects meanwhile. */
  readonly socket: Atom.Atom<AsyncResult.AsyncResult<ClientSocket<N>, E>>
  /** The status of the socket, and its changes. `Connecting` at first. */
  readonly status: Atom.Atom<AsyncResult.AsyncResult<SocketStatus, E>>
  /**
   * The payload of the last event of this name, since the atom was mounted; `Initial` before the
   * first one. Where several come at once, a view sees the last of them alone.
   */
  last<const Name extends Event.Name<Namespace.ServerEvents<N>>>(
    event: Name
  ): Atom.Atom<AsyncResult.AsyncResult<Event.Payload<Event.WithName<Namespace.ServerEvents<N>, Name>>, E>>
  /**
   * A state that grows with the events of the server, in the order of their arrival, across
   * reconnections. Events that came at once change it once.
   *
   * **Details**
   *
   * Each call makes an atom: call it outside of what renders. Refresh the atom to begin with
   * `initial` again, for example when `status` tells of a connection that has not recovered. A
   * function that throws makes the atom fail, and so do more than 10,000 events that come before
   * the last ones are handled (`StreamOverflow`).
   *
   * **Gotchas**
   *
   * A list that grows with every event needs a bound.
   *
   * **Example** (The last hundred messages)
   *
   * ```ts
   * const messages = chat.fold([], { said: (all: ReadonlyArray<string>, message) => [...all, message].slice(-100) })
   * ```
   */
  fold<State>(
    initial: State,
    reducers: Reducers<Namespace.ServerEvents<N>, State>
  ): Atom.Atom<AsyncResult.AsyncResult<State, E | StreamOverflow>>
  /**
   * Sends an event with the payload that is written into the atom. While the socket is not
   * connected the event waits, as with `emit` of the socket.
   *
   * **Gotchas**
   *
   * The atom has to be mounted, or another one of this namespace: otherwise nobody keeps the
   * socket, and the event may be lost with it.
   */
  emit<const Name extends Event.Name<Namespace.ClientEvents<N>>>(
    event: Name
  ): Atom.AtomResultFn<Argument<Event.WithName<Namespace.ClientEvents<N>, Name>>, void, E>
  /**
   * Sends an event with the payload that is written into the atom; the atom's value is the
   * acknowledgement. `waiting` says that it has not come yet.
   *
   * **Details**
   *
   * Of several questions the newest one's answer is the value. The events of the others are sent,
   * too, and their answers are ignored. Fails as `emitWithAck` of the socket does. It waits as long
   * as the socket lives: a server without a contract does not answer an event that it does not
   * handle, with one it does (`EventNotHandled`). `Atom.Interrupt`
   * and `Atom.Reset` end the wait, and do not take the event back.
   */
  ask<const Name extends Event.Name<Event.WithAck<Namespace.ClientEvents<N>>>>(
    event: Name
  ): Atom.AtomResultFn<
    Argument<Event.WithName<Namespace.ClientEvents<N>, Name>>,
    Event.Ack<Event.WithName<Namespace.ClientEvents<N>, Name>>,
    E | AckError | Event.Error<Event.WithName<Namespace.ClientEvents<N>, Name>>
  >
}

/**
 * The options of {@link make}: those of `SocketIoClient.connect`, as its arguments.
 *
 * @since 0.1.0
 * @category options
 */
export type Options<T extends SocketIoClient.Target, R = never> = SocketIoClient.ConnectArguments<T, R>

/**
 * The namespace of a target: a name stands for an untyped one.
 *
 * @since 0.1.0
 * @category utility types
 */
export type NamespaceOf<T extends SocketIoClient.Target> = T extends Namespace.Any ? T : Namespace.Untyped

type Services<R> = SocketIoClient.SocketIoClient | Scope.Scope | R

// Inside, a socket is an untyped one: the types of a contract's events are those of the result of
// `make`. Streams do not end before their atom, so they never fail for want of a value, as the
// types of streams in atoms say they may.
type AnySocket = ClientSocket<Namespace.Untyped>

/** An event with its payload, or the arguments of an untyped one. */
interface AnyMessage {
  readonly event: string
  readonly args: ReadonlyArray<unknown>
  readonly payload?: ReadonlyArray<unknown>
}

/**
 * Makes a namespace's atoms, with the client of an atom runtime.
 *
 * **Example** (The chat of a page)
 *
 * ```ts
 * const runtime = Atom.runtime(SocketIoClient.layer({ url: location.origin }))
 * const chat = SocketIoAtom.make(runtime, Chat)
 *
 * const status = chat.status
 * const messages = chat.fold([], { said: (all: ReadonlyArray<string>, message) => [...all, message].slice(-100) })
 * const join = chat.ask("join")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const T extends SocketIoClient.Target, R = never, E = never>(
  runtime: Atom.AtomRuntime<SocketIoClient.SocketIoClient | R, E>,
  namespace: T,
  ...options: Options<T, R>
): SocketIoAtom<NamespaceOf<T>, E> => {
  const isUntyped = typeof namespace === "string" || namespace.untyped

  const connection = runtime.atom(
    Effect.all({
      socket: SocketIoClient.socket(namespace, ...options) as Effect.Effect<AnySocket, never, Services<R>>,
      scope: Effect.scope
    })
  )

  /** The values of a stream of the socket. They end with the atom. */
  const streamed = <A, E2>(of: (socket: AnySocket) => Stream.Stream<A, E2>, options?: { readonly initialValue: A }) =>
    runtime.atom((get) => {
      const connected = get.result(connection)
      return Stream.concat(Stream.unwrap(Effect.map(connected, ({ socket }) => of(socket))), Stream.never)
    }, options)

  /**
   * Sends in the scope of the socket: a newer event does not take back an older one that waits, nor
   * does a view that ends.
   */
  const sender = <A, E2>(send: (socket: AnySocket, args: ReadonlyArray<unknown>) => Effect.Effect<A, E2>) =>
    runtime.fn<unknown>()((argument, get) => {
      get.mount(connection)
      const args = isUntyped ? (argument as ReadonlyArray<unknown>) : argument === undefined ? [] : [argument]
      return Effect.flatMap(get.result(connection), ({ scope, socket }) =>
        Effect.flatMap(Effect.forkIn(send(socket, args), scope, { startImmediately: true }), Fiber.join)
      )
    })

  const atoms = {
    socket: Atom.mapResult(connection, ({ socket }) => socket),
    status: streamed<SocketStatus, never>(({ status }) => status, { initialValue: { _tag: "Connecting" } }),
    last: Atom.family((event: string) =>
      streamed((socket) => socket.stream(event, { capacity: 1, overflow: "dropOldest" }))
    ),
    fold: <State>(initial: State, reducers: Reducers<Event.Untyped, State>) => {
      const next = (state: State, { args, event, payload = args }: AnyMessage) => {
        const reducer = Object.hasOwn(reducers, event) ? reducers[event] : undefined
        return reducer === undefined ? state : reducer(state, payload)
      }
      return streamed(
        (socket) => Stream.scan(socket.events() as Stream.Stream<AnyMessage, StreamOverflow>, () => initial, next),
        { initialValue: initial }
      )
    },
    emit: Atom.family((event: string) => sender((socket, args) => socket.emit(event, ...args))),
    ask: Atom.family((event: string) => sender((socket, args) => socket.emitWithAck(event, ...args)))
  }
  return atoms as unknown as SocketIoAtom<NamespaceOf<T>, E>
}
