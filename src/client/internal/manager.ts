import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"

import type { ClientCloseReason } from "../../DisconnectReason.ts"
import * as EngineClient from "../../engine/EngineClient.ts"
import { defectOf } from "../../internal/defectOf.ts"
import { CONNECT, CONNECT_ERROR, DISCONNECT } from "../../protocol/PacketType.ts"
import type { PacketParser } from "../../protocol/PacketParser.ts"
import { isProtocolError, type ProtocolError } from "../../protocol/ProtocolError.ts"
import type { EncodedPacket, SocketPacket } from "../../protocol/SocketPacket.ts"
import type { ResolvedClientOptions } from "../ClientOptions.ts"
import type { Outage } from "../Reconnection.ts"
import { MAX_FORMER } from "./bounds.ts"
import type {
  ClientParts,
  ConnectionEnd,
  Dial,
  Extra,
  Former,
  Link,
  Manager,
  ManagerRuntime,
  Member,
  Received
} from "./connection.ts"

export const makeManager = <M extends Member>(
  options: ResolvedClientOptions,
  runtime: ManagerRuntime,
  parser: PacketParser,
  extras: ReadonlyArray<Extra>
): Manager<M> => {
  const { headers, query } = options
  const { now, runFork } = runtime
  const members = new Map<string, M>()
  const former = new Map<string, Former>()
  /** The members that an end is still to be told. One that leaves, or comes back, hears nothing. */
  const untold = new Set<M>()
  let engine: Link | undefined
  /** Called when the connection has ended. */
  let onEnd: (close: EngineClient.ClientClose) => void
  /** Runs sessions and the pauses between them, while there are members. */
  let running: Fiber.Fiber<unknown, unknown> | undefined
  let isClosed = false
  /** The server has let a namespace in: the next outage is another one. */
  let isEstablished = false

  const tell = (end: ConnectionEnd) => {
    for (const member of members.values()) untold.add(member)
    for (const member of untold) {
      untold.delete(member)
      member.onEnd(end)
    }
  }

  const encode = (packet: SocketPacket, mayHaveBinary: boolean) => {
    const encoded = parser.encode(packet, mayHaveBinary)
    if (isProtocolError(encoded)) throw encoded
    return encoded
  }

  const send = ({ attachments, text }: EncodedPacket, compress?: boolean, link = engine) =>
    link?.send(text && "4" + text, attachments, compress)

  const dialPlain: Dial = Effect.fnUntraced(function* (sink, fx) {
    const given = {
      ...options,
      query: { ...(Effect.isEffect(query) ? yield* query : query), fx },
      headers: Effect.isEffect(headers) ? yield* headers : headers
    }
    const decoder = parser.makeDecoder(options)
    const onDecoded = (decoded: SocketPacket | ProtocolError | undefined) => {
      if (!decoded) return
      if (!isProtocolError(decoded)) return sink.onPacket({ ...decoded, link })
      // Nothing that the server says after a violation of the protocol can be trusted.
      const { code, message } = decoded
      // The codes of limits are reasons of their own.
      link.fail(/many a|large|deep/.test(code) ? (code as ClientCloseReason) : "parse error", message)
    }
    const link: Link = make(given, runtime, {
      ...sink,
      onMessage: (packet) => onDecoded(decoder.text(packet, 1)),
      onBinary: (bytes) => onDecoded(decoder.binary(bytes))
    })
    return link
  })

  const { dial, make, reconnection, target } = extras.reduce<ClientParts>(
    (parts, { extend }) => extend(parts, { options, runtime, members, former, encode, send }),
    { make: EngineClient.make, dial: dialPlain, reconnection: options.reconnection, target: (target) => target }
  )

  /** One session, from its opening to its end, which it gives. Interruption closes it. */
  const session = Effect.flatMap(
    dial({
      onOpen: () => {
        for (const member of Array.from(members.values())) member.onOpen()
      },
      onPacket: (packet) => onPacket(packet),
      onClose: (close) => onEnd(close)
    }),
    (link) =>
      Effect.callback<Ended>((resume) => {
        former.clear()
        engine = link
        onEnd = (close) => {
          const wasOpen = link.id !== undefined
          engine = undefined
          // A connection that the last member has left may have new ones, who wait for the next.
          if (isClosed || (wasOpen && close.reason !== "forced close")) {
            tell({ ...close, willRetry: !isClosed && !!reconnection })
          }
          resume(Effect.succeed({ ...close, wasOpen }))
        }
        link.open()
        return Effect.sync(() => link.close())
      })
  )

  /** Sessions, and the pauses of the schedule between them, until nobody needs the connection. */
  const connection = Effect.gen(function* () {
    /** The schedule of the present outage. */
    let step: Step | undefined
    let attempt = 0
    let since = 0
    while (members.size > 0) {
      const began = now()
      const { wasOpen, ...error } = yield* Effect.catchCause(session, ({ reasons }) => {
        const cause = defectOf(reasons[0]!)
        return Effect.succeed<Ended>({ reason: "transport error", description: `headers or query: ${cause}`, cause })
      })
      // Nobody is here any more, or somebody has come while the connection was being closed.
      if (error.reason === "forced close") continue
      if (isEstablished) step = undefined
      isEstablished = false
      if (reconnection && !step) {
        attempt = 0
        since = wasOpen ? now() : began
        step = yield* Schedule.toStep(reconnection)
      }
      const { reason } = error
      const next =
        step &&
        (yield* Effect.exit(
          step(yield* Clock.currentTimeMillis, { reason, attempt: attempt++, error, elapsed: now() - since })
        ))
      if (!next || next._tag === "Failure") {
        step = undefined
        // After this, members are those that have come since.
        if (!wasOpen || next) tell({ ...error, willRetry: false })
        continue
      }
      const [, delay] = next.value
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

  const onPacket = (packet: Received) => {
    const { namespace, type } = packet
    const member = members.get(namespace)
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
    target,
    encode,
    send,
    leave,
    add: (member, begin) => {
      const { namespace } = member
      members.set(namespace, member)
      begin()
      if (members.get(namespace) !== member) return
      if (isClosed) tell({ reason: "forced close", willRetry: false })
      else if (engine?.isOpen) {
        if (!engine.isMoving && former.get(namespace) !== "asked") member.onOpen()
      } else if (!running) runFork(start)
    },
    remove: (member) => {
      if (members.get(member.namespace) !== member) return
      members.delete(member.namespace)
      untold.delete(member)
      if (members.size > 0) return
      if (engine) engine.close()
      else stop()
    },
    close: () => {
      isClosed = true
      stop()
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
