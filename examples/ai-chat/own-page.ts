/**
 * The page with this library's client.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as SocketIoClient from "effect-socket.io/client/SocketIoClient"
import * as SocketStream from "effect-socket.io/client/SocketStream"

import { Ai, type ModelBusy, type UiChunk } from "./contract.ts"
import * as view from "./view.ts"

type Answer = SocketStream.RemoteStream<typeof UiChunk.Type, ModelBusy>

const messages: Array<view.Message> = []

const add = (role: string, text = "") => {
  const message = { role, text }
  messages.push(message)
  view.show(messages)
  return message
}

/** Shows an answer while it comes, until it ends or is stopped. */
const showing = Effect.fnUntraced(function* (answer: Answer) {
  const message = add("assistant")
  const reading = Stream.runForEach(answer.values(), (chunk) =>
    Effect.sync(() => {
      if (chunk.type !== "text-delta") return
      message.text += chunk.delta
      view.show(messages)
    })
  )
  const stopping = Stream.runHead(Stream.fromEventListener(view.stopButton, "click")).pipe(
    Effect.andThen(answer.stop),
    Effect.andThen(Effect.never)
  )
  yield* Effect.raceFirst(reading, stopping).pipe(
    // A visitor who has stopped it sees the part that there is.
    Effect.catchReason("StreamEnded", "Stopped", () => Effect.void)
  )
})

const during = <E extends { readonly message: string }>(answer: Effect.Effect<void, E>) =>
  Effect.sync(() => view.setBusy(true)).pipe(
    Effect.andThen(answer),
    Effect.matchEffect({
      onSuccess: () => Effect.sync(() => view.setBusy(false)),
      onFailure: (error) => Effect.sync(() => view.setBusy(false, error.message || "The model is busy."))
    })
  )

const page = Effect.gen(function* () {
  const ai = yield* SocketIoClient.socket(Ai)
  yield* Stream.runForEach(ai.status, ({ _tag }) => Effect.sync(() => view.setConnected(_tag === "Connected"))).pipe(
    Effect.forkScoped({ startImmediately: true })
  )
  // An answer may be on its way: in another tab, or since before this page was loaded.
  yield* during(
    Effect.flatMap(
      SocketStream.follow(ai, "answer", view.chatId),
      Option.match({ onNone: () => Effect.void, onSome: showing })
    )
  )
  yield* Stream.runForEach(Stream.fromEventListener<CustomEvent<string>>(view.form, "ask"), ({ detail: prompt }) => {
    add("user", prompt)
    return during(Effect.flatMap(SocketStream.start(ai, "answer", { chat: view.chatId, prompt }), showing))
  })
})

page.pipe(Effect.scoped, Effect.provide(SocketIoClient.layer({ url: location.origin })), Effect.runFork)
