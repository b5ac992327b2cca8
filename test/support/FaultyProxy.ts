/**
 * A TCP proxy on loopback that treats connections badly.
 */
import * as Net from "node:net"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"

export interface Faults {
  /** The most bytes that are passed on in one piece, in both directions. */
  readonly segment?: number
  /** Bytes per second and direction. */
  readonly rate?: number
}

export interface FaultyProxy {
  readonly url: string
  /** Nothing is passed on any more in either direction, and no end either, as if a cable was cut. */
  readonly stall: () => void
  /** The same for the connections that are open now. Others may still be opened. */
  readonly strand: () => void
  /** Resets every connection. */
  readonly reset: () => void
  /** Resets each connection that is opened from now on when the client has sent that many bytes. */
  readonly resetAfter: (bytes: number) => void
  /** The same for what the server has sent. */
  readonly resetAfterAnswer: (bytes: number) => void
  readonly connections: () => number
}

/** Stands in front of a server until the scope closes. */
export const faultyProxy = (
  target: string,
  { rate = Infinity, segment = Infinity }: Faults = {}
): Effect.Effect<FaultyProxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<FaultyProxy & { readonly close: Effect.Effect<void> }>((resume) => {
      const sockets = new Set<Net.Socket>()
      const passing = new WeakSet<Net.Socket>()
      const ended = new WeakSet<Net.Socket>()
      const stranded = new WeakSet<Net.Socket>()
      let stalled = false
      let limit = Infinity
      let answerLimit = Infinity
      const server = Net.createServer({ allowHalfOpen: true }, (client) => {
        const upstream = Net.connect({ port: Number(new URL(target).port), host: "127.0.0.1", allowHalfOpen: true })
        const both = [client, upstream]
        const seen = new Map<Net.Socket, number>()
        const limits = new Map([
          [client, limit],
          [upstream, answerLimit]
        ])
        const isHeld = () => stalled || stranded.has(client)
        for (const socket of both) {
          const other = socket === client ? upstream : client
          sockets.add(socket)
          socket.setNoDelay(true)
          socket.on("error", () => {})
          socket.on("close", (failed) => {
            sockets.delete(socket)
            if (failed && !isHeld()) other.destroy()
          })
          // An end is told though what came before it is still on its way.
          socket.on("end", () => {
            ended.add(socket)
            if (!isHeld() && !passing.has(socket)) other.end()
          })
          socket.on("data", (chunk: Buffer) => {
            if (isHeld()) return
            const count = (seen.get(socket) ?? 0) + chunk.length
            const most = limits.get(socket)!
            seen.set(socket, count)
            if (count > most) {
              const rest = chunk.subarray(0, Math.max(0, chunk.length - (count - most)))
              return void other.write(rest, () => {
                for (const each of both) each.resetAndDestroy()
              })
            }
            if (segment === Infinity && rate === Infinity) return void other.write(chunk)
            pass(socket, other, chunk)
          })
        }
      })
      /** Passes a chunk on piece by piece, with nothing read meanwhile. */
      const pass = (from: Net.Socket, to: Net.Socket, chunk: Buffer): void => {
        from.pause()
        passing.add(from)
        const size = Math.min(segment, rate === Infinity ? chunk.length : Math.max(1, Math.floor(rate / 20)))
        const next = (at: number): void => {
          if (to.destroyed || stalled) return
          if (at >= chunk.length) {
            passing.delete(from)
            return void (ended.has(from) ? to.end() : from.resume())
          }
          to.write(chunk.subarray(at, at + size), () =>
            rate === Infinity ? setImmediate(next, at + size) : setTimeout(next, 50, at + size)
          )
        }
        next(0)
      }
      const resetAll = () => {
        for (const socket of sockets) socket.resetAndDestroy()
      }
      server.listen(0, "127.0.0.1", 4096, () =>
        resume(
          Effect.succeed({
            url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
            stall: () => {
              stalled = true
            },
            strand: () => {
              for (const socket of sockets) stranded.add(socket)
            },
            reset: resetAll,
            resetAfter: (bytes) => {
              limit = bytes
            },
            resetAfterAnswer: (bytes) => {
              answerLimit = bytes
            },
            connections: () => sockets.size / 2,
            close: Effect.callback<void>((done) => {
              resetAll()
              server.close(() => done(Effect.void))
            })
          })
        )
      )
    }),
    ({ close }) => close
  )
