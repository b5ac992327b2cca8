import type { EventCodec } from "./contractCodec.ts"

/**
 * The attributes of a message, beside its payload: an object right after the declared
 * arguments. Any client can send it, as in `socket.emit("order", order, { id })`.
 */
export interface Attributes {
  /** The id of the message: the same in every attempt to send it. */
  readonly id?: string
  /** The W3C trace context of the sender. */
  readonly traceparent?: string
  readonly tracestate?: string
}

/** The most characters of an attribute. A longer one is ignored. */
export const MAX_ATTRIBUTE = 256

const names = ["id", "traceparent", "tracestate"] as const

/**
 * Reads the attributes of an event from its `[name, ...args]`. Any other value in their place,
 * other members, and members that are no text or too long are ignored, as arguments beyond the
 * declared ones are.
 */
export const attributesOf = ({ length }: Pick<EventCodec, "length">, data: ReadonlyArray<unknown>): Attributes => {
  const value = data[1 + length]
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) return {}
  const attributes: { -readonly [Name in keyof Attributes]: Attributes[Name] } = {}
  for (const name of names) {
    if (!Object.hasOwn(value, name)) continue
    const text: unknown = (value as Readonly<Record<string, unknown>>)[name]
    if (typeof text === "string" && text.length <= MAX_ATTRIBUTE) attributes[name] = text
  }
  return attributes
}

/**
 * Adds attributes to an event that a contract has encoded. It may have some already, right after
 * its declared arguments.
 */
export const withAttributes = (
  { length }: Pick<EventCodec, "length">,
  data: ReadonlyArray<unknown>,
  attributes: Attributes
): [string, ...Array<unknown>] => {
  // It begins with the event's name.
  const all = [...data] as [string, ...Array<unknown>]
  // A tuple may end before its optional elements do.
  while (all.length <= length) all.push(null)
  all[1 + length] = { ...(all[1 + length] as Attributes | undefined), ...attributes }
  return all
}
