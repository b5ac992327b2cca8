import type * as Fiber from "effect/Fiber"

import { CONTROL_ID } from "../../internal/controlEvents.ts"
import { defectOf } from "../../internal/defectOf.ts"
import { log } from "../../internal/log.ts"
import { CONNECT, EVENT } from "../../protocol/PacketType.ts"
import type { SocketStatus } from "../ClientSocket.ts"
import type { ClientParts, Connection, Extend, MakeAuth, Received, SocketRuntime, Target } from "./connection.ts"

type Connected = Extract<SocketStatus, { readonly _tag: "Connected" }>

/** The part of the answer to a CONNECT that a server of this library adds for its own clients. */
export interface Greeting {
  readonly contract?: unknown
  readonly trace?: unknown
  readonly recovered?: { readonly reason?: unknown }
  readonly auth?: { readonly expiresIn?: unknown }
}

/** The greeting in a packet, if it is the answer to a CONNECT. */
export const greetingOf = ({ data, type }: Received): Greeting | undefined =>
  type === CONNECT ? (Object((Object(data) as { readonly fx?: unknown }).fx) as Greeting) : undefined

/** Connections whose server is told that the client takes more than the protocol. */
export const asking =
  ({ dial }: ClientParts): ClientParts["dial"] =>
  (sink, fx = "0") =>
    dial(sink, fx)

/** Gives sockets that see each packet before it is handled. */
const tapping =
  (see: (packet: Received, connection: Connection) => void, inner: Target["decorate"]): Target["decorate"] =>
  (socket, connection) => {
    const tapped: SocketRuntime = {
      ...socket,
      onPacket: (packet) => {
        see(packet, connection)
        socket.onPacket(packet)
      }
    }
    return inner?.(tapped, connection) ?? tapped
  }

/** Adds to the status of sockets that are connected what the server has told about it. */
export const telling =
  (read: (greeting: Greeting) => Partial<Connected>): Extend =>
  (parts) => ({
    ...parts,
    dial: asking(parts),
    target: (target) => {
      let told: Partial<Connected> = {}
      return parts.target({
        ...target,
        onStatus: (next) => {
          const status = target.onStatus?.(next) ?? next
          return status._tag === "Connected" ? { ...status, ...told } : status
        },
        decorate: tapping((packet) => {
          const greeting = greetingOf(packet)
          if (greeting) told = read(greeting)
        }, target.decorate)
      })
    }
  })

/** Warns, once for each socket, when the contract of the server is not the expected one. */
export const watchContracts =
  (fingerprints: ReadonlyMap<string, string>): Extend =>
  (parts) => ({
    ...parts,
    dial: asking(parts),
    target: (target) => {
      const { namespace } = target
      /** That of the program, or the first one of the server. */
      let expected: unknown = fingerprints.get(namespace)
      let isTold = false
      return parts.target({
        ...target,
        decorate: tapping((packet, { runtime }) => {
          const told = greetingOf(packet)?.contract
          expected ??= told
          if (!told || told === expected || isTold) return
          isTold = true
          runtime.runFork(log("Warn", `"${namespace}" has another contract at the server`, { expected, told }))
        }, target.decorate)
      })
    }
  })

/**
 * Sends new credentials when the server asks for them, before the rights of these end. Only an
 * effect makes others.
 */
export const refreshRights: Extend = (parts) => ({
  ...parts,
  dial: asking(parts),
  target: (target) => {
    if (target.auth !== true) return parts.target(target)
    let making: Fiber.Fiber<unknown, unknown> | undefined
    const stop = () => {
      const late = making
      making = undefined
      late?.interruptUnsafe()
    }
    return parts.target({
      ...target,
      // The next connection gets the credentials with its CONNECT.
      onStatus: (next) => {
        stop()
        return target.onStatus?.(next) ?? next
      },
      decorate: (socket, connection) => {
        const users = new Set<MakeAuth>()
        const refresh = (asked: unknown) => {
          const [makeAuth] = users
          if (!makeAuth || !socket.canSend()) return
          stop()
          const { namespace } = target
          const { event } = Object(asked) as { readonly event?: unknown }
          const fiber = makeAuth((auth) =>
            connection.encode({ type: EVENT, namespace, id: undefined, data: [event, auth] }, true)
          )
          making = fiber
          fiber.addObserver((exit) => {
            if (making !== fiber) return
            making = undefined
            if (exit._tag === "Failure") {
              const cause = defectOf(exit.cause.reasons[0]!)
              connection.runtime.runFork(log("Warn", `auth failed: "${namespace}"`, { cause }))
            } else if (socket.canSend()) connection.send(exit.value)
          })
        }
        const refreshing: SocketRuntime = {
          ...socket,
          use: (makeAuth) => {
            users.add(makeAuth)
            const end = socket.use(makeAuth)
            return () => {
              users.delete(makeAuth)
              end()
            }
          },
          onMove: () => {
            stop()
            return socket.onMove()
          },
          onPacket: (packet) => {
            const { data, id, type } = packet
            const [event, asked] = type === EVENT && id === CONTROL_ID ? (data as ReadonlyArray<unknown>) : []
            if (event === "~fx:auth") refresh(asked)
            else socket.onPacket(packet)
          }
        }
        return target.decorate?.(refreshing, connection) ?? refreshing
      }
    })
  }
})
