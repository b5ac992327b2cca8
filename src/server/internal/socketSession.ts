import * as Effect from "effect/Effect"

import type { SocketSession } from "../../internal/socketSession.ts"
import { untypedEncoding } from "./encoding.ts"
import { noFlags } from "./operator.ts"
import type { SocketRuntime } from "./socket.ts"

/** The session of a socket, as other parts of this library see it. */
export const sessionPortOf = (socket: SocketRuntime): SocketSession => ({
  get isUnbroken() {
    return socket.resumption?._tag === "Resumed" && socket.resumption.isUnbroken
  },
  emit: (event, argument, onLost) =>
    Effect.suspend(() => {
      const { id, isDisconnected, namespace } = socket
      if (!isDisconnected) return socket.emit(namespace.untypedTarget, event, [argument], noFlags, onLost)
      return Effect.sync(() => namespace.recovery?.late(id, untypedEncoding.packet(event, [argument]), onLost))
    }),
  emitAtOnce: (event, argument) =>
    Effect.sync(() => socket.sendEncoded(untypedEncoding.packet(event, [argument]), () => {}))
})
