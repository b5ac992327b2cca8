/**
 * The answers of an acknowledgement on the wire. They are plain values, because pages without
 * Schema read and write them, too; `EventAnswer` has their schemas.
 */

export const SUCCESS = "Success"
export const FAILURE = "Failure"

/** The failures that may answer every event, whatever it declares. */
export const PAYLOAD_REFUSED = "PayloadRefused"
export const EVENT_REFUSED = "EventRefused"
export const EVENT_UNHANDLED = "EventUnhandled"
export const INTERNAL_ERROR = "InternalError"

/** Returns the arguments of an acknowledgement for a success, with or without a value. */
export const success = (value?: unknown): ReadonlyArray<unknown> => [
  value === undefined ? { _tag: SUCCESS } : { _tag: SUCCESS, value }
]

/** Returns the arguments of an acknowledgement for a failure. */
export const failure = (error: unknown): ReadonlyArray<unknown> => [{ _tag: FAILURE, error }]

export const internalError = { _tag: INTERNAL_ERROR }

export const payloadRefused = (message: string) => ({ _tag: PAYLOAD_REFUSED, message })

export const eventUnhandled = (message: string) => ({ _tag: EVENT_UNHANDLED, message })

/** Omits `data` if it is `undefined`. */
export const eventRefused = (message: string, data?: unknown) =>
  data === undefined ? { _tag: EVENT_REFUSED, message } : { _tag: EVENT_REFUSED, message, data }
