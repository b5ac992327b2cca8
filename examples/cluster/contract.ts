import { Schema } from "effect"
import { Event, Namespace } from "effect-socket.io"

export class Board extends Namespace.make("/", {
  // `fetchSockets` gives it with each socket, also with those of other nodes.
  data: { node: Schema.String },
  clientToServer: [
    Event.make("say", { payload: Schema.NonEmptyString }),
    Event.make("clients", { ack: Schema.Record(Schema.String, Schema.Int) })
  ],
  serverToClient: [
    Event.make("welcome", { payload: Schema.String }),
    Event.make("said", { args: [Schema.String, Schema.String] }),
    Event.make("clock", { payload: Schema.Int })
  ]
}) {}
