/** `queueMicrotask` as it was when this was loaded: an application's fake timers are not to keep anybody's bytes back. */
export const microtask: typeof queueMicrotask = queueMicrotask
