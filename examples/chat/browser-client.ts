/**
 * The page's client: the client of this library, with the contract of the server. It imports
 * modules deeply, which keeps bundles small.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { SocketStatus } from "effect-socket.io/client/ClientSocket"
import * as ClientExtras from "effect-socket.io/client/ClientExtras"
import * as SocketIoClient from "effect-socket.io/client/SocketIoClient"
import * as PresenceList from "effect-socket.io/presence/PresenceList"

import { Chat, type Online } from "./contract.ts"
import * as view from "./view.ts"

/**
 * One visit, until the visitor leaves or cannot stay. When its scope closes, the socket leaves the
 * namespace.
 */
const visit = Effect.fnUntraced(function* (name: string) {
  const chat = yield* SocketIoClient.socket(Chat)
  let people: PresenceList.Of<typeof Online> = PresenceList.empty()
  // One stream for all events: it keeps the order of those that tell who is there.
  yield* chat.events().pipe(
    Stream.runForEach((message) =>
      Effect.sync(() => {
        switch (message.event) {
          case "said":
            return view.said(message.payload, message.payload.from.name === name)
          case "presence_state":
            people = PresenceList.fromState(message.payload[0])
            return view.showPeople(people.keys())
          case "presence_diff":
            people = PresenceList.withDiff(people, message.payload[0])
            return view.changePeople(people.keys())
        }
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )
  let hasBeenInside = false
  let isInside = false
  /**
   * Messages written without a connection. The socket would keep them, but send them before the
   * server knows the visitor.
   */
  const unsaid: Array<string> = []
  yield* Stream.fromEventListener<CustomEvent<string>>(view.sayForm, "write").pipe(
    Stream.runForEach(({ detail: text }) => {
      if (isInside) return chat.emit("say", { text })
      return Effect.sync(() => {
        unsaid.push(text)
        view.waits(text)
      })
    }),
    Effect.forkScoped({ startImmediately: true })
  )

  const join = chat.emitWithAck("join", { name }).pipe(
    Effect.timeout("5 seconds"),
    // After an outage the lost connection may still hold the name. The server frees it soon.
    Effect.retry({
      schedule: Schedule.spaced("500 millis"),
      times: 20,
      while: ({ _tag }) => hasBeenInside && _tag === "NameTaken"
    }),
    Effect.flatMap(() => {
      hasBeenInside = isInside = true
      view.go("inside")
      return Effect.forEach(unsaid.splice(0), (text) => chat.emit("say", { text }), { discard: true })
    }),
    // The status says the same.
    Effect.catchReason("AckError", "Disconnected", () => Effect.void)
  )
  const onStatus = Effect.fnUntraced(function* (status: SocketStatus) {
    switch (status._tag) {
      case "Connecting":
        return view.showStatus("connecting…")
      case "Connected":
        view.showStatus("connected")
        return yield* join
      case "Disconnected":
        isInside = false
        if (!status.willRetry) return yield* Effect.fail({ _tag: "Closed" as const })
        view.showLost()
        view.go(hasBeenInside ? "away" : "entering")
        return
      case "Failed":
        if (!status.error.willRetry) return yield* Effect.fail(status.error)
        view.showLost()
    }
  })
  // This runs for every connection, the first one included. A new status interrupts the work for
  // the one before.
  const staying = Stream.runDrain(Stream.switchMap(chat.status, (status) => Stream.fromEffect(onStatus(status))))
  const leaving = Stream.runHead(Stream.fromEventListener(view.leaveButton, "click"))
  yield* Effect.raceFirst(staying, leaving)
}, Effect.scoped)

const visits = Effect.gen(function* () {
  view.go("outside")
  view.showStatus("not connected")
  yield* Stream.runHead(Stream.fromEventListener(view.joinForm, "submit"))
  view.showProblem("")
  view.go("entering")
  yield* visit(view.enteredName()).pipe(
    Effect.matchEffect({
      onSuccess: () => Effect.void,
      onFailure: (failure) =>
        Effect.sync(() => {
          switch (failure._tag) {
            case "NameTaken":
              return view.showProblem("That name is taken.")
            case "PresenceRefused":
              return view.showProblem(
                failure.reason._tag === "InvalidKey" ? "That name is not possible." : "The chat is full."
              )
            case "AckError":
              return view.showProblem(`That name is not possible: ${failure.message}.`)
            case "ConnectError":
              return view.showProblem(`The server refuses: ${failure.message}.`)
            case "TimeoutError":
              return view.showProblem("The server does not answer.")
            case "Closed":
              return view.showProblem("The server has ended the chat.")
          }
        })
    })
  )
}).pipe(Effect.forever)

// It moves to another server without an outage, and closes its connection with the page.
const Client = SocketIoClient.layer({
  url: location.origin,
  extras: [ClientExtras.moves, ClientExtras.closeOnPageHide]
})

visits.pipe(Effect.provide(Client), Effect.runFork)
