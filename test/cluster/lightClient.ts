/**
 * Clients that only count what they hear: an official one costs more than the node that it listens to.
 */
import { WebSocket } from "ws"

import { within } from "../support/RawClient.ts"
import type { Node } from "./nodes.ts"

export class LightClient {
  /** The number of events so far. */
  heard = 0
  /** The sum and the greatest of the delays of events that say when they were sent, in milliseconds. */
  readonly delays: Array<number> = []
  private readonly socket: WebSocket
  private measures = false

  private constructor(node: Node) {
    this.socket = new WebSocket(`${node.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, {
      perMessageDeflate: false
    })
  }

  static async connect(node: Node, rooms: ReadonlyArray<string>, measures = false): Promise<LightClient> {
    const self = new LightClient(node)
    const { socket } = self
    self.measures = measures
    const connected = Promise.withResolvers<void>()
    const synced = Promise.withResolvers<void>()
    socket.once("error", connected.reject)
    socket.on("message", (message: Buffer) => {
      // Engine.IO's type, then Socket.IO's: most are events.
      switch (message[0]) {
        case 0x34:
          if (message[1] === 0x32) self.onEvent(message)
          else if (message[1] === 0x30) connected.resolve()
          else if (message[1] === 0x33) synced.resolve()
          break
        case 0x30:
          socket.send(`40${JSON.stringify({ rooms })}`)
          break
        case 0x32:
          socket.send("3")
          break
        default:
      }
    })
    await within("connection", connected.promise)
    socket.send('420["sync"]')
    await within("answer to sync", synced.promise)
    return self
  }

  close(): void {
    this.socket.terminate()
  }

  private onEvent(message: Buffer): void {
    this.heard++
    if (!this.measures) return
    const [, { at }] = JSON.parse(message.toString("utf8", 2))
    this.delays.push(Date.now() - at)
  }
}
