/** Frames of the protocol, as a client by hand writes and reads them. */

export const request = (id: unknown, tag: string, payload?: unknown, more: object = {}) => ({
  _tag: "Request",
  id,
  tag,
  payload,
  ...more
})

export const success = (requestId: unknown, value: unknown) => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Success", value }
})

export const died = (requestId: unknown, defect: string) => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Failure", cause: [{ _tag: "Die", defect }] }
})
