/**
 * The AI SDK's chat without a framework: its state, and a function that is told of changes. With React,
 * `useChat({ transport })` does this.
 */
import { AbstractChat, type ChatTransport, type UIMessage } from "ai"

export class Chat extends AbstractChat<UIMessage> {
  constructor(id: string, transport: ChatTransport<UIMessage>, onChange: (messages: ReadonlyArray<UIMessage>) => void) {
    let messages: Array<UIMessage> = []
    const change = (next: Array<UIMessage>) => {
      messages = next
      onChange(next)
    }
    super({
      id,
      transport,
      state: {
        status: "ready",
        error: undefined,
        get messages() {
          return messages
        },
        set messages(next) {
          change(next)
        },
        pushMessage: (message) => change([...messages, message]),
        popMessage: () => change(messages.slice(0, -1)),
        replaceMessage: (at, message) => change(messages.with(at, message)),
        snapshot: (thing) => structuredClone(thing)
      }
    })
  }
}

/** The text of a message. */
export const textOf = (message: UIMessage): string =>
  message.parts.map((part) => (part.type === "text" ? part.text : "")).join("")
