/**
 * The platform of a client: HTTP requests and WebSockets.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

import { MAX_RESPONSE } from "./internal/client/constants.ts"
import { listen } from "./internal/client/pageEvents.ts"

/**
 * The details of an end, each where a platform knows it. In browsers a page is not told why a
 * WebSocket or a request to another origin failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionDetails {
  /**
   * The status of the HTTP response that was no success: of a request, or, in Node, of a
   * WebSocket's handshake.
   */
  readonly status?: number
  /** The body of that response, up to its first 1,000 characters. */
  readonly body?: string
  /** The code with which the WebSocket was closed (RFC 6455, 7.4.1). */
  readonly closeCode?: number
  /** The reason with which the WebSocket was closed, if one was given. */
  readonly closeReason?: string
  /** The error that led to it. */
  readonly cause?: unknown
}

/**
 * One request of long-polling.
 *
 * @since 0.1.0
 * @category models
 */
export interface PollRequest {
  readonly method: "GET" | "POST"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** Whether cookies are sent to, and taken from, another origin. */
  readonly withCredentials: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface PollResponse {
  readonly status: number
  readonly body: string
}

/**
 * A WebSocket of the platform. Its methods do not throw; after the end they do nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientWebSocket {
  /**
   * Sends a message after the ones before, however long it takes to read a Blob; one that cannot be
   * read ends the connection. Without `compress` it is not compressed, where the platform has a say
   * in that.
   */
  send(data: string | Uint8Array | Blob, compress?: boolean): void
  close(): void
}

/**
 * The news of a WebSocket. After `onClose` there is nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientWebSocketEvents {
  readonly onOpen: () => void
  readonly onText: (text: string) => void
  readonly onBinary: (bytes: Uint8Array) => void
  /**
   * It has closed, or has never been open. `description` names the fault, if there was one;
   * `details` has everything else that is known.
   */
  readonly onClose: (description: string | undefined, details?: ConnectionDetails) => void
}

/**
 * @since 0.1.0
 * @category models
 */
export interface WebSocketRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly protocols: ReadonlyArray<string>
  readonly withCredentials: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientPlatformShape {
  /**
   * Sends a request; interruption aborts it. Any status is a success. Fails with the reason why no
   * response came: a `RangeError` if it is larger than the platform takes.
   */
  readonly request: (request: PollRequest) => Effect.Effect<PollResponse, Error>
  /** Opens a WebSocket. It may throw on an address or a header that the platform does not take. */
  readonly openWebSocket: (request: WebSocketRequest, events: ClientWebSocketEvents) => ClientWebSocket
  /** Calls back when the network is lost, where the platform knows. Gives how to stop. */
  readonly onOffline: (callback: () => void) => () => void
  /**
   * Runs a task after the code that is running now: messages of that time leave together. Default:
   * as a microtask.
   */
  readonly defer?: (task: () => void) => void
  /**
   * The platform for one client, where clients have something of their own, such as cookies.
   * Default: all have the same.
   */
  readonly forClient?: () => ClientPlatformShape
}

/**
 * A colon, and the message in a refusal's body as Socket.IO servers write it (an object with a
 * `message`). Nothing of any other body, such as a proxy's page.
 *
 * @since 0.1.0
 * @category decoding
 */
export const messageOf = (body: string): string => {
  try {
    const { message } = JSON.parse(body)
    return typeof message === "string" ? `: ${message.slice(0, 200)}` : ""
  } catch {
    return ""
  }
}

/** The body as text. A body that does not end makes the request fail, which closes it. */
const textOf = (response: Response): Promise<string> => {
  const { body } = response
  // React Native has no streams.
  if (!body) return response.text()
  let left = MAX_RESPONSE
  const limited = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform: (chunk, controller) => {
      if ((left -= chunk.length) < 0) throw new RangeError("too large")
      controller.enqueue(chunk)
    }
  })
  return new Response(body.pipeThrough(limited)).text()
}

/** The standard of browsers, workers, Deno, Bun and Node. Its WebSockets cannot have headers. */
const standard: ClientPlatformShape = {
  request: (request) =>
    Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(request.url, {
          // Its method, headers and body; the rest means nothing here.
          ...request,
          signal,
          cache: "no-store",
          credentials: request.withCredentials ? "include" : undefined
        } as RequestInit)
        return { status: response.status, body: await textOf(response) }
      },
      catch: (cause) => cause as Error
    }),
  openWebSocket: ({ protocols, url }, { onBinary, onClose, onOpen, onText }) => {
    const ws = new WebSocket(url, protocols as Array<string>)
    let cause: unknown
    ws.binaryType = "arraybuffer"
    // Nobody else has this socket, and pages load every byte.
    /* oxlint-disable unicorn/prefer-add-event-listener */
    ws.onopen = onOpen
    ws.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) =>
      typeof data === "string" ? onText(data) : onBinary(new Uint8Array(data))
    // Browsers keep the error to themselves. Other runtimes tell it.
    ws.onerror = (event) => (cause = (event as Partial<ErrorEvent>).error)
    ws.onclose = ({ code: closeCode, reason: closeReason, wasClean }) =>
      onClose(wasClean ? undefined : closeReason || `closed with code ${closeCode}`, { closeCode, closeReason, cause })
    /* oxlint-enable unicorn/prefer-add-event-listener */
    return ws as ClientWebSocket
  },
  onOffline: listen("offline")
}

/**
 * The platform that clients use. Default: `fetch` and `WebSocket` as browsers, Deno, Bun and Node
 * have them.
 *
 * @since 0.1.0
 * @category services
 */
export const ClientPlatform: Context.Reference<ClientPlatformShape> = Context.Reference<ClientPlatformShape>(
  "effect-socket.io/engine/ClientPlatform",
  { defaultValue: () => standard }
)
