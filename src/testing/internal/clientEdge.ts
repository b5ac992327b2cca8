import * as Effect from "effect/Effect"

import type { ClientPlatformShape, ClientWebSocket } from "../../engine/ClientPlatform.ts"
import type { LinkEnding } from "../Link.ts"
import type { ClientEnd, ClientRequest, Frame, FromServer, NetworkPath, ServerResponse } from "../Network.ts"
import { sizeOf } from "../Network.ts"

/** A client as its server sees it. */
export interface Peer {
  readonly address: string
  readonly headers: Readonly<Record<string, string>>
}

/** The parts of a request that the caller sets; the rest comes from the peer. */
export interface Asked extends Partial<Pick<ClientRequest, "method" | "body" | "upgrade" | "headers">> {
  readonly url: string
}

/** The head of a request as it goes over a link. */
export const headOf = (
  { address, headers: common }: Peer,
  { body = "", headers = {}, method = "GET", upgrade = false, url }: Asked
): ClientRequest => {
  const { host, pathname, protocol, search } = new URL(url)
  const all: Record<string, string> = { host }
  for (const [name, value] of [...Object.entries(common), ...Object.entries(headers)]) all[name.toLowerCase()] = value
  const secure = protocol === "https:" || protocol === "wss:"
  return {
    method,
    url: pathname + search,
    headers: all,
    body: typeof body === "string" ? body : new Uint8Array(body),
    upgrade,
    address,
    secure
  }
}

const isFrame = (message: FromServer): message is Frame => typeof message === "string" || message instanceof Uint8Array

/**
 * Sends a request; interruption ends its connection. Fails if that ends before the response has
 * come.
 */
export const request = (path: NetworkPath, head: ClientRequest): Effect.Effect<ServerResponse, Error> =>
  Effect.callback<ServerResponse, Error>((resume) => {
    const end = path.connect(head)
    end.receiver = {
      onMessage: (response) => resume(Effect.succeed(response as ServerResponse)),
      onEnd: () => resume(Effect.fail(new Error("the connection was lost")))
    }
    return Effect.sync(() => end.abort())
  })

/** The callbacks of a client's end of a WebSocket. */
export interface ClientWebSocketSink {
  readonly onOpen: () => void
  readonly onFrame: (frame: Frame) => void
  /** The WebSocket was refused; nothing comes after this. */
  readonly onRefused: (response: ServerResponse) => void
  /** The WebSocket has ended, or has never opened. */
  readonly onEnd: (ending: LinkEnding, wasOpen: boolean) => void
}

/** Opens a WebSocket. */
export const openWebSocket = (path: NetworkPath, head: ClientRequest, sink: ClientWebSocketSink): ClientEnd => {
  let state: "asked" | "open" | "refused" = "asked"
  const end = path.connect(head)
  end.receiver = {
    onMessage: (message) => {
      if (state === "open" && isFrame(message)) return sink.onFrame(message)
      if (state !== "asked" || isFrame(message)) return
      state = message.status === 101 ? "open" : "refused"
      if (state === "open") return sink.onOpen()
      end.abort()
      sink.onRefused(message)
    },
    onEnd: (ending) => {
      if (state !== "refused") sink.onEnd(state === "open" ? ending : "cut", state === "open")
    }
  }
  return end
}

/** The platform of clients that connect over a network. */
export const platformOf = (path: NetworkPath, peer: Peer): ClientPlatformShape => ({
  request: ({ body = "", headers, method, url }) =>
    Effect.map(request(path, headOf(peer, { method, url, headers, body })), ({ body, status }) => ({
      status,
      body: typeof body === "string" ? body : new TextDecoder().decode(body)
    })),
  openWebSocket: ({ headers, protocols, url }, events): ClientWebSocket => {
    const head = headOf(peer, {
      url,
      headers: protocols.length === 0 ? headers : { ...headers, "sec-websocket-protocol": protocols.join(", ") },
      upgrade: true
    })
    const end = openWebSocket(path, head, {
      onOpen: () => events.onOpen(),
      onFrame: (frame) => (typeof frame === "string" ? events.onText(frame) : events.onBinary(frame)),
      onRefused: ({ body, status }) => events.onClose(`the server answered with status ${status}: ${String(body)}`),
      onEnd: (ending, wasOpen) =>
        events.onClose(
          ending === "closed" ? undefined : wasOpen ? "the connection was lost" : "the server cannot be reached"
        )
    })
    const send = (data: string | Uint8Array) =>
      end.send(typeof data === "string" ? data : new Uint8Array(data), sizeOf(data))
    let reading: Promise<void> | undefined
    let waiting = 0
    return {
      send: (data) => {
        if (reading === undefined && !(data instanceof Blob)) return send(data)
        // Messages after a Blob wait until it is read.
        const sending = async (before: Promise<void> | undefined): Promise<void> => {
          try {
            const read = data instanceof Blob ? new Uint8Array(await data.arrayBuffer()) : data
            await before
            send(read)
          } catch {
            end.close()
          }
          if (--waiting === 0) reading = undefined
        }
        waiting++
        reading = sending(reading)
      },
      close: () => end.close()
    }
  },
  defer: path.medium.later,
  onOffline: () => () => {}
})
