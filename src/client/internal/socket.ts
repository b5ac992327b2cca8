import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

import type { ClientWire } from "../../internal/clientWire.ts"
import { defectOf } from "../../internal/defectOf.ts"
import { CAPACITY } from "../../internal/streamBuffer.ts"
import { ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT } from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import { type ClientDisconnectReason, ConnectError, type SocketStatus } from "../ClientSocket.ts"
import { type Arguments, call, type Listeners, makeInbound } from "./inbound.ts"
import type { ConnectionEnd, Manager, Member } from "./manager.ts"
import { makeOutbound } from "./outbound.ts"

/** Makes the auth payload, anew for every connection, and something of it. */
export type MakeAuth = <A>(use: (auth: Readonly<Record<string, unknown>> | undefined) => A) => Fiber.Fiber<A>

/** The target of a connection: what was connected to, and with which auth payload; `true` stands for an effect. */
export interface Target {
  readonly namespace: string
  readonly contract: unknown
  readonly wire: ClientWire | undefined
  readonly auth: unknown
}

/** A client's socket: it wants to be connected until somebody disconnects it, or the server refuses it. */
export interface SocketRuntime extends Member {
  readonly target: Target
  /** The face of the socket, typed by `ClientSocket`. */
  readonly socket: object
  /** Begins to use the socket; gives the end of that. The socket ends with its last user. */
  readonly use: (makeAuth: MakeAuth) => () => void
  /** Waits until the socket is connected, or an attempt has failed that no other one follows. */
  readonly awaitConnected: Effect.Effect<void, ConnectError>
}

/**
 * The life of a socket. Only in the first state and the last one the manager does not know it.
 *
 * - `Idle`: it does not want to be connected: it was disconnected or refused, or there are no more attempts.
 * - `Waiting`: it waits for the connection.
 * - `Connecting`: the connection is open; the auth payload is being made, and then CONNECT is sent and not yet answered.
 * - `Connected`: the server has let it in.
 * - `Disposed`: its last scope has closed.
 */
type State =
  | { readonly _tag: "Idle" | "Waiting" | "Disposed" }
  | {
      readonly _tag: "Connecting"
      /** Makes the auth payload. */
      making?: Fiber.Fiber<unknown, unknown> | undefined
      /** Events that came before the answer to CONNECT. */
      readonly early: Array<SocketPacket>
    }
  | { readonly _tag: "Connected"; readonly id: string; readonly recovered: boolean }

export const makeSocket = (manager: Manager<SocketRuntime>, target: Target): SocketRuntime => {
  const { namespace, wire } = target
  const { diagnostics } = manager.runtime
  let state: State = { _tag: "Idle" }
  let status: SocketStatus = { _tag: "Connecting" }
  /** The name of this connection for a server that recovers it, and the last packet that came over it. */
  let pid: string | undefined
  let offset: string | undefined
  const users = new Set<MakeAuth>()
  const statuses: Listeners = new Set()
  const sent: Listeners = new Set()

  const isConnected = () => state._tag === "Connected"

  const packet = (type: SocketPacket["type"], data?: unknown, id?: number) =>
    manager.encode({ type, namespace, id, data }, true)

  const outbound = makeOutbound(manager, namespace, wire, isConnected, (event, args) =>
    call(sent, [event, args], event)
  )

  const inbound = makeInbound(namespace, wire, manager.runtime, (id, args) => {
    if (isConnected()) manager.send(packet(ACK, args, id))
  })

  // -------------------------------------------------------------- the state

  const tell = (next: SocketStatus) => {
    status = next
    diagnostics.debug("socket", next._tag, { namespace, ...next })
    call(statuses, next)
  }

  const enter = (next: State) => {
    if (state._tag === "Connecting") state.making?.interruptUnsafe()
    state = next
    inbound.close()
  }

  /** The socket is not connected, or not on its way any more. Without another attempt it does not want to be. */
  const end = (status: EndStatus) => {
    const { willRetry } = status._tag === "Failed" ? status.error : status
    if (!willRetry) manager.remove(self)
    // First of all, as callers that get no answer may look at the state.
    enter({ _tag: willRetry ? "Waiting" : "Idle" })
    // Nobody would ever know.
    if (status._tag === "Failed" && !willRetry && statuses.size === 0) {
      diagnostics.warn(`not connected to "${namespace}": ${status.error.message}`, status.error as {})
    }
    tell(status)
    // An event that is still to be sent keeps waiting for its answer.
    outbound.forget()
  }

  const errorOf = ({ _tag, description, reason, ...details }: Ending) =>
    new ConnectError({ namespace, message: description ?? reason, reason, ...details })

  const refuse = (message: string, details?: object) =>
    end({ _tag: "Failed", error: new ConnectError({ namespace, message, willRetry: false, ...details }) })

  const disconnected = (reason: ClientDisconnectReason) => end({ _tag: "Disconnected", reason, willRetry: false })

  const leave = () => {
    const { _tag } = state
    if (_tag === "Idle" || _tag === "Disposed") return
    if (_tag === "Connected") manager.send(packet(DISCONNECT))
    manager.leave(namespace, state._tag === "Connecting" && !state.making ? "asked" : "left")
    outbound.clear()
    disconnected("io client disconnect")
  }

  const dispose = () => {
    leave()
    enter({ _tag: "Disposed" })
    // A socket that was refused is closed now.
    if (status._tag !== "Disconnected") tell({ _tag: "Disconnected", reason: "io client disconnect", willRetry: false })
    outbound.end()
    outbound.forget()
    inbound.end()
  }

  /** The socket wants to be connected from now on. */
  const want = () => {
    if (state._tag !== "Idle") return
    state = { _tag: "Waiting" }
    tell({ _tag: "Connecting" })
    manager.add(self)
  }

  // -------------------------------------------------------------- the server

  const onOpen = () => {
    if (state._tag !== "Waiting") return
    const connecting: State = (state = { _tag: "Connecting", early: [] })
    if (status._tag !== "Connecting") tell({ _tag: "Connecting" })
    const [makeAuth] = users
    const making = makeAuth!((auth) => packet(CONNECT, pid === undefined ? auth : { pid, offset, ...auth }))
    connecting.making = making
    making.addObserver((exit) => {
      if (state !== connecting) return
      connecting.making = undefined
      if (exit._tag === "Success") return manager.send(exit.value)
      const cause = defectOf(exit.cause.reasons[0]!)
      refuse(`auth failed: ${cause}`, { cause })
    })
  }

  const onConnected = (data: unknown, early: ReadonlyArray<SocketPacket>) => {
    const { pid: newPid, sid } = (data ?? {}) as { readonly sid?: unknown; readonly pid?: unknown }
    if (typeof sid !== "string" || !sid) return refuse("no id: older protocol")
    const recovered = newPid !== undefined && newPid === pid
    if (!recovered) {
      pid = typeof newPid === "string" ? newPid : undefined
      offset = undefined
    }
    enter({ _tag: "Connected", id: sid, recovered })
    inbound.open()
    for (const packet of early) {
      onEvent(packet)
      // A handler may have disconnected.
      if (!isConnected()) return
    }
    outbound.flush()
    tell({ _tag: "Connected", id: sid, recovered })
  }

  const onEvent = (packet: SocketPacket) => {
    // A server that recovers connections adds the packet's offset to the arguments. It looks like any other argument.
    const last = (packet.data as Arguments).at(-1)
    if (pid !== undefined && typeof last === "string") offset = last
    inbound.receive(packet)
  }

  const onPacket = (packet: SocketPacket) => {
    const { data, id, type } = packet
    switch (type) {
      case CONNECT:
        if (state._tag === "Connecting") onConnected(data, state.early)
        return
      case CONNECT_ERROR:
        if (state._tag === "Connecting") {
          // A text, or an object that should have one.
          const { data: more, message = data } = Object(data) as { readonly data?: unknown; readonly message?: unknown }
          refuse(typeof message === "string" ? message : "refused", { data: more })
        }
        return
      case DISCONNECT:
        return disconnected("io server disconnect")
      case EVENT:
        if (state._tag === "Connected") onEvent(packet)
        else if (state._tag === "Connecting" && state.early.length < CAPACITY) state.early.push(packet)
        return
      case ACK:
        return outbound.answer(id, data as Arguments)
    }
  }

  // -------------------------------------------------------------- users

  /** Waits for the first status, from the present one on, of which something is made. */
  const awaitStatus = <A, E>(select: (status: SocketStatus) => Effect.Effect<A, E> | undefined) =>
    Effect.callback<A, E>((resume) => {
      const check = (status: SocketStatus) => {
        const result = select(status)
        if (!result) return
        statuses.delete(check)
        resume(result)
      }
      statuses.add(check)
      // The present one may be what is awaited.
      check(status)
      return Effect.sync(() => statuses.delete(check))
    })

  const awaitConnected = Effect.suspend(() =>
    state._tag === "Disposed"
      ? errorOf({ description: "the socket's scope has closed", reason: "io client disconnect", willRetry: false })
      : awaitStatus((status): Effect.Effect<void, ConnectError> | undefined => {
          if (status._tag === "Connected") return Effect.void
          if (status._tag === "Connecting") return undefined
          const error = status._tag === "Failed" ? status.error : errorOf(status)
          return error.willRetry ? undefined : error
        })
  )

  const socket = {
    ...outbound.emitter,
    namespace,
    get id() {
      return state._tag === "Connected" ? state.id : undefined
    },
    get connected() {
      return isConnected()
    },
    get recovered() {
      return state._tag === "Connected" && state.recovered
    },
    status: inbound.streamOf("status", statuses, { overflow: "dropOldest" }, () => status),
    disconnect: () => Effect.sync(leave),
    disconnected: awaitStatus((status) => (status._tag === "Disconnected" ? Effect.succeed(status.reason) : undefined)),
    reconnect: () =>
      Effect.suspend(() => {
        // Somebody has connected to the namespace since this socket has left it.
        if (state._tag === "Idle" && manager.members.has(namespace)) {
          return errorOf({ description: "it has another socket", reason: "io client disconnect", willRetry: false })
        }
        want()
        return awaitConnected
      }),
    events: inbound.events,
    stream: inbound.stream,
    subscribe: inbound.subscribe,
    respond: inbound.respond,
    onAny: inbound.onAny,
    onAnyOutgoing: (handler: Parameters<typeof inbound.handle>[1]) => inbound.handle(sent, handler)
  }

  const self: SocketRuntime = {
    namespace,
    target,
    socket,
    awaitConnected,
    use: (makeAuth) => {
      users.add(makeAuth)
      want()
      return () => {
        if (users.delete(makeAuth) && users.size === 0) dispose()
      }
    },
    onOpen,
    onPacket,
    onEnd: (ending: ConnectionEnd) =>
      end(isConnected() ? { ...ending, _tag: "Disconnected" } : { _tag: "Failed", error: errorOf(ending) })
  }
  return self
}

/** A status that ends a connection, or an attempt. */
type EndStatus = Extract<SocketStatus, { readonly _tag: "Failed" | "Disconnected" }>

/** The end of a connection, or of the socket itself. */
type Ending = Omit<Extract<SocketStatus, { readonly _tag: "Disconnected" }>, "_tag"> & { readonly _tag?: string }
