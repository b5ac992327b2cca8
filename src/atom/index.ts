/**
 * A client's connection to a namespace as the atoms of `effect/reactivity`, for React and other
 * views.
 *
 * @since 0.1.0
 */
export * as SocketIoAtom from "./SocketIoAtom.ts"
