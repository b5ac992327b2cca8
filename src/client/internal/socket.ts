import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import { AckArguments } from "../../AckArguments.ts"
import type { ClientClose } from "../../engine/EngineClient.ts"
import type { ClientWire } from "../../internal/clientWire.ts"
import { defectOf } from "../../internal/defectOf.ts"
import { log } from "../../internal/log.ts"
import { ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT } from "../../protocol/PacketType.ts"
import { type EncodedPacket, RESERVED_EVENTS, type SocketPacket } from "../../protocol/SocketPacket.ts"
import { AckError } from "../../SocketIoError.ts"
import { type ClientDisconnectReason, ConnectError, type SocketStatus } from "../ClientSocket.ts"
import { ANY, CONNECTED, CONNECTING, END, IDLE, OUTGOING, STATUS } from "./codes.ts"
import { CAPACITY, makeMailbox } from "./mailbox.ts"
import type { Manager } from "./manager.ts"
import { runForkHere, scoped } from "./scoped.ts"

/** Makes the auth payload, anew for every connection, and something of it. */
export type MakeAuth = <A>(use: (auth: Readonly<Record<string, unknown>> | undefined) => A) => Fiber.Fiber<A>

type Arguments = ReadonlyArray<unknown>

type OutgoingEvent = readonly [
  packet: EncodedPacket,
  id: number | undefined,
  data: Arguments,
  compress: boolean | undefined
]

/** Events that may wait for their first reader, and for how long after the connection, in milliseconds. */
const MAX_UNHEARD = 256
const UNHEARD_FOR = 1_000

type Handler = (...args: Array<any>) => Effect.Effect<any, any, any>

type Listener = (...args: Array<any>) => unknown

/** Who listens to what: to an event, or to one of the following. */
type Listeners = Map<string | number, Set<Listener>>

/** An end, of the connection or of the socket. */
type Ending = Omit<ClientClose, "reason"> & { readonly _tag?: string; readonly reason: ClientDisconnectReason }

/** What sends events in some way. */
interface Emitter {
  readonly emit: (event: string, ...args: Arguments) => Effect.Effect<void>
  readonly emitWithAck: (event: string, ...args: Arguments) => Effect.Effect<any, any>
}

/**
 * A client's socket: it wants to be connected from its making to its end, unless somebody disconnects it or the server refuses it.
 */
export class SocketRuntime implements Emitter {
  // What users see.
  declare readonly namespace: string
  declare readonly id: string | undefined
  declare readonly connected: boolean
  declare readonly recovered: boolean
  declare readonly status: Stream.Stream<SocketStatus>
  declare readonly disconnect: Effect.Effect<void>
  declare readonly reconnect: Effect.Effect<void, ConnectError>
  declare readonly volatile: Emitter
  declare readonly compress: (compress: boolean) => Emitter & { readonly volatile: Emitter }
  declare readonly emit: Emitter["emit"]
  declare readonly emitWithAck: Emitter["emitWithAck"]
  declare readonly stream: (event: string) => Stream.Stream<any>
  declare readonly subscribe: (event: string) => Effect.Effect<Stream.Stream<any>, never, Scope.Scope>
  declare readonly respond: (event: string, handler: Handler) => Effect.Effect<void, never, any>
  declare readonly onAny: (
    handler: (event: string, args: Arguments) => Effect.Effect<unknown, never, any>
  ) => Effect.Effect<void, never, any>
  declare readonly onAnyOutgoing: SocketRuntime["onAny"]

  /** What was connected to, and with which auth payload; `true` stands for an effect. */
  declare readonly target: unknown
  declare readonly auth: unknown
  /** Begins to use it; gives the end of that. It ends with its last user. */
  declare readonly use: (makeAuth: MakeAuth) => () => void
  /** Waits until the socket is connected, or an attempt has failed that none follows. */
  declare readonly awaitConnected: Effect.Effect<void, ConnectError>
  /** It wants to be connected, from now on. */
  declare readonly want: () => void
  /** The connection to the server is open. */
  declare readonly onConnection: () => void
  /** The connection to the server was lost, or could not be opened. */
  declare readonly onLost: (close: ClientClose, willRetry: boolean, wasOpen: boolean) => void
  declare readonly onPacket: (packet: SocketPacket) => void

  constructor(manager: Manager, namespace: string, target: unknown, wire: ClientWire | undefined, auth: unknown) {
    const { diagnostics, now, options, runFork } = manager
    const self = this as { -readonly [Key in keyof SocketRuntime]: SocketRuntime[Key] }
    let state = IDLE
    let last: SocketStatus = { _tag: "Connecting" }
    let isDisposed = false
    /** Makes the auth payload. */
    let making: Fiber.Fiber<unknown, unknown> | undefined
    /** What a server that recovers connections knows this one by, and the last packet that came of it. */
    let pid: string | undefined
    let offset: string | undefined
    /** Who waits for an acknowledgement, which is `undefined` if it will not come. */
    let acks = new Map<number | undefined, readonly [event: OutgoingEvent, answer: (args?: Arguments) => void]>()
    let ackIds = 0
    let outbox = new Set<OutgoingEvent>()
    /** Events that came before the CONNECT reply. */
    let early: Array<SocketPacket> = []
    /** Events that came right after it, before anybody has asked for one of their name. */
    let unheard: Array<Parameters<typeof hear>> = []
    let forgetting: Fiber.Fiber<unknown> | undefined
    let connectedAt = 0
    const users = new Set<MakeAuth>()
    const taps: Listeners = new Map()
    const handlers: Listeners = new Map()

    // -------------------------------------------------------------- connecting

    const isWanted = () => manager.sockets.get(namespace) === this

    const debug = (message: string, annotations: object) =>
      diagnostics.debug("socket", message, { namespace, ...annotations })

    const tell = (status: SocketStatus) => {
      last = status
      debug(status._tag, status)
      call(taps, STATUS, status)
    }

    const error = (message: string, willRetry = false, details: object = {}) =>
      new ConnectError({ namespace, message, willRetry, ...details })

    /** It is not connected, nor on its way; without `willRetry` it does not want to be. */
    const settle = (status: SocketStatus | ConnectError | undefined, willRetry: boolean) => {
      if (!willRetry && isWanted()) manager.remove(this)
      state = IDLE
      self.id = undefined
      self.connected = self.recovered = false
      early = []
      dropUnheard()
      making?.interruptUnsafe()
      // First of all: who learns that an answer will not come may look how it stands.
      if (status?._tag === "ConnectError") {
        // Nobody would ever know.
        if (!willRetry && !taps.has(STATUS)) {
          diagnostics.warn(`not connected to "${namespace}": ${status.message}`, status as {})
        }
        tell({ _tag: "Failed", error: status })
      } else if (status) tell(status)
      // What was not sent yet keeps waiting for its answer.
      for (const [id, [event]] of Array.from(acks)) if (!outbox.has(event)) answer(id)
    }

    const refused = (message: string, details?: object) => settle(error(message, false, details), false)

    const errorOf = ({ _tag, description, ...details }: Ending, willRetry = false) =>
      error(description ?? details.reason, willRetry, details)

    const lost = (reason: ClientDisconnectReason, willRetry: boolean, details?: object) =>
      settle(
        state === CONNECTED || !willRetry ? { _tag: "Disconnected", reason, willRetry, ...details } : undefined,
        willRetry
      )

    const leave = () => {
      if (!isWanted()) return
      if (state === CONNECTED) send(DISCONNECT)
      manager.leave(namespace, state === CONNECTING && !making)
      outbox.clear()
      lost("io client disconnect", false)
    }

    const onConnected = (data: unknown) => {
      const { pid: newPid, sid } = (data ?? {}) as { readonly sid?: unknown; readonly pid?: unknown }
      if (typeof sid !== "string" || !sid) {
        return refused("no id: older protocol")
      }
      const recovered = newPid !== undefined && newPid === pid
      if (!recovered) {
        pid = typeof newPid === "string" ? newPid : undefined
        offset = undefined
      }
      state = CONNECTED
      connectedAt = now()
      self.id = sid
      self.connected = true
      self.recovered = recovered
      const events = early
      const waiting = outbox
      early = []
      outbox = new Set()
      for (const packet of events) {
        onEvent(packet)
        // It may have left because of what it was told.
        if (state !== CONNECTED) return
      }
      for (const event of waiting) transmit(event)
      tell({ _tag: "Connected", id: sid, recovered })
    }

    // -------------------------------------------------------------- out

    const encode = (type: SocketPacket["type"], data?: unknown, id?: number, mayHaveBinary = false) =>
      manager.encode({ type, namespace, id, data }, mayHaveBinary)

    const send = (...packet: Parameters<typeof encode>) => manager.send(encode(...packet))

    const pack = (event: string, args: Arguments, compress?: boolean, id?: number): OutgoingEvent => {
      // First of all: what is overdue is lost, and takes what is sent over it along.
      manager.engine?.checkAlive()
      if (!wire && RESERVED_EVENTS.has(event)) throw new Error(`"${event}" is reserved`)
      // So the official library asks for an acknowledgement: JSON would make `null` of it.
      if (args.some((arg) => typeof arg === "function")) throw new Error("use emitWithAck, not a function")
      const [data, mayHaveBinary] = wire?.encode(event, args[0]) ?? [[event, ...args], true]
      // Now, though it may have to wait: who emits what cannot be encoded is the one to know.
      return [encode(EVENT, data, id, mayHaveBinary), id, data, compress]
    }

    const transmit = ([packet, , data, compress]: OutgoingEvent) => {
      if (taps.has(OUTGOING)) call(taps, OUTGOING, [data[0], data.slice(1)], data[0])
      manager.send(packet, compress)
    }

    /** Sends an event, or keeps it until it can be sent; `false` if there is no room for it, or it may not wait. */
    const emit = (event: OutgoingEvent, isVolatile: boolean): boolean => {
      if (isDisposed) return false
      if (state === CONNECTED && (!isVolatile || manager.engine?.writable)) {
        transmit(event)
        return true
      }
      if (isVolatile) return false
      if (outbox.size >= options.maxBuffered) {
        const [oldest] = outbox
        if (options.bufferOverflow !== "oldest" || !oldest) return false
        outbox.delete(oldest)
        answer(oldest[1])
      }
      outbox.add(event)
      return true
    }

    const answer = (id: number | undefined, args?: Arguments) => {
      const ack = acks.get(id)
      acks.delete(id)
      ack?.[1](args)
    }

    // -------------------------------------------------------------- in

    const onEvent = (packet: SocketPacket) => {
      const [name, ...args] = packet.data as Arguments
      const event = String(name)
      // Behind the arguments stands the packet's offset, if the server recovers connections: it cannot be told from an argument.
      const at = args.at(-1)
      if (pid !== undefined && typeof at === "string") offset = at
      call(taps, ANY, [event, args], event)
      hear(event, args, packet)
    }

    /** Gives an event to those who listen to it, or keeps it for a while if nobody does. */
    const hear = (event: string, args: Arguments, packet: SocketPacket) => {
      if (taps.has(event) || handlers.has(event)) return deliver(event, args, packet)
      if (unheard.length === MAX_UNHEARD || now() - connectedAt >= UNHEARD_FOR) return
      forgetting ??= runFork(Effect.andThen(Effect.sleep(UNHEARD_FOR), Effect.sync(dropUnheard)))
      unheard.push([event, args, packet])
    }

    const dropUnheard = () => {
      forgetting?.interruptUnsafe()
      forgetting = undefined
      unheard = []
    }

    const deliver = (event: string, args: Arguments, { data, id }: SocketPacket) => {
      const taken = wire
        ? wire.decode(namespace, event, data as Arguments, (logged, refusal) => {
            runFork(logged)
            if (id !== undefined && refusal && handlers.has(event)) send(ACK, refusal, id)
          })
        : args
      if (!taken) return
      call(taps, event, wire ? taken[0] : args)
      let isAnswered = id === undefined
      call(handlers, event, taken, event, (exit: Exit.Exit<unknown, unknown>) => {
        if (isAnswered) return
        const answer = wire ? wire.encodeExit(event, exit) : toAnswer(exit)
        if (!answer) return
        isAnswered = true
        if (state === CONNECTED) send(ACK, answer, id, true)
      })
    }

    /** Adds a listener; gives the function that takes it out again. */
    const listen = (map: Listeners, key: string | number, listener: Listener): (() => void) => {
      wire?.check(key)
      const listeners = map.get(key) ?? new Set()
      map.set(key, listeners.add(listener))
      const waiting = unheard
      unheard = []
      for (const heard of waiting) {
        if (key === ANY) listener(heard, heard[0])
        hear(...heard)
      }
      return () => {
        if (listeners.delete(listener) && listeners.size === 0) map.delete(key)
      }
    }

    /** Runs a handler for everything that its key is called with. What it dies of is logged, and nobody else's business. */
    const handle = (map: Listeners, key: string | number, handler: Handler) =>
      Effect.flatMap(runForkHere, (run) =>
        scoped(() =>
          listen(map, key, (args: Arguments, event: string, onExit?: (exit: Exit.Exit<unknown, unknown>) => void) =>
            run(Effect.suspend(() => handler(...args))).addObserver((exit) => {
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
          )
        )
      )

    /** What a key is called with, until the scope closes, or the socket's own. */
    const pulls = (key: string | number) =>
      Effect.suspend(() => {
        const [offer, end, pull] = makeMailbox<any>()
        return Effect.map(
          scoped(() => {
            if (key === STATUS) offer(last)
            if (isDisposed) end()
            const forget = listen(taps, key, offer)
            const forgetEnd = listen(taps, END, end)
            return () => {
              forget()
              forgetEnd()
            }
          }),
          () => pull
        )
      })

    self.namespace = namespace
    self.connected = self.recovered = false
    self.status = streamOf(pulls(STATUS))
    self.disconnect = Effect.sync(leave)
    self.awaitConnected = Effect.callback<void, ConnectError>((resume) => {
      if (isDisposed) return resume(error("the socket's scope has closed"))
      let forget: (() => void) | undefined
      const check = (status: SocketStatus) => {
        const end = status._tag === "Failed" ? status.error : status
        if (end._tag === "Connected") resume(Effect.void)
        else if (end._tag === "Connecting" || end.willRetry) return false
        else if (end._tag === "ConnectError") resume(end)
        else resume(errorOf(end))
        forget?.()
        return true
      }
      // It may have failed before anybody could listen.
      return check(last) ? undefined : Effect.sync((forget = listen(taps, STATUS, check)))
    })
    self.want = () => {
      if (isDisposed || isWanted()) return
      tell({ _tag: "Connecting" })
      manager.add(this)
    }
    self.reconnect = Effect.suspend(() => {
      // Somebody has connected to the namespace since it was left, and has another socket.
      if (!isWanted() && manager.sockets.has(namespace)) return error("it has another socket")
      self.want()
      return self.awaitConnected
    })
    self.target = target
    self.auth = auth
    self.use = (makeAuth) => {
      users.add(makeAuth)
      self.want()
      return () => {
        if (users.delete(makeAuth) && users.size === 0) dispose()
      }
    }
    const dispose = () => {
      isDisposed = true
      leave()
      // What was kept for a connection that it did not want any more is not sent, either.
      outbox.clear()
      settle(undefined, true)
      call(taps, END)
    }
    const emitter = (isVolatile: boolean, compress?: boolean): Emitter => ({
      emit: (event, ...args) => Effect.sync(() => void emit(pack(event, args, compress), isVolatile)),
      emitWithAck: (event, ...args) => {
        const answered = Effect.callback<Arguments, AckError>((resume) => {
          const fail = (_tag: "Disconnected" | "NotSent" | "TooManyPending") =>
            resume(new AckError({ event, reason: { _tag } }))
          if (acks.size >= options.maxPendingAcks) return fail("TooManyPending")
          const id = ackIds++
          // A map that stayed would keep what is long over from young collections.
          if (!(id % 1_000)) acks = new Map(acks)
          const packed = pack(event, args, compress, id)
          if (!emit(packed, isVolatile)) return fail("NotSent")
          acks.set(id, [packed, (args) => (args ? resume(Effect.succeed(args)) : fail("Disconnected"))])
          return Effect.sync(() => {
            acks.delete(id)
            outbox.delete(packed)
          })
        })
        return wire ? wire.answered(event, answered) : answered
      }
    })
    Object.assign(self, emitter(false))
    self.volatile = emitter(true)
    self.compress = (compress) => ({ ...emitter(false, compress), volatile: emitter(true, compress) })
    self.stream = (event) => streamOf(pulls(event))
    self.subscribe = (event) => Effect.map(pulls(event), (pull) => streamOf(Effect.succeed(pull)))
    self.respond = (event, handler) => handle(handlers, event, handler)
    self.onAny = (handler) => handle(taps, ANY, handler)
    self.onAnyOutgoing = (handler) => handle(taps, OUTGOING, handler)

    // -------------------------------------------------------------- what the manager tells

    self.onConnection = () => {
      if (state !== IDLE) return
      state = CONNECTING
      if (last._tag !== "Connecting") tell({ _tag: "Connecting" })
      const [makeAuth] = users
      const fiber = (making = makeAuth!((auth) =>
        encode(CONNECT, pid === undefined ? auth : { pid, offset, ...auth }, undefined, true)
      ))
      fiber.addObserver((exit) => {
        if (state !== CONNECTING || making !== fiber) return
        making = undefined
        if (exit._tag === "Failure") {
          const cause = defectOf(exit.cause.reasons[0]!)
          return refused(`auth failed: ${cause}`, { cause })
        }
        manager.send(exit.value)
      })
    }
    self.onLost = (close, willRetry, wasOpen) =>
      wasOpen && !(state === CONNECTING && willRetry)
        ? lost(close.reason, willRetry, close)
        : settle(errorOf(close, willRetry), willRetry)
    self.onPacket = (packet) => {
      const { data, id, type } = packet
      switch (type) {
        case CONNECT:
          if (state === CONNECTING) onConnected(data)
          return
        case CONNECT_ERROR:
          if (state === CONNECTING) {
            // It is a text, or an object that should have one.
            const { data: more, message = data } = Object(data) as {
              readonly data?: unknown
              readonly message?: unknown
            }
            refused(typeof message === "string" ? message : "refused", { data: more })
          }
          return
        case DISCONNECT:
          return lost("io server disconnect", false)
        case EVENT:
          if (state === CONNECTED) onEvent(packet)
          else if (state === CONNECTING && early.length < CAPACITY) early.push(packet)
          return
        case ACK:
          return answer(id, data as Arguments)
      }
    }
  }
}

const streamOf = <A>(
  pull: Effect.Effect<Effect.Effect<readonly [A, ...Array<A>], Cause.Done>, never, Scope.Scope>
): Stream.Stream<A> => Stream.fromChannel(Channel.fromTransform((_, scope) => Scope.provide(pull, scope)))

/** What a handler without a contract answers; nothing if it has failed. */
const toAnswer = (exit: Exit.Exit<unknown, unknown>): Arguments | undefined =>
  exit._tag === "Failure"
    ? undefined
    : exit.value instanceof AckArguments
      ? exit.value.values
      : exit.value === undefined
        ? []
        : [exit.value]

/** Calls those who listen now. */
const call = (map: Listeners, key: string | number, ...args: ReadonlyArray<unknown>) => {
  for (const listener of Array.from(map.get(key) ?? [])) listener(...args)
}
