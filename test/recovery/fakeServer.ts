/**
 * A server that speaks just enough to see what a client does: it plays packets to each connection, and ends it.
 */
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"

export interface FakeServer {
  readonly port: number
  /** The CONNECT packets of the connections. */
  readonly asked: ReadonlyArray<string>
  /** Other packets of the client. */
  readonly said: ReadonlyArray<string>
  close(): void
}

/** Plays to the connections in their turns, as soon as they ask for the namespace. The last one stays open. */
export const startFakeServer = async (turns: ReadonlyArray<ReadonlyArray<string>>): Promise<FakeServer> => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" })
  await once(server, "listening")
  const asked: Array<string> = []
  const said: Array<string> = []
  const sockets: Array<WebSocket> = []
  server.on("connection", (socket) => {
    sockets.push(socket)
    const open = { sid: `s${sockets.length}`, upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1e6 }
    socket.send(`0${JSON.stringify(open)}`)
    socket.on("message", (message) => {
      const packet = String(message)
      if (!packet.startsWith("40")) return void said.push(packet)
      const turn = asked.length
      asked.push(packet.slice(2))
      const packets = turns[turn] ?? []
      for (const each of packets) socket.send(each)
      if (turn < turns.length - 1) setTimeout(() => socket.terminate(), 20)
    })
  })
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    said,
    close: () => {
      for (const socket of sockets) socket.terminate()
      server.close()
    }
  }
}
