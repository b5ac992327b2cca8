import { IncomingMessage } from "node:http"
import type { Socket } from "node:net"

import type { EngineRequest } from "../../../engine/EngineRequest.ts"
import type { EngineServer } from "../../../engine/EngineServer.ts"
import type { ExchangeSettings } from "../exchange.ts"
import * as Frames from "./frames.ts"
import type { Owner } from "./listener.ts"
import { PassedEngineRequest, PassedExchange } from "./passedExchange.ts"

/** Has an engine handle the requests of its sessions that other servers pass on. */
export const ownerOf = (
  engine: EngineServer,
  settings: ExchangeSettings,
  upgrade: (request: EngineRequest, incoming: IncomingMessage, socket: Socket, head: Buffer) => void
): Owner => ({
  request: (head, id, writer, add, forget) => {
    const request = new PassedEngineRequest(head)
    // A request without a session would open one, and only clients may do that.
    if (isOpening(request)) return writer.write(Frames.frame(Frames.RESET, id))
    try {
      const exchange = new PassedExchange(request, id, writer, engine.responseHeaders(request), settings, forget)
      add(exchange)
      engine.handleRequest(exchange)
    } catch (defect) {
      settings.report("a request of another server failed", defect)
      forget()
      writer.write(Frames.frame(Frames.RESET, id))
    }
  },
  upgrade: (head, socket, rest) => {
    const request = new PassedEngineRequest(head)
    if (isOpening(request)) return void socket.destroy()
    // `ws` needs a Node request.
    const incoming = new IncomingMessage(socket)
    incoming.method = head.method
    incoming.url = head.url
    incoming.headers = request.details().headers
    upgrade(request, incoming, socket, rest)
  },
  move: (sid, within) => engine.moveSession(sid, within)
})

const isOpening = ({ query }: EngineRequest): boolean => (query.get("sid") ?? "") === ""
