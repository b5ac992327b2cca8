/**
 * The page's client once more: the official one. It is on /official/, and talks to the same server.
 * Its types come from the contract. They are types only, so this page has no byte of Effect. The
 * package `phoenix` makes the list of those who are there.
 */
import type * as Official from "effect-socket.io/Official"
import { Presence } from "phoenix"
import { io, type Socket } from "socket.io-client"

import type { Chat } from "./contract.ts"
import * as view from "./view.ts"

const socket: Socket<Official.ListenEvents<typeof Chat>, Official.EmitEvents<typeof Chat>> = io("/chat", {
  autoConnect: false
})
let name = ""
let isInside = false
/** Those who are there, by name, as `phoenix` keeps them. */
let people: object = {}
/**
 * Messages written without a connection. The socket would keep them, but send them before the
 * server knows the visitor.
 */
let unsaid: Array<string> = []

// The acknowledgement of an event with declared failures is { _tag: "Success", value } or { _tag:
// "Failure", error }.
const join = () =>
  socket.emit("join", { name }, (answer) => {
    if (answer._tag === "Success") {
      isInside = true
      view.go("inside")
      for (const text of unsaid.splice(0)) socket.emit("say", { text })
      return
    }
    leave()
    const { error } = answer
    if (error._tag === "NameTaken") view.showProblem("That name is taken.")
    else if (error._tag === "PresenceRefused" && error.reason._tag !== "InvalidKey")
      view.showProblem("The chat is full.")
    else view.showProblem("That name is not possible.")
  })

const leave = () => {
  socket.disconnect()
  unsaid = []
  view.showStatus("not connected")
  view.go("outside")
}

socket.on("connect", () => {
  view.showStatus("connected")
  join()
})
socket.on("disconnect", () => {
  isInside = false
  if (!socket.active) return
  view.showLost()
  view.go("away")
})
socket.on("connect_error", (error) => {
  if (socket.active) return view.showLost()
  view.go("outside")
  view.showProblem(`The server refuses: ${error.message}.`)
})
// A date is a string on the wire.
socket.on("said", (message) => view.said({ ...message, at: new Date(message.at) }, message.from.name === name))
socket.on("presence_state", (state) => {
  people = Presence.syncState({}, state)
  view.showPeople(Object.keys(people))
})
socket.on("presence_diff", (diff) => {
  people = Presence.syncDiff(people, diff)
  view.changePeople(Object.keys(people))
})

view.joinForm.addEventListener("submit", () => {
  name = view.enteredName()
  view.showProblem("")
  view.showStatus("connecting…")
  view.go("entering")
  socket.connect()
})
view.sayForm.addEventListener("write", (event) => {
  const { detail: text } = event as CustomEvent<string>
  if (isInside) {
    socket.emit("say", { text })
  } else {
    unsaid.push(text)
    view.waits(text)
  }
})
view.leaveButton.addEventListener("click", leave)

view.go("outside")
view.showStatus("not connected")
