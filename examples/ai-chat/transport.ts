/**
 * The transport of the AI SDK's chat over Socket.IO, with the official client. Copy it.
 */
import type { ChatTransport, UIMessage, UIMessageChunk } from "ai"
import type * as Official from "effect-socket.io/Official"
import type { Socket } from "socket.io-client"

import type { Ai } from "./contract.ts"

type Listen = Official.ListenEvents<typeof Ai>
type Items = Parameters<Listen["answer:items"]>[0]

export class SocketIoChatTransport implements ChatTransport<UIMessage> {
  readonly resumeStreamIsReplay = true
  private readonly socket: Socket<Listen, Official.EmitEvents<typeof Ai>>
  private readonly readers = new Set<(items?: Items) => void>()

  constructor(socket: SocketIoChatTransport["socket"]) {
    this.socket = socket
    socket.on("answer:items", (items) => this.readers.forEach((reader) => reader(items)))
    // After an outage every reader asks for what it has missed.
    socket.on("connect", () => this.readers.forEach((reader) => reader()))
  }

  private read(stream: string, signal: AbortSignal | undefined): ReadableStream<UIMessageChunk> {
    const { readers, socket } = this
    return new ReadableStream({
      start(controller) {
        let at = 0
        const end = (problem?: string) => {
          if (!readers.delete(reader)) return
          if (problem === undefined) controller.close()
          else controller.error(new Error(problem))
        }
        const ask = () =>
          socket.emit("answer:read", { stream, after: at }, (reply) => {
            if ("_tag" in reply || reply.gone || reply.from > at) end("the answer cannot be read any more")
          })
        const reader = (items?: Items) => {
          if (items !== undefined && items.stream !== stream) return undefined
          // After an outage, or where values are missing.
          if (items === undefined || items.from > at) return ask()
          for (const chunk of items.values.slice(at - items.from)) controller.enqueue(chunk)
          at = Math.max(at, items.from + items.values.length)
          if (items.end !== undefined) end(["Success", "Stopped"].includes(items.end._tag) ? undefined : items.end._tag)
          return undefined
        }
        readers.add(reader)
        if (socket.connected) ask()
        signal?.addEventListener("abort", () => {
          socket.emit("answer:stop", { stream }, () => {})
          end()
        })
      }
    })
  }

  async sendMessages({ abortSignal, chatId, messages }: Parameters<ChatTransport<UIMessage>["sendMessages"]>[0]) {
    const prompt = messages
      .at(-1)!
      .parts.map((part) => (part.type === "text" ? part.text : ""))
      .join("")
    const answer = await this.socket.emitWithAck("answer", { chat: chatId, prompt })
    if ("_tag" in answer) throw new Error(answer.error._tag)
    return this.read(answer.stream, abortSignal)
  }

  async reconnectToStream({ abortSignal, chatId }: { readonly abortSignal?: AbortSignal; readonly chatId: string }) {
    const stream = await this.socket.emitWithAck("answer:find", chatId)
    return typeof stream === "string" ? this.read(stream, abortSignal) : null
  }
}
