/**
 * Answers that survive the process: the memory for handled messages over `effect/persistence`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Persistable from "effect/persistence/Persistable"
import * as Persistence from "effect/persistence/Persistence"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import type { InvalidOptionError } from "../SocketIoError.ts"
import * as Idempotency from "./Idempotency.ts"

/**
 * Options of answers that are persisted. The limits bound what this process adds.
 *
 * @since 0.1.0
 * @category options
 */
export interface PersistedIdempotencyOptions extends Idempotency.Limits {
  /**
   * The name of the store. In a database with a table for each store it is a part of the table's
   * name. Default: `socketio_once`.
   */
  readonly storeId?: string
}

/** The answer of a message, by the key that stands for the message. */
class Answer extends Persistable.Class<{ payload: { readonly key: string; readonly window: number } }>()("Answer", {
  primaryKey: ({ key }) => key,
  success: Schema.String
}) {}

const unavailable = (cause: unknown) =>
  new Idempotency.IdempotencyError({
    reason: { _tag: "Unavailable" },
    message: "the store of the answers does not work",
    cause
  })

/**
 * Makes the service over `Persistence`: a SQL database, Redis, or a key-value store.
 *
 * **Details**
 *
 * Answers survive the end of the process. Claims do not, and other processes do not see them:
 * `Persistence` can read and write a value, but not write it unless there is one. So a message that
 * two processes get at the same time is handled by both, also in a restart in which the next
 * process starts before the former one has ended. Use it where one process at a time serves the
 * clients, and `RedisIdempotency` for several.
 *
 * Fails with `InvalidOptionError` on an option that makes no sense. The service ends with its
 * scope.
 *
 * **Gotchas**
 *
 * Use a store whose writes are whole or not there. A file that a crash has cut cannot be read, and
 * its message is refused from then on.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ storeId = "socketio_once", ...limits }: PersistedIdempotencyOptions = {}): Effect.Effect<
  Idempotency.IdempotencyShape,
  InvalidOptionError,
  Persistence.Persistence | Scope.Scope
> =>
  Effect.gen(function* () {
    const persistence = yield* Persistence.Persistence
    const answers = yield* persistence.make({
      storeId,
      timeToLive: (_, answer) => Duration.millis((answer as Answer).window)
    })
    return yield* Idempotency.make(
      {
        claim: (key) =>
          answers.get(new Answer({ key, window: 0 })).pipe(
            Effect.flatMap((exit) => exit ?? Effect.undefined),
            // A record that cannot be read says still that the message was handled.
            Effect.catchTag("SchemaError", () => Effect.succeed("")),
            Effect.mapError(unavailable),
            Effect.interruptible
          ),
        complete: (key, answer, window) =>
          Effect.mapError(answers.set(new Answer({ key, window }), Exit.succeed(answer)), unavailable),
        remove: (keys) =>
          Effect.mapError(
            Effect.forEach(keys, (key) => answers.remove(new Answer({ key, window: 0 })), { discard: true }),
            unavailable
          ),
        // Stores drop an answer that is over when it is read, if they do not do so before.
        purge: (keys) =>
          Effect.forEach(keys, (key) => Effect.ignore(answers.get(new Answer({ key, window: 0 }))), { discard: true })
      },
      limits
    )
  })

/**
 * The service over `Persistence`, as a layer. See {@link make}.
 *
 * **Example** (Answers in the application's database)
 *
 * ```ts
 * const Main = NodeSocketIoServer.serve(ShopLive, { port: 3000 }).pipe(
 *   Layer.provide(PersistedIdempotency.layer()),
 *   Layer.provide(Persistence.layerSql),
 *   Layer.provide(SqlLive)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: PersistedIdempotencyOptions
): Layer.Layer<Idempotency.Idempotency, InvalidOptionError, Persistence.Persistence> =>
  Layer.effect(Idempotency.Idempotency, make(options))
