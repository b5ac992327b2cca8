/**
 * An honest client: the official one, over WebSocket, that asks for an acknowledgement every 25 ms;
 * or an honest server, for clients under attack.
 */
import { once } from "node:events"
import type { Server as Http } from "node:http"
import type { AddressInfo } from "node:net"

import { Server } from "socket.io"
import { io, type Socket } from "socket.io-client"

import { answer, now, sleep } from "../../bench/roles.ts"
import { type Answers, PATIENCE, PAUSE } from "./questions.ts"

let socket: Socket | undefined
let disconnected: string | undefined

answer({
  serve: async (): Promise<number> => {
    const server = new Server(0, { transports: ["websocket"] })
    server.on("connection", (socket) => socket.on("ack", (value, reply) => reply(value)))
    const http = (server as unknown as { readonly httpServer: Http }).httpServer
    if (!http.listening) await once(http, "listening")
    return (http.address() as AddressInfo).port
  },
  connect: (port: number) =>
    new Promise<void>((resolve) => {
      socket?.removeAllListeners().disconnect()
      disconnected = undefined
      socket = io(`http://127.0.0.1:${port}`, { transports: ["websocket"], reconnection: false, forceNew: true })
      socket.on("connect", () => resolve())
      socket.on("connect_error", ({ message }) => {
        disconnected = message
        resolve()
      })
      socket.on("disconnect", (reason) => (disconnected = reason))
    }),
  ask: async (millis: number): Promise<Answers> => {
    const latencies: Array<number> = []
    let [asked, lost] = [0, 0]
    const began = now()
    while (now() - began < millis && socket!.connected) {
      const at = now()
      asked++
      socket!.timeout(PATIENCE).emit("ack", asked, (error: unknown) => {
        latencies.push(now() - at)
        if (error !== null) lost++
      })
      await sleep(Math.max(0, began + asked * PAUSE - now()))
    }
    while (latencies.length < asked) await sleep(5)
    return { latencies, lost, disconnected }
  }
})
