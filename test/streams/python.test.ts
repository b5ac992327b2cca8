/**
 * A stream that is read, resumed and stopped by a client in another language.
 */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"

import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"
import { python, requires } from "../support/peers.ts"
import { serve } from "../support/serve.ts"

const Answer = StreamEvent.make("answer", {
  payload: { chat: Schema.String, words: Schema.Int },
  item: Schema.String,
  key: ({ chat }) => chat
})

class Ai extends Namespace.make("/ai").add(Answer) {}

const word = (n: number) => `word ${n}`

const AiLive = SocketIoServer.layerNamespace(Ai, () =>
  Effect.succeed(
    Ai.of({
      answer: ({ words }) =>
        Stream.range(1, words).pipe(
          Stream.rechunk(1),
          Stream.mapEffect((n) => Effect.delay(Effect.succeed(word(n)), 2))
        )
    })
  )
)

const script = fileURLToPath(new URL("python_reader.py", import.meta.url))

describe("a stream event, read by python-socketio", requires("python-socketio"), () => {
  it.live("gives its values over two connections, and is found and stopped", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(AiLive)
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(python, [script, url, "200"], { timeout: 25_000 })
      )
      const { values, ...rest } = JSON.parse(stdout)
      assert.deepStrictEqual(
        values,
        Array.from({ length: 200 }, (_, n) => word(n + 1))
      )
      assert.deepStrictEqual(rest, {
        end: "Success",
        found: true,
        stopped: { gone: false },
        stop: "Stopped",
        gone: { gone: true, from: 0 }
      })
    })
  )
})
