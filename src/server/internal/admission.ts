import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"

import type { CompiledContract } from "../../internal/compileContract.ts"
import { type Codec, describe } from "../../internal/contractCodec.ts"
import { ConnectRefused } from "../../NamespaceMiddleware.ts"
import type { HandlerRecord } from "./inbound.ts"
import type { Build, NamespaceRuntime, Registration } from "./namespace.ts"
import type { SocketRuntime } from "./socket.ts"

/**
 * What happens between a client's CONNECT packet and its handlers: the namespace is found, or opened; middlewares admit the
 * client; it is told; its builder runs.
 *
 * It is run in the context of the registration, if that is known already. Where nothing has to be waited for, which is how most
 * namespaces are, each step is a function: an effect is there for the builder alone.
 */
export const connecting = (home: NamespaceRuntime, socket: SocketRuntime): Effect.Effect<unknown> => {
  if (home.registration !== undefined) return admitting(home, socket, home.registration)
  return Effect.flatMap(findRegistration(home, socket), (registration) => {
    if (registration !== undefined) return admitting(home, socket, registration)
    const { connection } = socket
    // A refusal would be final, a lost connection is not.
    if (home.server.hasServed(home.name)) connection.session.closeUnsafe("server shutting down")
    else if (connection.isLegacy && home.name === "/") socket.leaveUnserved()
    else socket.refuse("Invalid namespace", connection.isLegacy ? { message: "Invalid namespace" } : undefined)
    return Effect.void
  })
}

const admitting = (
  home: NamespaceRuntime,
  socket: SocketRuntime,
  registration: Registration
): Effect.Effect<unknown> => {
  const { context, contract } = registration
  socket.contract = contract
  if (contract === undefined) return entering(home, socket, registration, context)
  const auth = contract.auth.decode(socket.rawAuth)
  if (auth._tag === "Failure") return refuseAuth(socket, auth)
  socket.auth = auth.value
  if (contract.middlewares.length === 0) return entering(home, socket, registration, context)
  return decided(authenticate(home, socket, contract.middlewares, context), (exit) => {
    if (exit._tag === "Failure") return exit
    return exit.value === undefined ? Effect.void : entering(home, socket, registration, exit.value)
  })
}

/** The client is who it may be. Whoever is refused opens no namespace. */
const entering = (
  home: NamespaceRuntime,
  socket: SocketRuntime,
  registration: Registration,
  admitted: Context.Context<any>
): Effect.Effect<unknown> => {
  if (!isStillServed(home, socket, registration)) return Effect.void
  if (registration.build !== undefined) return building(home, socket, registration.build, admitted)
  if (home.instance === undefined) socket.connection.onOpening()
  return Effect.flatMap(home.family!.open(home), (build) => {
    if (!isStillServed(home, socket, registration)) return Effect.void
    return build === undefined
      ? Effect.sync(() => socket.refuse("Internal error"))
      : building(home, socket, build, admitted)
  })
}

const building = (
  home: NamespaceRuntime,
  socket: SocketRuntime,
  build: Build,
  admitted: Context.Context<any>
): Effect.Effect<unknown> => {
  home.onAdmissionOver(socket)
  socket.admit()
  const own = socket.enterContext(admitted)
  const handlers = Effect.suspend(() => build(socket.contract === undefined ? socket.plain : socket))
  // In place of the context that is there, rather than on top of it: the handlers' is the same.
  const built = own === undefined ? handlers : Effect.updateContext(handlers, () => own)
  return Effect.map(built as Effect.Effect<HandlerRecord | void>, (handlers) => {
    socket.setReady(handlers ?? undefined)
    // A builder may have disconnected its own socket.
    if (socket.connected) home.listeners?.connections.publish(socket)
  })
}

/** The registration under which the socket is admitted. Dynamic namespaces are found here, others may be waited for. */
const findRegistration = Effect.fnUntraced(function* (home: NamespaceRuntime, socket: SocketRuntime) {
  for (;;) {
    if (home.registration !== undefined) return home.registration
    const family = yield* home.server.findDynamic(home.name, socket)
    // Another client may have been quicker.
    if (home.registration !== undefined) return home.registration
    if (family !== undefined) family.adopt(home)
    else if (home.server.graceLeft === 0 || (yield* home.awaitRegistration(home.server.graceLeft))) {
      return home.registration as Registration | undefined
    }
  }
})

/**
 * Runs the middlewares; the context of the socket's handlers if all of them admit it. Most decide at once: then there is no fiber,
 * whatever they decide.
 */
const authenticate = (
  home: NamespaceRuntime,
  socket: SocketRuntime,
  middlewares: CompiledContract["middlewares"],
  own: Context.Context<any>,
  context: Context.Context<any> = own,
  at = 0
): Effect.Effect<Context.Context<any> | undefined> => {
  const middleware = middlewares[at]
  if (middleware === undefined) return Exit.succeed(context)
  const { auth: codec, error, service } = middleware
  const auth = codec.decode(socket.rawAuth)
  if (auth._tag === "Failure") return refuseAuth(socket, auth)
  const request = { id: socket.id, namespace: home.name, handshake: socket.handshake, auth: auth.value }
  const decision = makeEffect(() => Context.getUnsafe(own, service)(request) as Effect.Effect<unknown, unknown>)
  return decided(decision, (exit) => {
    if (exit._tag === "Success") {
      const next = service.provides === undefined ? context : Context.add(context, service.provides, exit.value)
      return authenticate(home, socket, middlewares, own, next, at + 1)
    }
    const failure = Exit.findErrorOption(exit)
    if (failure._tag === "Some") {
      refuseFor(socket, failure.value, error)
      return Exit.succeed(undefined)
    }
    socket.refuse("Internal error")
    return Exit.failCause(exit.cause as Cause.Cause<never>)
  })
}

/** An effect that is made by the application, which may throw. */
const makeEffect = <A, E>(make: () => Effect.Effect<A, E>): Effect.Effect<A, E> => {
  try {
    return make()
  } catch (defect) {
    return Exit.die(defect)
  }
}

/** Goes on when an effect has ended: now, if it has already. */
const decided = <A, E, B>(
  effect: Effect.Effect<A, E>,
  goOn: (exit: Exit.Exit<A, E>) => Effect.Effect<B>
): Effect.Effect<B> =>
  Exit.isExit(effect) ? goOn(effect as Exit.Exit<A, E>) : Effect.flatMap(Effect.exit(effect), goOn)

/** Whether the client is there and so is its layer, which may have closed while it was asked who it is, or while its namespace opened. */
const isStillServed = (home: NamespaceRuntime, socket: SocketRuntime, registration: Registration): boolean => {
  const { connection } = socket
  if (socket.state !== "connecting" || !connection.session.isOpen) return false
  if (home.registration === registration) return true
  // A refusal would be final, a lost connection is not.
  connection.session.closeUnsafe("server shutting down")
  return false
}

const refuseAuth = (
  socket: SocketRuntime,
  exit: Exit.Failure<unknown, Schema.SchemaError>
): Effect.Effect<undefined> => {
  const { server } = socket.home
  // A description may be long, and costs more than all else.
  if (server.observer.debugs("namespace")) {
    const annotations = { description: describe(exit), ...socket.annotations }
    server.debug("namespace", "auth payload refused", annotations, socket.connection)
  }
  socket.refuse("Invalid auth payload")
  return Effect.void as Effect.Effect<undefined>
}

const refuseFor = (socket: SocketRuntime, failure: unknown, codec: Codec): undefined => {
  if (failure instanceof ConnectRefused) return socket.refuse(failure.message, failure.data)
  const encoded = codec.encode(failure)
  const data = encoded._tag === "Success" ? encoded.value : undefined
  const { _tag, message } = failure as { readonly _tag?: string; readonly message?: string }
  return socket.refuse(message || _tag || "Refused", data)
}
