/**
 * The page's elements and their states. Both clients use it.
 */
import type { ChatMessage } from "./contract.ts"

const find = <E extends HTMLElement>(selector: string): E => document.querySelector<E>(selector)!

const nameInput = find<HTMLInputElement>("#name")
const textInput = find<HTMLInputElement>("#text")
const messages = find("#messages")
let people: ReadonlySet<string> = new Set()

export const joinForm = find<HTMLFormElement>("#join")
export const sayForm = find<HTMLFormElement>("#say")
export const leaveButton = find("#leave")

for (const form of [joinForm, sayForm]) form.addEventListener("submit", (event) => event.preventDefault())

/** The name that was entered. */
export const enteredName = (): string => nameInput.value.trim()

/**
 * A text was entered: its form tells it as the detail of an event `write`. It is taken out of its
 * field at once, as the visitor may be typing the next one.
 */
sayForm.addEventListener("submit", () => {
  const text = textInput.value.trim()
  textInput.value = ""
  if (text !== "") sayForm.dispatchEvent(new CustomEvent("write", { detail: text }))
})

/**
 * The state of the page: outside, on its way in, inside, or inside without a connection. Inside,
 * messages can be written in any case: those without a connection are sent when it is back.
 */
export type Place = "outside" | "entering" | "inside" | "away"

export const go = (place: Place): void => {
  document.body.dataset.place = place
  const out = place === "outside" || place === "entering"
  joinForm.hidden = !out
  sayForm.hidden = leaveButton.hidden = messages.hidden = out
  for (const element of joinForm.elements) element.toggleAttribute("disabled", place === "entering")
  for (const element of sayForm.elements) element.toggleAttribute("disabled", out)
  if (place === "outside") {
    messages.replaceChildren()
    showPeople([])
    nameInput.focus()
  }
  if (place === "inside") {
    textInput.focus()
    // The server sends these messages back, as lines of their own.
    for (const line of messages.querySelectorAll(".waiting")) line.remove()
  }
}

/**
 * The state of the connection, in words for visitors: browsers say "Failed to fetch" for all of
 * these.
 */
export const showLost = (): void =>
  showStatus(
    navigator.onLine ? "The chat cannot be reached. Trying again…" : "You are offline. Waiting for the network…"
  )

export const showStatus = (text: string): void => {
  find("#status").textContent = text
}

export const showProblem = (text: string): void => {
  find("#problem").textContent = text
}

export const showPeople = (names: Iterable<string>): void => {
  people = new Set(names)
  find("#people").textContent = Array.from(people).join(", ")
}

/** Shows who is there now, and tells who has come and who has left. */
export const changePeople = (names: Iterable<string>): void => {
  const before = people
  showPeople(names)
  for (const name of people) if (!before.has(name)) addLine("notice", element("span", "", `${name} has joined`))
  for (const name of before) if (!people.has(name)) addLine("notice", element("span", "", `${name} has left`))
}

/** Shows messages that were written without a connection, until they are sent. */
export const waits = (text: string): void => {
  const bubble = element("div", "bubble")
  bubble.append(element("span", "text", text))
  addLine("said own waiting", bubble, element("time", "", "not sent yet"))
}

/** Shows a message, with its author's name if somebody else wrote it. */
export const said = ({ at, from, text }: Pick<ChatMessage, "at" | "from" | "text">, isOwn: boolean): void => {
  const bubble = element("div", "bubble")
  if (!isOwn) {
    const name = element("span", "from", from.name)
    name.style.setProperty("--hue", String(hueOf(from.name)))
    bubble.append(name)
  }
  bubble.append(element("span", "text", text))
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
  addLine(isOwn ? "said own" : "said", bubble, element("time", "", time))
}

/** A color for a name. A name always has the same one. */
const hueOf = (name: string): number => {
  let hue = 0
  for (const character of name) hue = (hue * 31 + character.codePointAt(0)!) % 360
  return hue
}

const element = (tag: string, className: string, text = ""): HTMLElement =>
  Object.assign(document.createElement(tag), { className, textContent: text })

const addLine = (className: string, ...children: ReadonlyArray<Node>): void => {
  const atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 80
  const line = element("li", className)
  line.append(...children)
  messages.append(line)
  if (atEnd) messages.scrollTop = messages.scrollHeight
}
