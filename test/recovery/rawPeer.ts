/**
 * A client of a server with recovery that speaks the wire format by hand.
 */
import { WebSocket } from "ws"

import { engineUrl, within } from "../support/RawClient.ts"

export interface RawPeer {
  readonly sid: string
  readonly pid: string
  /** The offset of the last event. */
  readonly offset: string | undefined
  /** The events so far, without their offsets. */
  readonly heard: ReadonlyArray<ReadonlyArray<unknown>>
  /** How many of them came before the answer to CONNECT. */
  readonly early: number
  /** The ids of the answers that it owes. */
  readonly questions: ReadonlyArray<number>
  /** Why it was not let in. */
  readonly refusal: string | undefined
  /** The number of pings that it has answered. */
  readonly pings: number
  readonly isClosed: boolean
  send(packet: string): void
  /** Resets the connection. */
  reset(): void
}

/** Connects to the main namespace, and waits for the answer. */
export const connectRaw = async (url: string, auth?: Readonly<Record<string, unknown>>): Promise<RawPeer> => {
  const socket = new WebSocket(engineUrl(url, { EIO: "4", transport: "websocket" }).replace("http", "ws"))
  const heard: Array<ReadonlyArray<unknown>> = []
  const questions: Array<number> = []
  const answered = Promise.withResolvers<void>()
  const peer = {
    sid: "",
    pid: "",
    offset: undefined as string | undefined,
    heard,
    early: 0,
    questions,
    refusal: undefined as string | undefined,
    pings: 0,
    isClosed: false,
    send: (packet: string) => socket.send(packet),
    reset: () => socket.terminate()
  }
  const onPacket = (packet: string) => {
    if (packet.startsWith("0")) socket.send(`40${auth === undefined ? "" : JSON.stringify(auth)}`)
    else if (packet === "2") {
      peer.pings++
      socket.send("3")
    } else if (/^42\d/.test(packet)) questions.push(Number.parseInt(packet.slice(2), 10))
    else if (packet.startsWith("42")) {
      const [event, ...args] = JSON.parse(packet.slice(2))
      if (typeof args.at(-1) === "string") peer.offset = args.pop()
      heard.push([event, ...args])
    } else if (packet.startsWith("40")) {
      const { pid, sid } = JSON.parse(packet.slice(2))
      Object.assign(peer, { pid, sid, early: heard.length })
      answered.resolve()
    } else if (packet.startsWith("44")) {
      peer.refusal = JSON.parse(packet.slice(2)).message
      answered.resolve()
    }
  }
  socket.on("message", (message) => onPacket(String(message)))
  socket.on("error", () => {})
  socket.on("close", () => {
    peer.isClosed = true
  })
  await within("answer to CONNECT", answered.promise)
  return peer
}
