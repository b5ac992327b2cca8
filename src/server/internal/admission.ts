import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"

import type { CompiledContract } from "../../internal/compileContract.ts"
import { type Codec, describe } from "../../internal/contractCodec.ts"
import { ConnectRefused } from "../../NamespaceMiddleware.ts"
import type { Directory } from "./directory.ts"
import type { DynamicNamespaces } from "./dynamic.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import type { Build, HandlerRecord, Registration } from "./ports.ts"
import { Decision } from "./expiry.ts"
import { Rights } from "./rights.ts"
import { keepsRawAuth, type SocketRuntime } from "./socket.ts"
import { viewOf } from "./views.ts"

/**
 * The way from a client's CONNECT packet to its handlers: the namespace is found, or opened;
 * middlewares admit the client; the client is told; its builder runs.
 *
 * It runs in the context of the registration, if that is known already. Most namespaces need not
 * wait: then each step is a plain function, and only the builder is an effect.
 */
export const admit = (
  directory: Directory,
  namespace: NamespaceRuntime,
  socket: SocketRuntime
): Effect.Effect<unknown> => {
  if (!socket.connection.isLegacy) namespace.recovery?.claim(socket)
  const { registration } = namespace
  if (registration !== undefined) return authenticate(namespace, socket, registration)
  return Effect.flatMap(findRegistration(directory, namespace, socket), (registration) => {
    if (registration !== undefined) return authenticate(namespace, socket, registration)
    const { connection } = socket
    // A refusal would be final. After a lost connection clients come back.
    if (directory.wasServed(namespace.name)) connection.session.closeUnsafe("server shutting down")
    else if (connection.isLegacy && namespace.name === "/") socket.leaveUnserved()
    else socket.refuse("Invalid namespace", connection.isLegacy ? { message: "Invalid namespace" } : undefined)
    return Effect.void
  })
}

/**
 * Returns the registration under which the client is admitted. The dynamic namespace is found here;
 * another one may be awaited.
 */
const findRegistration = Effect.fnUntraced(function* (
  directory: Directory,
  namespace: NamespaceRuntime,
  socket: SocketRuntime
) {
  const { environment, name } = namespace
  for (;;) {
    if (namespace.registration !== undefined) return namespace.registration
    const group: DynamicNamespaces | undefined = yield* directory.findDynamic(name, socket)
    // Another client may have been quicker.
    if (namespace.registration !== undefined) return namespace.registration
    if (group !== undefined) group.serve(namespace)
    else if (environment.graceLeft === 0 || (yield* namespace.layer.awaitChange(environment.graceLeft))) {
      return namespace.registration as Registration | undefined
    }
  }
})

/** Decodes the auth payload and asks the middlewares. */
const authenticate = (
  namespace: NamespaceRuntime,
  socket: SocketRuntime,
  registration: Registration
): Effect.Effect<unknown> => {
  const { context, contract } = registration
  socket.contract = contract
  if (keepsRawAuth(contract)) socket.auth = socket.rawAuth
  else {
    const auth = contract.auth.decode(socket.rawAuth)
    if (auth._tag === "Failure") return refuseAuth(socket, auth)
    socket.auth = auth.value
  }
  const { middlewares } = contract
  if (middlewares.length === 0) return enter(namespace, socket, registration, context)
  return whenDone(runMiddlewares(socket, middlewares, context, context, 0), (exit) => {
    if (exit._tag === "Failure") return exit
    return exit.value === undefined ? Effect.void : enter(namespace, socket, registration, exit.value)
  })
}

/** The client is authenticated: its namespace opens now, if it is not open. */
const enter = (
  namespace: NamespaceRuntime,
  socket: SocketRuntime,
  registration: Registration,
  context: Context.Context<any>
): Effect.Effect<unknown> => {
  if (!isStillServed(namespace, socket, registration)) return Effect.void
  if (registration.build !== undefined) return prepare(namespace, socket, registration, registration.build, context)
  if (namespace.instance === undefined) socket.connection.onOpening()
  return Effect.flatMap((namespace.group as DynamicNamespaces).open(namespace), (opened) => {
    if (!isStillServed(namespace, socket, registration)) return Effect.void
    if (typeof opened === "function") return prepare(namespace, socket, registration, opened, context)
    const { data, message }: { readonly message: string; readonly data?: unknown } = opened ?? {
      message: "Internal error"
    }
    return Effect.sync(() => socket.refuse(message, data))
  })
}

/** Waits for what the admission needs of other servers, if it needs anything. */
const prepare = (
  namespace: NamespaceRuntime,
  socket: SocketRuntime,
  registration: Registration,
  make: Build,
  context: Context.Context<any>
): Effect.Effect<unknown> => {
  const prepared = namespace.recovery?.prepare(socket)
  if (prepared === undefined) return build(namespace, socket, make, context)
  return Effect.flatMap(prepared, () =>
    isStillServed(namespace, socket, registration) ? build(namespace, socket, make, context) : Effect.void
  )
}

/** Admits the client and builds its handlers. */
const build = (
  namespace: NamespaceRuntime,
  socket: SocketRuntime,
  make: Build,
  context: Context.Context<any>
): Effect.Effect<unknown> => {
  namespace.arrivals.settle(socket)
  socket.admit()
  // The end of its connection may have been noticed only by sending.
  if (!socket.isConnected) return Effect.void
  const own = socket.enterContext(context)
  const handlers = Effect.suspend(() => make(viewOf(socket, socket.contract!.untyped)))
  // It replaces the existing context, as the context of the handlers does.
  const built = own === undefined ? handlers : Effect.updateContext(handlers, () => own)
  return Effect.map(built as Effect.Effect<HandlerRecord | void>, (handlers) => {
    const streams = namespace.registration?.streams
    namespace.recovery?.onBuilt(socket)
    socket.setReady(streams?.handlersOf(socket, handlers ?? {}) ?? handlers ?? undefined)
    // A builder may have disconnected its own socket.
    if (socket.isConnected) namespace.onReady(socket)
  })
}

/**
 * Runs the middlewares. Returns the context of the socket's handlers if all of them admit it. Most
 * middlewares decide at once: then there is no fiber, whatever they decide.
 */
const runMiddlewares = (
  socket: SocketRuntime,
  middlewares: CompiledContract["middlewares"],
  own: Context.Context<any>,
  context: Context.Context<any>,
  at: number
): Effect.Effect<Context.Context<any> | undefined> => {
  const middleware = middlewares[at]
  if (middleware === undefined) return Exit.succeed(context)
  const { auth: codec, error, service } = middleware
  const auth = codec.decode(socket.rawAuth)
  if (auth._tag === "Failure") return refuseAuth(socket, auth)
  const { handshake, id, namespace } = socket
  const { options, wallNow } = socket.connection.environment
  const made = new Decision(wallNow, options.authTolerance)
  const request = { id, namespace: namespace.name, handshake, auth: auth.value, expires: made.expires }
  const decision = makeEffect(() => Context.getUnsafe(own, service)(request) as Effect.Effect<unknown, unknown>)
  return whenDone(decision, (exit) => {
    if (exit._tag === "Success") {
      const end = made.make()
      if (Rights.concerns(middleware, end)) {
        ;(socket.rights ??= new Rights(socket, own)).grant(middleware, exit.value, end)
      }
      const next = service.provides === undefined ? context : Context.add(context, service.provides, exit.value)
      return runMiddlewares(socket, middlewares, own, next, at + 1)
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

/** Makes an effect with a function of the application, which may throw. */
const makeEffect = <A, E>(make: () => Effect.Effect<A, E>): Effect.Effect<A, E> => {
  try {
    return make()
  } catch (defect) {
    return Exit.die(defect)
  }
}

/** Goes on when an effect ends: at once, if it has ended already. */
const whenDone = <A, E, B>(
  effect: Effect.Effect<A, E>,
  goOn: (exit: Exit.Exit<A, E>) => Effect.Effect<B>
): Effect.Effect<B> =>
  Exit.isExit(effect) ? goOn(effect as Exit.Exit<A, E>) : Effect.flatMap(Effect.exit(effect), goOn)

/**
 * Whether the client and its layer are still there. Either may have left while middleware ran, or
 * while the namespace opened. A client that moves to another server asks there.
 */
const isStillServed = (namespace: NamespaceRuntime, socket: SocketRuntime, registration: Registration): boolean => {
  const { connection } = socket
  if (!socket.isConnecting || !connection.session.isOpen || connection.isSilent) return false
  if (namespace.registration === registration) return true
  // A refusal would be final. After a lost connection clients come back.
  connection.session.closeUnsafe("server shutting down")
  return false
}

const refuseAuth = (
  socket: SocketRuntime,
  exit: Exit.Failure<unknown, Schema.SchemaError>
): Effect.Effect<undefined> => {
  const { connection } = socket
  const { observer } = connection.environment
  // A description may be long, and costs more than everything else.
  if (observer.debugs("namespace")) {
    const annotations = { description: describe(exit), ...socket.annotations }
    observer.debug("namespace", "auth payload refused", annotations, connection)
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
