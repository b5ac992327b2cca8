import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Formatter from "effect/Formatter"
import { identity } from "effect/Function"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

import type { CompiledContract } from "../../internal/compileContract.ts"
import { formatName } from "../../internal/contractCodec.ts"
import { SESSION, type WithSessions } from "../../internal/socketSession.ts"
import type { StreamOptions } from "../../StreamOptions.ts"
import type { NamespaceHandle, NewsOverflow, SessionEnd } from "../NamespaceHandle.ts"
import type { ServerConnection } from "../ServerConnection.ts"
import type { Directory } from "./directory.ts"
import type { Emission } from "./emissions.ts"
import { encodingOf, untypedEncoding } from "./encoding.ts"
import { eventsOf } from "./namespaceEvents.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import type { SessionNews } from "./namespaceHubs.ts"
import { all, noFlags } from "./operator.ts"
import type { Reference, RunFork, Target } from "./ports.ts"
import { DynamicReference, StaticReference } from "./reference.ts"
import { viewOf } from "./views.ts"

const noRooms = (): ReadonlyMap<string, number> => new Map()

/** The id of the socket that a client has in a namespace; empty if it has none. */
const sidOf = (namespace: string, of: string | ServerConnection): Effect.Effect<string> =>
  typeof of === "string"
    ? Effect.succeed(of)
    : Effect.map(of.sockets, (sockets) => sockets.find((socket) => socket.namespace === namespace)?.id ?? "")

/** Logs a namespace by its name, without the server that it refers to. */
const inspected = (name: string): Inspectable.Inspectable => {
  const toJSON = () => ({ _id: "NamespaceHandle", name })
  return { toJSON, toString: () => Formatter.format(toJSON()), [Inspectable.NodeInspectSymbol]: toJSON }
}

const ended = (news: SessionNews): SessionEnd | undefined => (news.reason === "lost" ? undefined : news)

/** A namespace in the form that the application uses; contracts only narrow its type. */
const makeHandle = (
  name: string,
  reference: Reference<NamespaceRuntime>,
  target: Target,
  isUntyped: boolean
): NamespaceHandle<any> => {
  const everything = all(target)
  const codec = ({ serverEvents }: NamespaceRuntime, event: string) =>
    isUntyped ? undefined : serverEvents.codec(event)
  const news = <A, E>(read: (namespace: NamespaceRuntime) => Stream.Stream<A, E>): Stream.Stream<A, E> =>
    Stream.suspend(() => reference.watch(read))
  const broadcast = (emission: Emission): any => {
    const { data, selection } = emission
    const received = target.encoding.received(emission)
    if (received === undefined) return undefined
    const content = isUntyped ? { args: received.payload } : received
    return { event: data[0], ...content, rooms: selection.rooms, except: selection.except }
  }
  const sessions: WithSessions = {
    // As many as there are may end at once, and each counts.
    [SESSION]: (pick) =>
      news(({ hubs }) => hubs.sessionEnds.stream("sessions", { capacity: Infinity }, ({ sid }) => pick(sid))).pipe(
        Stream.orDie
      )
  }
  return {
    ...inspected(name),
    ...sessions,
    name,
    sockets: Effect.sync(() =>
      Array.from(reference.current?.sockets.values() ?? [], (socket) => viewOf(socket, isUntyped))
    ),
    socket: (of) =>
      Effect.map(sidOf(name, of), (sid) => {
        const socket = reference.current?.sockets.get(sid)
        return socket === undefined ? Option.none() : Option.some(viewOf(socket, isUntyped))
      }),
    rooms: Effect.suspend(() =>
      reference.current === undefined ? Effect.sync(noRooms) : reference.current.ask(noRooms(), ({ rooms }) => rooms)
    ),
    to: (rooms) => everything.to(rooms),
    in: (rooms) => everything.to(rooms),
    except: (rooms) => everything.except(rooms),
    all: everything,
    emit: (event, ...args) => everything.emit(event, ...args),
    emitWithAck: (event, ...args) => everything.emitWithAck(event, ...args),
    fetchSockets: everything.fetchSockets,
    socketsJoin: (rooms) => everything.socketsJoin(rooms),
    socketsLeave: (rooms) => everything.socketsLeave(rooms),
    disconnectSockets: (options) => everything.disconnectSockets(options),
    sink: (event) => everything.sink(event),
    pubsub: (event, options) => everything.pubsub(event, options),
    connections: (options) =>
      news(({ hubs }) => hubs.connections.stream("connections", options, (socket) => viewOf(socket, isUntyped))),
    disconnections: (options) => news(({ hubs }) => hubs.disconnections.stream("disconnections", options, identity)),
    sessionEnds: (options) => news(({ hubs }) => hubs.sessionEnds.stream("sessionEnds", options, ended)),
    roomChanges: (options) => news(({ hubs }) => hubs.rooms.stream("roomChanges", options, identity)),
    broadcasts: (options) => news(({ hubs }) => hubs.broadcasts.stream("broadcasts", options, broadcast)),
    events: (options) => news((namespace) => eventsOf(namespace, isUntyped, options)),
    serverSideEmit: (event, ...args) =>
      Effect.suspend(() =>
        reference.use((namespace) => namespace.serverEvents.emit(codec(namespace, event), event, args))
      ),
    serverSideEmitWithAck: (event, ...args) =>
      Stream.suspend(() =>
        reference.stream(
          // The contract says which failures there are.
          (namespace) => namespace.serverEvents.emitWithAck(codec(namespace, event), event, args) as Stream.Stream<any>
        )
      ),
    onServerSide: (event, handler) =>
      Effect.flatMap(reference.scoped, (namespace) =>
        Effect.acquireRelease(
          Effect.contextWith((context: Context.Context<any>) =>
            Effect.sync(() =>
              namespace.serverEvents.on(event, {
                run: Effect.runForkWith(context) as RunFork,
                codec: codec(namespace, event),
                handle: handler
              })
            )
          ),
          (remove) => Effect.sync(remove)
        )
      )
  }
}

/**
 * The handle of a namespace that is there: one for all, as every socket's builder may ask for it.
 */
export const handleOf = (namespace: NamespaceRuntime, isUntyped: boolean): NamespaceHandle<any> => {
  const { handles, name, target, untypedTarget } = namespace
  return isUntyped
    ? (handles.untyped ??= makeHandle(name, namespace, untypedTarget, true))
    : (handles.typed ??= makeHandle(name, namespace, target, false))
}

/**
 * The handle of a namespace by its name, with the contract that declares its events, if there is
 * one. Throws if its layer has a contract with other events.
 */
export const handleByName = (
  directory: Directory,
  name: string,
  contract: CompiledContract | undefined
): NamespaceHandle<any> => {
  const namespace = directory.get(name)
  if (contract !== undefined) namespace?.setContract(contract)
  if (namespace?.stays) return handleOf(namespace, contract === undefined)
  const reference = new StaticReference(directory, name, contract)
  return contract === undefined
    ? makeHandle(name, reference, { encoding: untypedEncoding, namespace: reference }, true)
    : makeHandle(name, reference, { encoding: encodingOf(contract), namespace: reference }, false)
}

/**
 * The handle of a namespace that is open, without its contract. That of a dynamic one keeps nothing
 * of it: its streams end when it closes.
 */
export const handleOfOpen = (directory: Directory, namespace: NamespaceRuntime): NamespaceHandle<any> => {
  if (namespace.stays) return handleOf(namespace, true)
  const reference = new DynamicReference(directory, namespace.name, undefined)
  return makeHandle(namespace.name, reference, { encoding: untypedEncoding, namespace: reference }, true)
}

/** All namespaces of a dynamic contract. */
export const makeDynamicHandles = (directory: Directory, contract: CompiledContract) => {
  const encoding = encodingOf(contract)
  const members = (): ReadonlyArray<NamespaceRuntime> => directory.dynamicOf(contract)?.members ?? []
  // By its name, as it may close and open anew while the application has its handle.
  const handle = (name: string, params: Readonly<Record<string, unknown>> | undefined) => {
    const reference = new DynamicReference(directory, name, contract)
    return { ...makeHandle(name, reference, { encoding, namespace: reference }, contract.untyped), params }
  }
  const handleTo = ({ group, name }: NamespaceRuntime) => handle(name, group?.params(name))
  return {
    pattern: contract.contract._tag,
    active: Effect.sync(() => members().map(handleTo)),
    openings: <O extends NewsOverflow>(options?: StreamOptions<O>) =>
      Stream.suspend(() => directory.lifecycleOf(contract).openings.stream("openings", options, handleTo)),
    closings: <O extends NewsOverflow>(options?: StreamOptions<O>) =>
      Stream.suspend(() => directory.lifecycleOf(contract).closings.stream("closings", options, handleTo)),
    get: (params: Readonly<Record<string, unknown>>) => handle(formatName(contract, params), params),
    emit: (event: string, ...args: ReadonlyArray<unknown>) =>
      Effect.suspend(() => {
        const packet = encoding.packet(event, args)
        return Effect.forEach(
          members(),
          (namespace) => namespace.broadcast(packet, { rooms: [], except: [] }, noFlags, encoding, args),
          { discard: true }
        )
      })
  }
}
