/**
 * A namespace with streams, for servers that share them.
 */
import { Effect, Schema, Stream } from "effect"

import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"

export const Tell = StreamEvent.make("tell", {
  payload: { key: Schema.String, words: Schema.Int },
  item: Schema.String,
  key: ({ key }) => key
})

export class Talk extends Namespace.make("/talk").add(Tell) {}

export const word = (n: number): string => `word ${n}`

/** Tells a word every few milliseconds, of which the first 20 come at once. */
export const TalkLive = SocketIoServer.layerNamespace(Talk, () =>
  Effect.succeed(
    Talk.of({
      tell: ({ words }) =>
        Stream.range(0, words - 1).pipe(
          Stream.rechunk(1),
          Stream.mapEffect((n) => (n < 20 ? Effect.succeed(word(n)) : Effect.delay(Effect.succeed(word(n)), 5)))
        )
    })
  )
)
