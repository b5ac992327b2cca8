/**
 * Timers as they were when this was loaded: fake ones, which an application's tests may put in their place, are not to keep
 * anybody's bytes back.
 */
export const { setImmediate, setTimeout } = globalThis

/** The monotonic time in milliseconds. */
export const now: () => number = performance.now.bind(performance)
