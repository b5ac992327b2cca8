/**
 * Throws on a callback among an event's arguments. The official library asks for an acknowledgement
 * with one. Here JSON would turn it into `null`, and it would never be called.
 */
export const refuseFunctions = (event: string, args: ReadonlyArray<unknown>): void => {
  for (const arg of args) {
    if (typeof arg === "function") {
      throw new Error(`"${event}": a function cannot be sent: use emitWithAck, not a callback`)
    }
  }
}
