/**
 * The events of a rolling restart, between its clients and its nodes.
 */
import { Schema } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"

/** The name of a client, and the number of its event. */
const args = [Schema.String, Schema.Int] as const

/** Notes are handled each time that they come, and orders once: they have ids. */
export class Notes extends Namespace.make("/", {
  clientToServer: [
    Event.make("note", { args, ack: Schema.Int }),
    Event.make("order", { args, ack: Schema.Int, once: {} })
  ],
  serverToClient: [Event.make("news", { payload: Schema.Int })]
}) {}
