/** The upgrades of the engine's path: from the request to the open WebSocket. */
import { type IncomingMessage, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { type PerMessageDeflateOptions, WebSocketServer } from "ws"

import type { EngineRequest } from "../../engine/EngineRequest.ts"
import type { EngineServer, UpgradeDecision } from "../../engine/EngineServer.ts"
import { HandshakeError, headersOf } from "../../engine/HandshakeError.ts"
import { atTurnEnd } from "../../internal/turn.ts"
import { NodeRequest } from "./nodeRequest.ts"
import { Peer } from "./peer.ts"
import { type ChannelSettings, NodeWebSocketChannel } from "./webSocketChannel.ts"

/** The engine whose path it is, and the settings of its WebSockets. */
export interface UpgradeContext {
  readonly engine: EngineServer
  readonly ws: WebSocketServer
  readonly channels: ChannelSettings
}

/** Makes the server of `ws` for an engine. */
export const makeWebSocketServer = (
  engine: EngineServer,
  perMessageDeflate: PerMessageDeflateOptions | false
): WebSocketServer => {
  const { maxPayload } = engine.options
  const ws = new WebSocketServer({
    noServer: true,
    WebSocket: Peer,
    clientTracking: false,
    perMessageDeflate,
    maxPayload,
    // A fragment of one byte may keep its whole read in memory. Fragments of browsers have many
    // kilobytes.
    maxFragments: 256 + Math.ceil(maxPayload / 1_024),
    // A read is at least one packet of the network, unless a peer writes byte by byte.
    maxBufferedChunks: 1_024 + Math.ceil(maxPayload / 64)
  })
  ws.on("headers", (lines, request) => {
    const headers = upgradeHeaders.get(request)
    // A table that has grown with the connections would stay that large.
    upgradeHeaders.delete(request)
    for (const name in headers) for (const value of [headers[name]!].flat()) lines.push(`${name}: ${value}`)
  })
  ws.on("wsClientError", (error, socket, request) => {
    const problem = new HandshakeError({ code: 3, message: error.message, context: "not a WebSocket" })
    const headers = { ...engine.responseHeaders(new NodeRequest(request)), "sec-websocket-version": "13, 8" }
    refuseUpgrade(socket, problem, headers)
  })
  return ws
}

/** The headers of the response to an upgrade. */
const upgradeHeaders = new WeakMap<IncomingMessage, Readonly<Record<string, string | Array<string>>>>()

/** Runs a step of the opening of a WebSocket. An error ends the connection. */
export const guarded = ({ engine }: Pick<UpgradeContext, "engine">, socket: Duplex, run: () => void): void => {
  try {
    run()
  } catch (defect) {
    engine.report("a request for a WebSocket failed", defect)
    socket.destroy()
  }
}

/**
 * The bytes that a client may send before its WebSocket is open. RFC 6455 allows none, so this is
 * generous.
 */
const MAX_EARLY = 16 * 1024

/** Handles a request to upgrade. */
export const onUpgrade = (
  context: UpgradeContext,
  request: EngineRequest,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer
): void => {
  const { channels, engine, ws } = context
  let early = head
  let decided = false
  let unwatch = ignore
  const decide = (decision: UpgradeDecision) => {
    decided = true
    unwatch()
    if (socket.destroyed) return
    if (decision instanceof HandshakeError) return refuseUpgrade(socket, decision, engine.responseHeaders(request))
    if (decision.headers !== undefined) upgradeHeaders.set(incoming, decision.headers)
    // The response and the first packet leave together.
    socket.cork()
    ws.handleUpgrade(incoming, socket, early, (webSocket) => {
      socket.off("error", ignore)
      const channel = new NodeWebSocketChannel(webSocket, socket, channels)
      channel.listen()
      decision.accept(channel)
    })
    atTurnEnd({ onTurnEnd: () => socket.uncork(), onDefect: () => socket.destroy() })
  }
  const giveUp = engine.handleUpgrade(request, (decision) => guarded(context, socket, () => decide(decision)))
  if (decided) return
  // The application may decide slowly. The connection must be read to notice that the peer has
  // closed it.
  const onData = (chunk: Buffer) => {
    early = Buffer.concat([early, chunk])
    if (early.length > MAX_EARLY) socket.destroy()
  }
  const onEnd = () => socket.destroy()
  socket.on("data", onData).on("end", onEnd).on("close", giveUp)
  unwatch = () => socket.off("data", onData).off("end", onEnd).off("close", giveUp)
}

/** The end of the connection follows an error. Without a listener the process would end. */
export const ignore = () => {}

/** Answers a request to upgrade with a refusal, and closes its connection. */
export const refuseUpgrade = (
  socket: Duplex,
  error: HandshakeError,
  headers: Readonly<Record<string, string | Array<string>>>
): void => {
  const body = error.message
  const all: Record<string, string | number | Array<string>> = {
    ...headers,
    ...headersOf(error),
    connection: "close",
    "content-type": "text/html",
    "content-length": Buffer.byteLength(body)
  }
  const status = error.status ?? 400
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`]
  for (const name in all) for (const value of [all[name]!].flat()) lines.push(`${name}: ${value}`)
  socket.once("finish", () => socket.destroy())
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`)
}
