/**
 * An engine in memory, for clocks that the test moves.
 */
import { Effect } from "effect"

import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import * as EngineServer from "../../src/engine/EngineServer.ts"
import type { EngineSession, SessionClose, SessionHandler } from "../../src/engine/EngineSession.ts"
import { HandshakeError } from "../../src/engine/HandshakeError.ts"
import { fakeExchange, FakeChannel, fakeRequest, type Sender } from "./fakes.ts"

/** Collects everything that the sessions of an engine tell. */
export const makeCollector = () => {
  const sessions: Array<EngineSession> = []
  const closes: Array<SessionClose> = []
  const messages: Array<string | Uint8Array> = []
  const onSession = (session: EngineSession): SessionHandler => {
    sessions.push(session)
    return {
      onOpen: () => {},
      onMessage: (packet) => messages.push(packet),
      onBinary: (bytes) => messages.push(bytes),
      onClose: (close) => closes.push(close)
    }
  }
  return { sessions, closes, messages, onSession }
}

/** Everything that its sessions tell is collected; requests and WebSockets come from the test. */
export const makeEngine = Effect.fnUntraced(function* <R = never>(options: EngineOptions<R> = {}) {
  const { onSession, ...told } = makeCollector()
  // The clock does not move any more when a test is over.
  const server = yield* EngineServer.make({ drainTimeout: 0, ...options }, onSession)
  const webSocket = (query: Record<string, string> = {}, sender?: Sender) => {
    const channel = new FakeChannel()
    server.handleUpgrade(fakeRequest({ transport: "websocket", ...query }, "GET", sender), (decision) => {
      if (decision instanceof HandshakeError) throw decision
      decision.accept(channel)
    })
    return channel
  }
  const http = (query: Record<string, string>, method?: string, body?: string, sender?: Sender) => {
    const exchange = fakeExchange({ transport: "polling", ...query }, method, body, sender)
    server.handleRequest(exchange)
    return exchange
  }
  return { server, ...told, webSocket, http }
})
