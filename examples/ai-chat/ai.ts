/**
 * The server's part: the answers of a model that repeats what it is told, word for word.
 */
import { Config, Effect, Stream } from "effect"
import { SocketIoServer } from "effect-socket.io/server"

import { Ai, ModelBusy, type UiChunk } from "./contract.ts"

const delta = (word: string): typeof UiChunk.Type => ({ type: "text-delta", id: "text", delta: word })

const around = (words: Stream.Stream<typeof UiChunk.Type>): Stream.Stream<typeof UiChunk.Type> =>
  Stream.make<Array<typeof UiChunk.Type>>({ type: "start" }, { type: "text-start", id: "text" }).pipe(
    Stream.concat(words),
    Stream.concat(Stream.make<Array<typeof UiChunk.Type>>({ type: "text-end", id: "text" }, { type: "finish" }))
  )

/** Takes the place of a model: with the AI SDK, `Stream.fromAsyncIterable` of its UI message stream. */
const model = (prompt: string, pause: number): Stream.Stream<typeof UiChunk.Type, ModelBusy> =>
  prompt === "busy"
    ? Stream.fail(new ModelBusy())
    : around(
        Stream.fromIterable(prompt.split(/(?<= )/)).pipe(
          Stream.rechunk(1),
          Stream.mapEffect((word) => Effect.delay(Effect.succeed(delta(word)), pause))
        )
      )

export const AiLive = SocketIoServer.layerNamespace(
  Ai,
  Effect.fnUntraced(function* () {
    const pause = yield* Config.Number("PAUSE").pipe(Config.withDefault(50), Effect.orDie)
    return Ai.of({ answer: ({ prompt }) => model(prompt, pause) })
  })
)
