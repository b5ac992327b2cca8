/** Calls back at an event of the page or the runtime. Gives how to stop. */
export const listen =
  (type: string) =>
  (callback: () => void): (() => void) => {
    // Not every runtime has events of its own.
    const target: Partial<EventTarget> = globalThis
    target.addEventListener?.(type, callback)
    return () => target.removeEventListener?.(type, callback)
  }
