import * as Schema from "effect/Schema"

import { type AnyRefresh, Refreshed, type RefreshOptions } from "../AuthRefresh.ts"
import { ConnectRefused } from "../ConnectRequest.ts"
import * as Event from "../Event.ts"

/** Declares the events of a middleware's refresh. Throws as `Event.make` does. */
export const makeRefresh = (
  { event, rateLimit = { limit: 1, burst: 5 }, same }: RefreshOptions<string, any>,
  auth: Event.AnySchema,
  error: Event.AnySchema | undefined
): AnyRefresh => ({
  request: Event.make(event, {
    payload: auth,
    ack: Refreshed,
    error: error === undefined ? ConnectRefused : Schema.Union([ConnectRefused, error]),
    concurrency: 1,
    rateLimit,
    description: "Refreshes the client's rights with a new auth payload."
  }),
  notice: Event.make(`${event}:expiring`, {
    payload: { expiresIn: Schema.Finite },
    recover: false,
    description: "The client's rights end in `expiresIn` milliseconds."
  }),
  same
})
