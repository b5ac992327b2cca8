import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

import { type Codec, describe } from "../../internal/contractCodec.ts"
import { ConnectRefused } from "../../NamespaceMiddleware.ts"
import type { HandlerRecord } from "./inbound.ts"
import type { NamespaceRuntime, Registration } from "./namespace.ts"
import type { SocketRuntime } from "./socket.ts"

/**
 * What happens between a client's CONNECT packet and its handlers: the namespace is found, or opened; middlewares admit the
 * client; it is told; its builder runs.
 */
export const connecting = Effect.fnUntraced(function* (home: NamespaceRuntime, socket: SocketRuntime) {
  const registration = yield* findRegistration(home, socket)
  if (registration === undefined) {
    // A refusal would be final, a lost connection is not.
    if (home.server.hasServed(home.name)) return socket.connection.session.closeUnsafe("server shutting down")
    return socket.refuse("Invalid namespace", socket.connection.isLegacy ? { message: "Invalid namespace" } : undefined)
  }
  socket.contract = registration.contract
  const admitted = yield* authenticate(home, socket, registration)
  if (admitted === undefined) return
  // Whoever is refused opens no namespace.
  if (!isStillServed(home, socket, registration)) return
  const build = registration.build ?? (yield* home.family!.open(home))
  if (!isStillServed(home, socket, registration)) return
  if (build === undefined) return socket.refuse("Internal error")
  socket.admit()
  const handlers = yield* Effect.suspend(() => build(registration.contract === undefined ? socket.plain : socket)).pipe(
    Effect.provideContext(socket.enterContext(admitted)),
    // A socket without handlers is of no use to anybody.
    Effect.onError(() => Effect.sync(() => socket.disconnectUnsafe(false)))
  ) as Effect.Effect<HandlerRecord | void>
  socket.setReady(handlers ?? undefined)
  // A builder may have disconnected its own socket.
  if (socket.connected) home.listeners?.connections.publish(socket)
})

/** The registration under which the socket is admitted. Dynamic namespaces are found here, others may be waited for. */
const findRegistration = Effect.fnUntraced(function* (home: NamespaceRuntime, socket: SocketRuntime) {
  for (;;) {
    if (home.registration !== undefined) return home.registration
    const family = yield* home.server.findDynamic(home.name, socket.handshake)
    // Another client may have been quicker.
    if (home.registration !== undefined) return home.registration
    if (family !== undefined) family.adopt(home)
    else if (home.server.graceLeft === 0 || (yield* home.awaitRegistration(home.server.graceLeft))) {
      return home.registration as Registration | undefined
    }
  }
})

/** Runs the middlewares; the context of the socket's handlers if all of them admit it. */
const authenticate = Effect.fnUntraced(function* (
  home: NamespaceRuntime,
  socket: SocketRuntime,
  { context: own, contract }: Registration
) {
  if (contract === undefined) return own
  const auth = contract.auth.decode(socket.rawAuth)
  if (auth._tag === "Failure") return refuseAuth(socket, describe(auth))
  socket.auth = auth.value
  let context = own
  for (const { auth: codec, error, service } of contract.middlewares) {
    const auth = codec.decode(socket.rawAuth)
    if (auth._tag === "Failure") return refuseAuth(socket, describe(auth))
    const middleware = Context.getUnsafe(own, service)
    const request = { id: socket.id, namespace: home.name, handshake: socket.handshake, auth: auth.value }
    const result = yield* Effect.suspend(() => middleware(request) as Effect.Effect<unknown, unknown>).pipe(
      Effect.map((value) => ({ value })),
      Effect.catch((failure) => Effect.sync(() => refuseFor(socket, failure, error))),
      Effect.onError(() => Effect.sync(() => socket.refuse("Internal error")))
    )
    if (result === undefined) return undefined
    if (service.provides !== undefined) context = Context.add(context, service.provides, result.value)
  }
  return context
})

/** Whether the client is there and so is its layer, which may have closed while it was asked who it is, or while its namespace opened. */
const isStillServed = (home: NamespaceRuntime, socket: SocketRuntime, registration: Registration): boolean => {
  const { connection } = socket
  if (socket.state !== "connecting" || !connection.session.isOpen) return false
  if (home.registration === registration) return true
  // A refusal would be final, a lost connection is not.
  connection.session.closeUnsafe("server shutting down")
  return false
}

const refuseAuth = (socket: SocketRuntime, description: string): undefined => {
  socket.home.server.debug("namespace", "auth payload refused", { description, ...socket.annotations })
  return socket.refuse("Invalid auth payload")
}

const refuseFor = (socket: SocketRuntime, failure: unknown, codec: Codec): undefined => {
  if (failure instanceof ConnectRefused) return socket.refuse(failure.message, failure.data)
  const encoded = codec.encode(failure)
  const data = encoded._tag === "Success" ? encoded.value : undefined
  const { _tag, message } = failure as { readonly _tag?: string; readonly message?: string }
  return socket.refuse(message || _tag || "Refused", data)
}
