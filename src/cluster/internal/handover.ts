import type { Worker } from "node:cluster"

import { isRecord } from "./messages.ts"

/** The part of a connection's handle that is used. */
interface Handle {
  readonly close: () => void
}

const isHandle = (value: unknown): value is Handle =>
  typeof value === "object" && value !== null && typeof (value as { close?: unknown }).close === "function"

/**
 * Closes the connections that a worker was handed and has not taken when it ended. Node's cluster
 * module keeps them open and forgets them: their clients would wait for an answer that nobody
 * gives, until they lose patience. Closed ones are tried again at once.
 *
 * Node hands a connection over as a message of its own with a number, which the worker repeats.
 * Where that is not so, nothing is done here. Gives how to stop.
 */
export const watchHandover = (worker: Worker): (() => void) => {
  const { process } = worker
  const { send } = process
  const handed = new Map<unknown, Handle>()
  const watched = (...args: Parameters<typeof send>): boolean => {
    const [message, handle] = args as ReadonlyArray<unknown>
    // Nearly all messages have no handle.
    if (handle !== undefined && isHandle(handle) && isRecord(message) && message["act"] === "newconn") {
      handed.set(message["seq"], handle)
    }
    return send.apply(process, args)
  }
  const onInternalMessage = (message: unknown) => {
    if (handed.size > 0 && isRecord(message)) handed.delete(message["ack"])
  }
  // The end of the channel is not told while a connection is on its way. A connection that the
  // worker has taken after all ends with it.
  const onEnd = () => {
    for (const handle of handed.values()) handle.close()
    handed.clear()
  }
  Object.assign(process, { send: watched })
  process.on("internalMessage", onInternalMessage)
  process.on("disconnect", onEnd)
  process.on("exit", onEnd)
  return () => {
    if (process.send === watched) Object.assign(process, { send })
    process.off("internalMessage", onInternalMessage)
    process.off("disconnect", onEnd)
    process.off("exit", onEnd)
    handed.clear()
  }
}
