import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"

/**
 * The time after its start in which a server lets clients wait for a namespace that no layer serves
 * yet, rather than refuse them for good. With 0 they are refused at once. It is for edges, which
 * know whether namespaces are built before they listen or later.
 *
 * Default: 2 seconds, as most edges listen before the namespaces' layers are built.
 */
export const NamespaceGrace = Context.Reference<Duration.Input | undefined>("effect-socket.io/NamespaceGrace", {
  defaultValue: () => undefined
})
