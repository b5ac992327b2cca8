/**
 * A client's platform in memory: the test is the server.
 */
import { Effect } from "effect"

import type {
  ClientPlatformShape,
  ClientWebSocket,
  ClientWebSocketEvents,
  PollRequest,
  PollResponse,
  WebSocketRequest
} from "../../src/engine/ClientPlatform.ts"

/** A WebSocket that the client has opened. */
export class FakeWebSocket implements ClientWebSocket {
  readonly request: WebSocketRequest
  readonly events: ClientWebSocketEvents
  readonly sent: Array<string | Uint8Array> = []
  closed = false

  constructor(request: WebSocketRequest, events: ClientWebSocketEvents) {
    this.request = request
    this.events = events
  }

  send(data: string | Uint8Array): void {
    this.sent.push(data)
  }

  close(): void {
    this.closed = true
  }

  /** Takes what was sent. */
  take(): ReadonlyArray<string | Uint8Array> {
    return this.sent.splice(0)
  }

  /** Opens it, and the session: the server's side of a handshake. */
  accept(handshake: object = {}): void {
    this.events.onOpen()
    this.events.onText(
      `0${JSON.stringify({ sid: "s", upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000, ...handshake })}`
    )
  }

  /** The connection does not come about, or ends. */
  fail(description = "refused"): void {
    this.events.onClose(description)
  }
}

/** A request that waits for its response. */
export interface FakePoll {
  readonly request: PollRequest
  readonly respond: (body: string, status?: number) => void
  readonly fail: (message: string) => void
  /** Whether the client does not wait for it any more. */
  readonly isAborted: () => boolean
}

export interface FakePlatform extends ClientPlatformShape {
  readonly sockets: Array<FakeWebSocket>
  readonly polls: Array<FakePoll>
  /** The listeners to the network. */
  readonly offline: Set<() => void>
}

export const makeFakePlatform = (): FakePlatform => {
  const sockets: Array<FakeWebSocket> = []
  const polls: Array<FakePoll> = []
  const offline = new Set<() => void>()
  return {
    sockets,
    polls,
    offline,
    request: (request) =>
      Effect.callback<PollResponse, Error>((resume) => {
        let aborted = false
        polls.push({
          request,
          respond: (body, status = 200) => resume(Effect.succeed({ status, body })),
          fail: (message) => resume(Effect.fail(new Error(message))),
          isAborted: () => aborted
        })
        return Effect.sync(() => {
          aborted = true
        })
      }),
    openWebSocket: (request, events) => {
      const socket = new FakeWebSocket(request, events)
      sockets.push(socket)
      return socket
    },
    onOffline: (callback) => {
      offline.add(callback)
      return () => void offline.delete(callback)
    }
  }
}
