/**
 * The view of both pages.
 */

export interface Message {
  readonly role: string
  text: string
}

const find = <E extends HTMLElement>(id: string): E => document.querySelector<E>(`#${id}`)!

/** The chat is in the address of the page: another tab with the same address reads the same answers. */
if (location.hash.length < 17) location.hash = crypto.randomUUID()

export const chatId = location.hash.slice(1)

/** It dispatches `ask` with what was entered. */
export const form = find<HTMLFormElement>("ask")

export const stopButton = find<HTMLButtonElement>("stop")

const input = find<HTMLInputElement>("prompt")
const list = find<HTMLUListElement>("messages")
const problem = find("problem")

form.addEventListener("submit", (event) => {
  event.preventDefault()
  const prompt = input.value.trim()
  input.value = ""
  if (prompt !== "") form.dispatchEvent(new CustomEvent("ask", { detail: prompt }))
})

export const show = (messages: ReadonlyArray<Message>): void => {
  list.replaceChildren(
    ...messages.map(({ role, text }) => {
      const line = document.createElement("li")
      line.dataset["role"] = role
      line.textContent = text
      return line
    })
  )
  list.scrollTop = list.scrollHeight
}

/** Whether an answer is awaited or comes; and why there is none. */
export const setBusy = (isBusy: boolean, why = ""): void => {
  document.body.dataset["busy"] = String(isBusy)
  stopButton.disabled = !isBusy
  input.disabled = isBusy
  problem.textContent = why
}

export const setConnected = (isConnected: boolean): void => {
  document.body.dataset["connected"] = String(isConnected)
}
