/**
 * The answers of an acknowledgement as they stand on the wire. They are plain values, as pages that
 * have no Schema read and write them, too; `EventAnswer` has their schemas.
 */

export const SUCCESS = "Success"
export const FAILURE = "Failure"

/** The failures that every event may be answered with, whatever it declares. */
export const PAYLOAD_REFUSED = "PayloadRefused"
export const EVENT_REFUSED = "EventRefused"
export const EVENT_UNHANDLED = "EventUnhandled"
export const INTERNAL_ERROR = "InternalError"

/** The arguments of an acknowledgement that tells of a success, with a value or without one. */
export const success = (value?: unknown): ReadonlyArray<unknown> => [
  value === undefined ? { _tag: SUCCESS } : { _tag: SUCCESS, value }
]

/** The arguments of an acknowledgement that tells of a failure. */
export const failure = (error: unknown): ReadonlyArray<unknown> => [{ _tag: FAILURE, error }]

export const internalError = { _tag: INTERNAL_ERROR }

export const payloadRefused = (message: string) => ({ _tag: PAYLOAD_REFUSED, message })

export const eventUnhandled = (message: string) => ({ _tag: EVENT_UNHANDLED, message })

/** `data` that is `undefined` is left out. */
export const eventRefused = (message: string, data?: unknown) =>
  data === undefined ? { _tag: EVENT_REFUSED, message } : { _tag: EVENT_REFUSED, message, data }
