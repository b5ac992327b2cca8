/**
 * An honest client: the official one, over WebSocket, that asks for an acknowledgement every 25 ms.
 */
import { io, type Socket } from "socket.io-client"

import { answer, now, sleep } from "../../bench/roles.ts"

/** The pause between two questions, in milliseconds. */
const PAUSE = 25

/** How long a question may take to be answered, in milliseconds. */
export const PATIENCE = 3_000

/** The results of a while. */
export interface Answers {
  /** How long each answer took, in milliseconds; a question without one as long as was waited. */
  readonly latencies: ReadonlyArray<number>
  readonly lost: number
  readonly disconnected: string | undefined
}

let socket: Socket | undefined
let disconnected: string | undefined

answer({
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
