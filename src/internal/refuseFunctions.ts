/**
 * Throws on a callback among an event's arguments, which is how the official library asks for an
 * acknowledgement: JSON would make `null` of it, and nobody would ever call it.
 */
export const refuseFunctions = (event: string, args: ReadonlyArray<unknown>): void => {
  for (const arg of args) {
    if (typeof arg === "function") {
      throw new Error(`"${event}": a function cannot be sent: use emitWithAck, not a callback`)
    }
  }
}
