/**
 * The contract of the chat with a model: an event that is answered with a stream.
 */
import * as Schema from "effect/Schema"
import * as Namespace from "effect-socket.io/Namespace"
import * as StreamEvent from "effect-socket.io/StreamEvent"

/** The parts of an answer, as the AI SDK of Vercel reads them: those that this model gives. */
export const UiChunk = Schema.Union([
  Schema.Struct({ type: Schema.Literals(["start", "finish"]) }),
  Schema.Struct({ type: Schema.Literals(["text-start", "text-end"]), id: Schema.String }),
  Schema.Struct({ type: Schema.Literal("text-delta"), id: Schema.String, delta: Schema.String })
])

export class ModelBusy extends Schema.TaggedError<ModelBusy>()("ModelBusy", {}) {}

export const Answer = StreamEvent.make("answer", {
  description: "Asks the model. A second tab that asks in the same chat reads the answer that runs.",
  payload: { chat: Schema.String, prompt: Schema.String.check(Schema.isMaxLength(2_000)) },
  item: UiChunk,
  error: ModelBusy,
  // A client that knows the id of a chat may read its answer, so ids are hard to guess.
  key: ({ chat }) => chat,
  idle: "1 minute",
  rateLimit: { limit: 1, burst: 5 }
})

export class Ai extends Namespace.make("/ai").add(Answer) {}
