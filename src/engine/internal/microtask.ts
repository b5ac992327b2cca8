/**
 * `queueMicrotask` as it was when this module was loaded: fake timers of an application must not
 * hold bytes back.
 */
export const microtask: typeof queueMicrotask = queueMicrotask
