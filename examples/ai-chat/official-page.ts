/**
 * The page with the AI SDK's chat and the official client.
 */
import { io } from "socket.io-client"

import { Chat, textOf } from "./official-chat.ts"
import { SocketIoChatTransport } from "./transport.ts"
import * as view from "./view.ts"

const socket = io("/ai")
const chat = new Chat(view.chatId, new SocketIoChatTransport(socket), (messages) =>
  view.show(messages.map((message) => ({ role: message.role, text: textOf(message) })))
)

const during = async (answer: Promise<void>) => {
  view.setBusy(true)
  await answer
  view.setBusy(false, chat.error?.message)
}

socket.on("connect", () => view.setConnected(true))
socket.on("disconnect", () => view.setConnected(false))
view.form.addEventListener("ask", (event) => {
  void during(chat.sendMessage({ text: (event as CustomEvent<string>).detail }))
})
view.stopButton.addEventListener("click", () => void chat.stop())

// An answer may be on its way: in another tab, or since before this page was loaded.
void during(chat.resumeStream())
