import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"

import type { ClientCloseReason } from "../../DisconnectReason.ts"
import * as EngineClient from "../../engine/EngineClient.ts"
import { CONTROL_ID } from "../../internal/controlEvents.ts"
import { defectOf } from "../../internal/defectOf.ts"
import { ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT } from "../../protocol/PacketType.ts"
import type { PacketParser } from "../../protocol/PacketParser.ts"
import { isProtocolError, type ProtocolError } from "../../protocol/ProtocolError.ts"
import type { EncodedPacket, SocketPacket } from "../../protocol/SocketPacket.ts"
import type { ResolvedClientOptions } from "../ClientOptions.ts"
import type { Outage } from "../Reconnection.ts"
import type { ConnectionEnd, Former, Manager, ManagerRuntime, Member, Received } from "./connection.ts"

/**
 * The namespaces whose former sockets are remembered: a page may go through thousands over one
 * connection.
 */
const MAX_FORMER = 1_000

/** The codes of errors that are limits. Each is a reason of its own for a connection to end. */
const LIMITS = /many a|large|deep/

/**
 * The shortest time between two warnings that the server cannot be connected to, in milliseconds.
 */
const WARNING_INTERVAL = 60_000

/** The pause between two attempts to connect to the next server, in milliseconds. */
const MOVE_PAUSE = 1_000

/** The longest time for a move, in milliseconds, whatever the server says. */
const MAX_MOVE = 60_000

export const makeManager = <M extends Member>(
  options: ResolvedClientOptions,
  runtime: ManagerRuntime,
  parser: PacketParser
): Manager<M> => {
  const { headers, query, reconnection } = options
  const { debug, now, runFork, warn } = runtime
  const members = new Map<string, M>()
  const former = new Map<string, Former>()
  let engine: EngineClient.EngineClient | undefined
  /**
   * The connection to the next server, when this one has asked to move, and the fiber that makes
   * it.
   */
  let next: EngineClient.EngineClient | undefined
  let dialing: Fiber.Fiber<unknown, unknown> | undefined
  /**
   * The next connection is open. Events wait until the server says that the ones before are
   * handled.
   */
  let isMoving = false
  /** The connection before the last move, its members, and what to do when it has ended. */
  let previous: { link: EngineClient.EngineClient; members: ReadonlySet<M>; onEnd: () => void } | undefined
  /** Called when the connection has ended. */
  let onEnd: (close: EngineClient.ClientClose) => void
  /** Runs sessions and the pauses between them, while there are members. */
  let running: Fiber.Fiber<unknown, unknown> | undefined
  let isClosed = false
  /** The server has let a namespace in: the next outage is another one. */
  let isEstablished = false
  /** The time before which there is no other warning. */
  let quietUntil = -Infinity

  const tell = (end: ConnectionEnd) => {
    for (const member of Array.from(members.values())) member.onEnd(end)
  }

  /** Makes a connection, with headers and parameters as they are by now. */
  const dial = Effect.gen(function* () {
    const given = {
      ...options,
      // A server of ours may then use more than the protocol.
      query: { ...(Effect.isEffect(query) ? yield* query : query), fx: runtime.observer?.fx ?? "1" },
      headers: Effect.isEffect(headers) ? yield* headers : headers
    }
    const decoder = parser.makeDecoder(options)
    const link: EngineClient.EngineClient = EngineClient.make(given, runtime, {
      onOpen: ({ sid }) => {
        debug("engine", "opened", { sid })
        if (link === next) return onNextOpen()
        for (const member of Array.from(members.values())) member.onOpen()
      },
      onUpgrade: () => debug("engine", "upgraded"),
      onMessage: (packet) => onDecoded(link, decoder.text(packet, 1)),
      onBinary: (bytes) => onDecoded(link, decoder.binary(bytes)),
      onClose: (close) => {
        debug("engine", "closed", close as {})
        if (link === engine) onEnd(close)
        else if (link === next) onNextEnd()
        else if (link === previous?.link) previous.onEnd()
      }
    })
    return link
  })

  const closeAll = () => {
    isMoving = false
    dialing?.interruptUnsafe()
    engine?.close()
    next?.close()
    previous?.link.close()
  }

  /** One session, from its opening to its end, which it gives. Interruption closes it. */
  const session = Effect.flatMap(dial, (link) =>
    Effect.callback<Ended>((resume) => {
      former.clear()
      debug("manager", "connecting")
      engine = link
      onEnd = (close) => {
        const wasOpen = engine!.id !== undefined
        engine = undefined
        // The next server is there already.
        if (isMoving) return move()
        dialing?.interruptUnsafe()
        next?.close()
        // A connection that the last member has left may have new ones, who wait for the next.
        if (isClosed || (wasOpen && close.reason !== "forced close")) {
          tell({ ...close, willRetry: !isClosed && !!reconnection })
        }
        resume(Effect.succeed({ ...close, wasOpen }))
      }
      link.open()
      return Effect.sync(closeAll)
    })
  )

  // -------------------------------------------------------------- moves

  let onNextOpen: () => void
  let onNextEnd: () => void
  let move: () => void

  /**
   * The server asks to move to another one. It keeps this connection for some time, and awaits an
   * acknowledgement.
   */
  const onMoveAsked = (from: EngineClient.EngineClient, within: number, id: number | undefined) => {
    if (next) return
    const until = now() + Math.min(within, MAX_MOVE)
    const dialNext = (pause: number) => {
      dialing?.interruptUnsafe()
      dialing = runFork(
        Effect.map(pause ? Effect.andThen(Effect.sleep(pause), dial) : dial, (link) => {
          next = link
          link.open()
        })
      )
    }
    onNextOpen = () => {
      isMoving = true
      send(encode({ type: ACK, namespace: "/", id, data: [] }, false))
    }
    onNextEnd = () => {
      next = undefined
      if (isMoving) {
        // The events that wait cannot be sent over this connection any more.
        isMoving = false
        engine?.fail("transport close", "lost while moving")
      } else if (engine === from && from.isOpen && now() + MOVE_PAUSE < until) dialNext(MOVE_PAUSE)
    }
    move = () => {
      debug("manager", "moved")
      previous?.link.close()
      previous?.onEnd()
      engine = next
      next = undefined
      isMoving = false
      former.clear()
      const closing = runFork(Effect.map(Effect.sleep(Math.max(0, until - now())), () => from.close()))
      const ends = Array.from(members.values(), (member) => member.onMove())
      previous = {
        link: from,
        members: new Set(members.values()),
        onEnd: () => {
          previous = undefined
          closing.interruptUnsafe()
          for (const end of ends) end()
        }
      }
      if (!from.isOpen) previous.onEnd()
    }
    dialNext(0)
  }

  /** Sessions, and the pauses of the schedule between them, until nobody needs the connection. */
  const connection = Effect.gen(function* () {
    let outage: { attempt: number; readonly since: number; readonly step: Step } | undefined
    while (members.size > 0) {
      const began = now()
      const { wasOpen, ...error } = yield* Effect.catchCause(session, ({ reasons }) => {
        const cause = defectOf(reasons[0]!)
        return Effect.succeed<Ended>({ reason: "transport error", description: `headers or query: ${cause}`, cause })
      })
      // Nobody is here any more, or somebody has come while the connection was being closed.
      if (error.reason === "forced close") continue
      if (isEstablished) outage = undefined
      isEstablished = false
      const { reason } = error
      const next =
        reconnection &&
        (yield* Effect.exit(
          (outage ??= { attempt: 0, since: wasOpen ? now() : began, step: yield* Schedule.toStep(reconnection) }).step(
            yield* Clock.currentTimeMillis,
            { reason, attempt: outage.attempt++, error, elapsed: now() - outage.since }
          )
        ))
      if (!next || next._tag === "Failure") {
        outage = undefined
        // After this, members are those that have come since.
        if (!wasOpen || next) tell({ ...error, willRetry: false })
        continue
      }
      const [, delay] = next.value
      // A lost connection is no failed attempt yet. Not every attempt warns, as there may be
      // thousands, of many clients.
      if ((!wasOpen || outage!.attempt > 1) && now() >= quietUntil) {
        quietUntil = now() + WARNING_INTERVAL
        const why = error.description ?? reason
        warn(`cannot connect to ${options.origin}, trying again: ${why}`, error as {})
      }
      debug("manager", "trying again", { delay, attempt: outage!.attempt })
      if (!wasOpen) tell({ ...error, willRetry: true })
      yield* Effect.sleep(delay)
    }
  })

  const start = Effect.withFiber<void>((fiber) => {
    // Here, as the fiber may come to its end before it is given back.
    running = fiber
    fiber.addObserver(() => {
      if (running === fiber) running = undefined
    })
    return connection
  })

  const stop = () => {
    const stopped = running
    running = undefined
    stopped?.interruptUnsafe()
  }

  const onDecoded = (link: EngineClient.EngineClient, decoded: SocketPacket | ProtocolError | undefined) => {
    if (!decoded) return
    // Nothing that the server says after a violation of the protocol can be trusted.
    if (isProtocolError(decoded)) {
      const { code, message } = decoded
      return link.fail(LIMITS.test(code) ? (code as ClientCloseReason) : "parse error", message)
    }
    const packet: Received = { ...decoded, link }
    const { data, id, namespace, type } = packet
    const member = members.get(namespace)
    if (link !== engine) {
      if (type === ACK && member && link === previous?.link && previous.members.has(member)) member.onPacket(packet)
      return
    }
    if (id === CONTROL_ID && type === EVENT && namespace === "/") {
      const [event, value] = data as ReadonlyArray<any>
      if (event === "~fx:move") return onMoveAsked(link, Number(value?.within) || 0, id)
      if (event === "~fx:moved") return isMoving ? move() : undefined
    }
    const earlier = former.get(namespace)
    if (earlier) {
      if (type !== CONNECT && type !== CONNECT_ERROR) return
      former.delete(namespace)
      // Over a connection that is being closed nobody is asked for: the next one asks.
      if (earlier === "asked" && engine?.isOpen) {
        leave(namespace, "left")
        if (type === CONNECT) send(encode({ ...packet, type: DISCONNECT, data: undefined }, false))
        return member?.onOpen()
      }
    }
    if (type === CONNECT) isEstablished = true
    member?.onPacket(packet)
  }

  const encode = (packet: SocketPacket, mayHaveBinary: boolean) => {
    const encoded = parser.encode(packet, mayHaveBinary)
    if (isProtocolError(encoded)) throw encoded
    return encoded
  }

  const send = ({ attachments, text }: EncodedPacket, compress?: boolean, link = engine) =>
    link?.send(text && "4" + text, attachments, compress)

  const leave = (namespace: string, how: Former) => {
    // A socket that waits for the answer to an earlier one can leave, too.
    if (former.get(namespace) !== "asked") former.set(namespace, how)
    if (former.size <= MAX_FORMER) return
    // No event is on its way any more for the one that left longest ago.
    for (const [name, how] of former) {
      if (how !== "left") continue
      former.delete(name)
      return
    }
  }

  return {
    options,
    runtime,
    members,
    get engine() {
      return engine
    },
    get isMoving() {
      return isMoving
    },
    encode,
    send,
    leave,
    add: (member) => {
      const { namespace } = member
      members.set(namespace, member)
      if (isClosed) tell({ reason: "forced close", willRetry: false })
      else if (engine?.isOpen) {
        if (!isMoving && former.get(namespace) !== "asked") member.onOpen()
      } else if (!running) runFork(start)
    },
    remove: (member) => {
      if (members.get(member.namespace) !== member) return
      members.delete(member.namespace)
      if (members.size > 0) return
      if (engine) closeAll()
      else stop()
    },
    close: () => {
      isClosed = true
      stop()
      previous?.link.close()
      if (!engine) tell({ reason: "forced close", willRetry: false })
    }
  }
}

/** The end of a session, which may have been open. */
interface Ended extends EngineClient.ClientClose {
  readonly wasOpen?: boolean
}

/** A step of the schedule. It fails when the schedule is done. */
type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, Outage, never, never>>>
