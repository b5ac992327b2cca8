import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

import { encodePayload, type EventCodec, formatName } from "../../internal/contractCodec.ts"
import type { PlainHandle } from "../NamespaceHandle.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { DynamicNamespaces } from "./dynamic.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import { MentionedNamespace, NamespaceByName, type NamespaceReference } from "./reference.ts"
import type { RunFork } from "./inbound.ts"
import { everybody, noFlags } from "./operator.ts"
import type { ServerRuntime } from "./server.ts"
import { type BroadcastTarget, ContractTarget, PlainTarget } from "./targets.ts"

/** A namespace, as the application sees it; contracts only narrow its type. */
export const makeHandle = (
  name: string,
  reference: NamespaceReference,
  target: BroadcastTarget,
  plain: boolean
): PlainHandle => {
  const all = everybody(target)
  const codec = ({ serverEvents }: NamespaceRuntime, event: string) => (plain ? undefined : serverEvents.codec(event))
  const told = <A>(stream: (home: NamespaceRuntime) => Stream.Stream<A>): Stream.Stream<A> =>
    Stream.suspend(() => reference.watch(stream))
  return {
    name,
    sockets: Effect.sync(() =>
      Array.from(reference.current?.sockets.values() ?? [], (socket) => (plain ? socket.plain : (socket as any)))
    ),
    socket: (sid) =>
      Effect.sync(() => {
        const socket = reference.current?.sockets.get(sid)
        if (socket === undefined) return Option.none()
        return Option.some(plain ? socket.plain : (socket as any))
      }),
    to: (rooms) => all.to(rooms),
    in: (rooms) => all.to(rooms),
    except: (rooms) => all.except(rooms),
    everybody: all,
    emit: (event, ...args) => all.emit(event, ...args),
    emitWithAck: (event, ...args) => all.emitWithAck(event, ...args),
    fetchSockets: () => all.fetchSockets(),
    socketsJoin: (rooms) => all.socketsJoin(rooms),
    socketsLeave: (rooms) => all.socketsLeave(rooms),
    disconnectSockets: (options) => all.disconnectSockets(options),
    connections: told(({ told }) =>
      Stream.map(told.connections.stream, (socket) => (plain ? socket.plain : (socket as any)))
    ),
    disconnections: told(({ told }) => told.disconnections.stream),
    roomChanges: told(({ told }) => told.rooms.stream),
    broadcasts: told(({ told }) => told.broadcasts.stream),
    serverSideEmit: (event, ...args) =>
      Effect.suspend(() => reference.use((home) => home.serverEvents.emit(codec(home, event), event, args))),
    serverSideEmitWithAck: (event, ...args) =>
      Stream.suspend(() =>
        // What it may fail with is the contract's to say.
        reference.stream((home) => home.serverEvents.emitWithAck(codec(home, event), event, args) as Stream.Stream<any>)
      ),
    onServerSide: (event, handler) =>
      Effect.flatMap(reference.scoped, (home) =>
        Effect.acquireRelease(
          Effect.contextWith((context: Context.Context<any>) =>
            Effect.sync(() =>
              home.serverEvents.on(event, {
                run: Effect.runForkWith(context) as RunFork,
                codec: codec(home, event),
                handle: handler
              })
            )
          ),
          (remove) => Effect.sync(remove)
        )
      )
  }
}

/** The handle of a namespace that is there: one for everybody, as every socket's builder may ask for it. */
export const handleOf = (home: NamespaceRuntime, plain: boolean): PlainHandle =>
  plain
    ? (home.handles.plain ??= makeHandle(home.name, home, home.plainTarget, true))
    : (home.handles.contract ??= makeHandle(home.name, home, home.contractTarget, false))

/** The handle of a namespace that the application knows by its name. */
export const handleByName = (
  server: ServerRuntime,
  name: string,
  contract: CompiledContract | undefined
): PlainHandle => {
  const home = server.get(name)
  if (home?.stays) {
    if (contract !== undefined) home.learn(contract)
    return handleOf(home, contract === undefined)
  }
  const reference = new MentionedNamespace(server, name, contract)
  if (contract === undefined) return makeHandle(name, reference, new PlainTarget(reference), true)
  const target = new ContractTarget(
    reference,
    (event) => outgoingOf(contract, event),
    () => contract.data
  )
  return makeHandle(name, reference, target, false)
}

/** The codec of an event that a contract sends to clients. */
const outgoingOf = (compiled: CompiledContract, event: string): EventCodec => {
  const codec = compiled.outgoing.get(event)
  if (codec !== undefined) return codec
  throw new Error(`"${event}" is not among the events that "${compiled.contract._tag}" sends to clients`)
}

/** All namespaces of a dynamic contract. */
export const makeDynamicHandles = (server: ServerRuntime, compiled: CompiledContract) => {
  const family = (): DynamicNamespaces | undefined => server.dynamicOf(compiled)
  const outgoing = (event: string) => outgoingOf(compiled, event)
  // By its name, as it may close and open anew while somebody has its handle.
  const handle = (name: string, params: Readonly<Record<string, unknown>> | undefined) => {
    const reference = new NamespaceByName(server, name, compiled)
    const target = new ContractTarget(reference, outgoing, () => compiled.data)
    return { ...makeHandle(name, reference, target, false), params }
  }
  const handleTo = ({ family, name }: NamespaceRuntime) => handle(name, family?.params(name))
  return {
    pattern: compiled.contract._tag,
    active: Effect.sync(() => Array.from(family()?.members ?? [], handleTo)),
    opened: Stream.suspend(() => Stream.map(server.livesOf(compiled).openings.stream, handleTo)),
    closed: Stream.suspend(() => Stream.map(server.livesOf(compiled).closings.stream, handleTo)),
    get: (params: Readonly<Record<string, unknown>>) => handle(formatName(compiled, params), params),
    emit: (event: string, ...args: ReadonlyArray<unknown>) =>
      Effect.suspend(() => {
        const codec = outgoing(event)
        const packet = { data: encodePayload(codec, args[0]), mayHaveBinary: codec.payload.mayHaveBinary }
        return Effect.forEach(
          Array.from(family()?.members ?? []),
          (home) => home.broadcast(packet, { rooms: [], except: [] }, noFlags),
          { discard: true }
        )
      })
  }
}
