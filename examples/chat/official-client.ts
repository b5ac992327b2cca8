/**
 * The page's client once more: the official one, without types. It is on /official/, and talks to the same server.
 */
import { io } from "socket.io-client"

import * as view from "./view.ts"

const socket = io("/chat", { autoConnect: false })
let name = ""

// The acknowledgement of an event with declared failures is { _tag: "Success", value } or { _tag: "Failure", error }.
const join = () =>
  socket.emit("join", { name }, (answer: any) => {
    if (answer._tag === "Success") {
      view.showPeople(answer.value)
      return view.go("inside")
    }
    leave()
    view.showProblem(answer.error._tag === "NameTaken" ? "That name is taken." : "That name is not possible.")
  })

const leave = () => {
  socket.disconnect()
  view.showStatus("not connected")
  view.go("outside")
}

socket.on("connect", () => {
  view.showStatus("connected")
  join()
})
socket.on("disconnect", (reason) => {
  view.showStatus(`disconnected: ${reason}`)
  if (socket.active) view.go("away")
})
socket.on("connect_error", (error) => {
  view.showStatus(`not connected: ${error.message}`)
  if (socket.active) return
  view.go("outside")
  view.showProblem(`The server refuses: ${error.message}.`)
})
// A date is a string on the wire.
socket.on("said", (message) => view.said({ ...message, at: new Date(message.at) }, message.from.name === name))
socket.on("joined", view.joined)
socket.on("left", view.left)

view.joinForm.addEventListener("submit", () => {
  name = view.enteredName()
  view.showProblem("")
  view.showStatus("connecting…")
  view.go("entering")
  socket.connect()
})
view.sayForm.addEventListener("submit", () => {
  const text = view.takeText()
  if (text !== "") socket.emit("say", { text })
})
view.leaveButton.addEventListener("click", leave)

view.go("outside")
view.showStatus("not connected")
