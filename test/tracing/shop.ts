/**
 * A contract and its nodes, for the tests of traces.
 */
import { Schema } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"

export const Order = Event.make("order", { payload: Schema.String, ack: Schema.String })
/** Sent to all. */
export const Sold = Event.make("sold", { payload: Schema.String })
/** Asked of all. */
export const Confirm = Event.make("confirm", { payload: Schema.String, ack: Schema.String })
export const Several = Event.make("several", {
  args: [Schema.String, Schema.optionalKey(Schema.String)],
  ack: Schema.String
})
export const Bare = Event.make("bare", { ack: Schema.String })
export const Pay = Event.make("pay", { payload: Schema.String, ack: Schema.String, once: {} })
/** Sent between servers. */
export const Stock = Event.make("stock", { payload: Schema.String, ack: Schema.String })

export class Shop extends Namespace.make("/shop", {
  clientToServer: [Order, Several, Bare, Pay],
  serverToClient: [Sold, Confirm],
  serverToServer: [Stock]
}) {}
