/**
 * Peers that send and receive raw packets, for tests of the protocol.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"

import { openWebSocket } from "./internal/clientEdge.ts"
import type { LinkEnd, LinkEnding } from "./Link.ts"
import { TaggedError } from "../SocketIoError.ts"
import {
  type ClientRequest,
  type Frame,
  type FromServer,
  type NetworkPath,
  type ServerEnd,
  type ServerResponse,
  sizeOf
} from "./Network.ts"

/**
 * There is nothing more to receive: the connection has ended, and every packet was received.
 *
 * @since 0.1.0
 * @category errors
 */
export class RawPeerClosed extends TaggedError("RawPeerClosed")<{ readonly ending: LinkEnding }> {
  override get message(): string {
    return `the connection was ${this.ending}`
  }
}

/**
 * The server has not accepted a WebSocket. The error holds its response.
 *
 * @since 0.1.0
 * @category errors
 */
export class RawPeerRefused extends TaggedError("RawPeerRefused")<{
  readonly status: number
  readonly body: string
}> {
  override get message(): string {
    return `refused with status ${this.status}: ${this.body}`
  }
}

/**
 * One end of a WebSocket, under the control of a test: a packet is a text message, a binary
 * attachment a binary one.
 *
 * **Example** (The packets of a CONNECT)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { TestSocketIo } from "effect-socket.io/testing"
 *
 * const handshake = Effect.gen(function* () {
 *   const peer = yield* TestSocketIo.rawClient()
 *   yield* peer.receive                      // 0{"sid":"…","upgrades":[],…}
 *   yield* peer.send("40")
 *   const answer = yield* peer.receive       // 40{"sid":"…"}
 *   yield* peer.close
 *   return answer
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface RawPeer {
  /** Sends a packet. It does not wait for anything. After the end it does nothing. */
  send(packet: string | Uint8Array): Effect.Effect<void>
  /**
   * Waits for the next packet. Fails with {@link RawPeerClosed} when the connection has ended and
   * none is left.
   */
  readonly receive: Effect.Effect<string | Uint8Array, RawPeerClosed>
  /** Takes the packets that are there, without waiting. */
  readonly received: Effect.Effect<ReadonlyArray<string | Uint8Array>>
  /** Waits for the end of the connection: `closed` by either side, or `cut`. */
  readonly closed: Effect.Effect<LinkEnding>
  /** Closes the WebSocket after everything that was sent. */
  readonly close: Effect.Effect<void>
}

interface Controlled<Out> {
  readonly peer: (end: LinkEnd<any, Out>) => RawPeer
  readonly onFrame: (frame: Frame) => void
  readonly onEnd: (ending: LinkEnding) => void
}

const control: Effect.Effect<Controlled<Frame>> = Effect.gen(function* () {
  const frames = yield* Queue.unbounded<Frame, RawPeerClosed>()
  const closed = yield* Deferred.make<LinkEnding>()
  return {
    peer: (end) => ({
      send: (packet) =>
        Effect.sync(() => end.send(typeof packet === "string" ? packet : new Uint8Array(packet), sizeOf(packet))),
      receive: Queue.take(frames),
      received: Effect.orElseSucceed(Queue.clear(frames), () => []),
      closed: Deferred.await(closed),
      close: Effect.sync(() => end.close())
    }),
    onFrame: (frame) => Queue.offerUnsafe(frames, frame),
    onEnd: (ending) => {
      Queue.failCauseUnsafe(frames, Cause.fail(new RawPeerClosed({ ending })))
      Deferred.doneUnsafe(closed, Effect.succeed(ending))
    }
  }
})

/**
 * Connects to a server over a network, and waits until the WebSocket is open; closing the scope
 * closes it. Fails with {@link RawPeerRefused} if the server does not accept it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect = Effect.fnUntraced(function* (
  path: NetworkPath,
  head: ClientRequest
): Effect.fn.Return<RawPeer, RawPeerRefused, Scope.Scope> {
  const { onEnd, onFrame, peer } = yield* control
  const opened = yield* Deferred.make<void, RawPeerRefused>()
  const refuse = ({ body, status }: Pick<ServerResponse, "body" | "status">) =>
    Deferred.doneUnsafe(opened, Effect.fail(new RawPeerRefused({ status, body: String(body) })))
  const end = yield* Effect.acquireRelease(
    Effect.sync(() =>
      openWebSocket(path, head, {
        onOpen: () => Deferred.doneUnsafe(opened, Effect.void),
        onFrame,
        onRefused: refuse,
        onEnd: (ending) => {
          refuse({ status: 0, body: "the connection was lost" })
          onEnd(ending)
        }
      })
    ),
    (end) => Effect.sync(() => end.close())
  )
  yield* Deferred.await(opened)
  return peer(end)
})

/**
 * A client's connection, under the control of a test that plays its server.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawConnection extends RawPeer {
  /** The request that opened the connection. */
  readonly request: ClientRequest
}

/**
 * A server under the control of a test: it accepts the WebSockets that a client opens. Everything
 * else is answered with status 404.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawServer {
  /**
   * Waits for the next WebSocket of the client, and accepts it. The test sends everything else, the
   * open packet first.
   */
  readonly accept: Effect.Effect<RawConnection>
  /** Waits for the next WebSocket, and refuses it with status 400. */
  readonly refuse: Effect.Effect<ClientRequest>
}

const answer = (end: LinkEnd<any, FromServer>, status: number, body = "") =>
  end.send({ status, headers: {}, body }, sizeOf(body))

/**
 * Makes a server, and the function that accepts its connections from a network.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeServer: Effect.Effect<
  RawServer & { readonly serve: (end: ServerEnd, request: ClientRequest) => void }
> = Effect.gen(function* () {
  const asked = yield* Queue.unbounded<{ readonly end: ServerEnd; readonly request: ClientRequest }>()
  return {
    serve: (end, request) => {
      if (request.upgrade) return void Queue.offerUnsafe(asked, { end, request })
      answer(end, 404)
      end.close()
    },
    accept: Effect.gen(function* () {
      const { end, request } = yield* Queue.take(asked)
      const { onEnd, onFrame, peer } = yield* control
      end.receiver = { onMessage: (message) => onFrame(message as Frame), onEnd }
      answer(end, 101)
      return { ...peer(end), request }
    }),
    refuse: Effect.map(Queue.take(asked), ({ end, request }) => {
      answer(end, 400, "refused")
      end.close()
      return request
    })
  }
})
