/**
 * What a client needs of its platform: HTTP requests and WebSockets.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

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
  /** The bytes that wait to be sent. */
  readonly buffered: number
  /** Sends a message behind the ones before, however long it takes to read a Blob; one that cannot be read ends the connection. */
  send(data: string | Uint8Array | Blob): void
  close(): void
}

/**
 * What a WebSocket tells. After `onClose` there is nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientWebSocketEvents {
  readonly onOpen: () => void
  readonly onText: (text: string) => void
  readonly onBinary: (bytes: Uint8Array) => void
  /** It is gone, or has never been open. `description` says what was wrong, if anything was. */
  readonly onClose: (description: string | undefined) => void
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
  /** Sends a request; interruption aborts it. Any status is a success; fails with what kept the response from coming. */
  readonly request: (request: PollRequest) => Effect.Effect<PollResponse, Error>
  /** Opens a WebSocket. */
  readonly openWebSocket: (request: WebSocketRequest, events: ClientWebSocketEvents) => ClientWebSocket
  /** Calls back when the network is lost, where the platform knows; gives the function that ends it. */
  readonly onOffline: (callback: () => void) => () => void
  /** Calls back when the page is left or frozen, where there is one; gives the function that ends it. */
  readonly onPageHide: (callback: () => void) => () => void
  /** Runs a task behind the code that is running now: what is sent meanwhile leaves together. Default: as a microtask. */
  readonly defer?: (task: () => void) => void
  /** The platform for one client, where clients have something of their own, as cookies. Default: all have the same. */
  readonly forClient?: () => ClientPlatformShape
}

const listen =
  (type: string) =>
  (callback: () => void): (() => void) => {
    // Not every runtime has events of its own.
    const target: Partial<EventTarget> = globalThis
    target.addEventListener?.(type, callback)
    return () => target.removeEventListener?.(type, callback)
  }

/** The most that one response may hold, in bytes: what `ws` takes of one message. Servers send what waits, which they bound. */
const MAX_RESPONSE = 100_000_000

/** The body, unless it has no end: then the request fails, which closes it. */
const textOf = (response: Response): Promise<string> => {
  let left = MAX_RESPONSE
  const limited = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform: (chunk, controller) => {
      if ((left -= chunk.length) < 0) throw new Error("the response is too large")
      controller.enqueue(chunk)
    }
  })
  return (response.body ? new Response(response.body.pipeThrough(limited)) : response).text()
}

/** The state of a WebSocket. */
const OPEN = 1

/** What is standard in browsers, workers, Deno, Bun and Node. Headers cannot be given to its WebSockets. */
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
  openWebSocket: ({ protocols, url }, events) => {
    const ws = new WebSocket(url, protocols as Array<string>)
    ws.binaryType = "arraybuffer"
    ws.addEventListener("open", () => events.onOpen())
    ws.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) =>
      typeof data === "string" ? events.onText(data) : events.onBinary(new Uint8Array(data))
    )
    ws.addEventListener("close", ({ code, reason, wasClean }) =>
      events.onClose(wasClean ? undefined : reason || `closed with code ${code}`)
    )
    return {
      get buffered() {
        return ws.bufferedAmount
      },
      send: (data) => {
        if (ws.readyState === OPEN) ws.send(data as string | Blob | Uint8Array<ArrayBuffer>)
      },
      close: () => ws.close()
    }
  },
  onOffline: listen("offline"),
  onPageHide: listen("pagehide")
}

/**
 * The platform that clients use. Default: `fetch` and `WebSocket` as browsers, Deno, Bun and Node have them.
 *
 * @since 0.1.0
 * @category services
 */
export const ClientPlatform: Context.Reference<ClientPlatformShape> = Context.Reference<ClientPlatformShape>(
  "effect-socket.io/engine/ClientPlatform",
  { defaultValue: () => standard }
)
