import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

import { defectOf } from "../../internal/defectOf.ts"
import { log } from "../../internal/log.ts"
import { CAPACITY } from "../../internal/streamCapacity.ts"
import { ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT } from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import {
  type ClientDisconnectReason,
  ConnectError,
  type ConnectErrorReason,
  type SocketStatus
} from "../ClientSocket.ts"
import type { ConnectionEnd, MakeAuth, Manager, Received, SocketRuntime, Target } from "./connection.ts"
import { type Arguments, call, type Listeners, makeInbound } from "./inbound.ts"
import { makeOutbound } from "./outbound.ts"

export const makeSocket = (manager: Manager<SocketRuntime>, target: Target): SocketRuntime => {
  const { namespace, wire } = target
  /**
   * The state of the socket, as users see it. The manager knows the socket while it wants to be
   * connected.
   */
  let status: SocketStatus = { _tag: "Connecting" }
  /** CONNECT is on its way: events that came before the answer. */
  let asking: Array<Received> | undefined
  /**
   * The name of this connection for a server that recovers it, and the last packet that came over
   * it.
   */
  let pid: string | undefined
  let offset: string | undefined
  /** Makes the auth payload of a CONNECT. */
  let making: Fiber.Fiber<unknown, unknown> | undefined
  /** Those who use the socket. After the last one it is closed for good. */
  const users = new Set<MakeAuth>()
  const statuses: Listeners = new Set()
  /** The statuses that are to be told, each to those who listened then. */
  const untold: Array<() => void> = []
  const sent: Listeners = new Set()

  const isConnected = () => status._tag === "Connected"

  /** Whether events can be sent. While the socket moves to another server they wait. */
  const isJoined = () => isConnected() && !asking

  const canSend = () => isJoined() && !manager.engine?.isMoving

  const isWanted = () => manager.members.get(namespace) === self

  const packet = (type: SocketPacket["type"], data?: unknown, id?: number) =>
    manager.encode({ type, namespace, id, data }, true)

  const outbound = makeOutbound(manager, namespace, wire, canSend, (event, args) => call(sent, [event, args], event))

  const inbound = makeInbound(namespace, wire, manager.runtime, ({ id, link }, args) => {
    // On another connection the id means something else.
    if (isConnected()) manager.send(packet(ACK, args, id), undefined, link)
  })

  // -------------------------------------------------------------- the state

  const enter = (next: SocketStatus) => {
    status = target.onStatus?.(next) ?? next
    stopAsking()
    inbound.close()
  }

  const stopAsking = () => {
    const late = making
    making = asking = undefined
    late?.interruptUnsafe()
  }

  /** Tells the status. A listener may change it: all hear this one first, and that one at once. */
  const tell = () => {
    const told = status
    for (const listener of statuses) untold.push(() => listener([told], "status"))
    while (untold[0]) untold.shift()!()
  }

  const change = (next: SocketStatus) => {
    enter(next)
    tell()
  }

  /**
   * The socket is not connected, or not on its way any more. Without another attempt it does not
   * want to be.
   */
  const end = (next: EndStatus, willRetry = false) => {
    if (!willRetry) manager.remove(self)
    // Nobody would ever know.
    if (next._tag === "Failed" && !willRetry && statuses.size === 0) {
      const { error } = next
      manager.runtime.runFork(log("Warn", `not connected to "${namespace}": ${error.message}`, error as {}))
    }
    change(next)
    // After the change, as callers look at the state. An event that is still to be sent keeps
    // waiting for its answer.
    outbound.forget()
  }

  const makeError = (message: string, reason: ConnectErrorReason & { readonly cause?: unknown }, willRetry = false) =>
    new ConnectError({ namespace, message, reason, willRetry, cause: reason.cause })

  const errorOf = ({ description, willRetry, ...details }: Ending) =>
    makeError(description ?? details.reason, { _tag: "Disconnected", ...details }, willRetry)

  const refuse = (message: string, reason: ConnectErrorReason) =>
    end({ _tag: "Failed", error: makeError(message, reason) })

  const disconnected = (reason: ClientDisconnectReason) => end({ _tag: "Disconnected", reason, willRetry: false })

  const leave = () => {
    if (!isWanted()) return
    if (isJoined()) manager.send(packet(DISCONNECT))
    manager.leave(namespace, asking && !making ? "asked" : "left")
    outbound.clear()
    disconnected("io client disconnect")
  }

  const dispose = () => {
    leave()
    outbound.end()
    outbound.forget()
    inbound.end()
  }

  /** The socket wants to be connected from now on. */
  const want = () => {
    if (!isWanted() && users.size > 0) manager.add(self, connecting)
  }

  const connecting = () => change({ _tag: "Connecting" })

  // -------------------------------------------------------------- the server

  const onOpen = (): void => {
    if (asking || !isWanted()) return
    // A connection that has moved keeps its sockets connected.
    if (!isConnected() && status._tag !== "Connecting") {
      connecting()
      // A listener may have left, or come back.
      return onOpen()
    }
    asking = []
    const [makeAuth] = users
    const fiber = (making = makeAuth!((auth) => packet(CONNECT, pid ? { pid, offset, ...auth } : auth)))
    fiber.addObserver((exit) => {
      if (making !== fiber) return
      making = undefined
      if (exit._tag === "Success") return manager.send(exit.value)
      const cause = defectOf(exit.cause.reasons[0]!)
      refuse(`auth failed: ${cause}`, { _tag: "AuthFailed", cause })
    })
  }

  const onMove = () => {
    const forget = outbound.mark()
    stopAsking()
    onOpen()
    return forget
  }

  const onConnected = (data: unknown, early: ReadonlyArray<Received>) => {
    const { pid: newPid, sid } = Object(data) as Greeting
    if (typeof sid !== "string" || !sid) return refuse("older protocol", { _tag: "OldServer" })
    const recovered = newPid !== undefined && newPid === pid
    if (!recovered) {
      pid = typeof newPid === "string" ? newPid : undefined
      offset = undefined
    }
    enter({ _tag: "Connected", id: sid, recovered })
    const connected = status
    inbound.open()
    for (const packet of early) {
      // A handler may disconnect.
      if (status === connected) onEvent(packet)
    }
    outbound.flush()
    if (status === connected) tell()
  }

  const onEvent = (packet: Received) => {
    // A server that recovers connections adds the packet's offset to the arguments, unless it asks
    // for an acknowledgement. It looks like any other argument.
    const last = (packet.data as Arguments).at(-1)
    if (pid && packet.id === undefined && typeof last === "string") offset = last
    inbound.receive(target.onEvent?.(packet) ?? packet)
  }

  const onPacket = (packet: Received) => {
    const { data, id, type } = packet
    switch (type) {
      case CONNECT:
        if (asking) onConnected(data, asking)
        return
      case CONNECT_ERROR:
        if (asking) {
          // A text, or an object that should have one.
          const { data: more, message = data } = Object(data) as { readonly data?: unknown; readonly message?: unknown }
          refuse(typeof message === "string" ? message : "refused", { _tag: "Refused", data: more })
        }
        return
      case DISCONNECT:
        return disconnected("io server disconnect")
      case EVENT:
        if (isJoined()) onEvent(packet)
        else if (asking) {
          // It misses this one: it has recovered nothing.
          if (asking.length === CAPACITY) pid = undefined
          else asking.push(packet)
        }
        return
      case ACK:
        return outbound.answer(id, data as Arguments)
    }
  }

  // -------------------------------------------------------------- users

  /** Waits for the first status, from the present one on, of which something is made. */
  const awaitStatus = <A, E>(select: (status: SocketStatus) => Effect.Effect<A, E> | undefined) =>
    Effect.callback<A, E>((resume) => {
      const check = ([status]: readonly [SocketStatus]) => {
        const result = select(status)
        if (!result) return
        statuses.delete(check)
        resume(result)
      }
      statuses.add(check)
      // The present one may be the one that is awaited.
      check([status])
      return Effect.sync(() => statuses.delete(check))
    })

  const ready = Effect.suspend(() =>
    users.size === 0
      ? makeError("its scope closed", { _tag: "Closed" })
      : awaitStatus((status): Effect.Effect<void, ConnectError> | undefined => {
          if (status._tag === "Connected") return Effect.void
          if (status._tag === "Connecting") return undefined
          const error = status._tag === "Failed" ? status.error : errorOf(status)
          return error.willRetry ? undefined : error
        })
  )

  const socket = {
    ...outbound.emitter,
    ...inbound.readers,
    namespace,
    wire,
    get id() {
      return (status as Partial<Connected>).id
    },
    get connected() {
      return isConnected()
    },
    get recoverable() {
      return pid !== undefined
    },
    get recovered() {
      return !!(status as Partial<Connected>).recovered
    },
    status: inbound.watch(statuses, () => status),
    onStatus: (handler: Parameters<typeof inbound.handle>[1]) => inbound.handle(statuses, handler),
    disconnect: () => Effect.sync(leave),
    disconnected: awaitStatus((status) => {
      const end = status._tag === "Failed" && !status.error.willRetry ? status.error.reason : status
      if (end._tag === "Disconnected") return Effect.succeed(end.reason)
      return end === status ? undefined : Effect.succeed("io server disconnect" as const)
    }),
    reconnect: () =>
      Effect.suspend(() => {
        // Somebody has connected to the namespace since this socket has left it.
        if (!isWanted() && manager.members.has(namespace)) return makeError("it has another socket", { _tag: "Closed" })
        want()
        return ready
      }),
    onAnyOutgoing: (handler: Parameters<typeof inbound.handle>[1]) => inbound.handle(sent, handler)
  }

  const own: SocketRuntime = {
    namespace,
    target,
    socket,
    canSend,
    ready,
    use: (makeAuth) => {
      users.add(makeAuth)
      want()
      return () => {
        if (users.delete(makeAuth) && users.size === 0) dispose()
      }
    },
    onOpen,
    onMove,
    onPacket,
    onEnd: (ending: ConnectionEnd) =>
      end(
        isConnected() ? { ...ending, _tag: "Disconnected" } : { _tag: "Failed", error: errorOf(ending) },
        ending.willRetry
      )
  }
  const self = target.decorate?.(own, manager) ?? own
  return self
}

/** The answer to a CONNECT. */
interface Greeting {
  readonly sid?: unknown
  readonly pid?: unknown
}

/** Other statuses have none of its members. */
type Connected = Extract<SocketStatus, { readonly _tag: "Connected" }>

/** A status that ends a connection, or an attempt. */
type EndStatus = Extract<SocketStatus, { readonly _tag: "Failed" | "Disconnected" }>

/** The end of a connection, or of the socket itself. */
type Ending = ConnectionEnd | Extract<SocketStatus, { readonly _tag: "Disconnected" }>
