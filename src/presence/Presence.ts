/**
 * The members of the rooms of a namespace, on all servers: a service with typed metadata.
 *
 * Clients are told in the form of Phoenix: `presence_state` and `presence_diff`. Its reducers in
 * the npm package `phoenix` understand them, and those of `PresenceList`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import * as OptionReaders from "../engine/OptionReaders.ts"
import { RandomBytes } from "../engine/SessionId.ts"
import * as Event from "../Event.ts"
import { compile } from "../internal/compileContract.ts"
import type * as Namespace from "../Namespace.ts"
import * as SocketIoServer from "../server/SocketIoServer.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { makeRuntime, type Resolved } from "./internal/runtime.ts"
import type { PresenceShape } from "./PresenceModel.ts"

/**
 * The schema of the metadata: a struct, whose fields the others see beside `phx_ref`.
 *
 * @since 0.1.0
 * @category models
 */
export type MetaSchema = Schema.Struct<{ readonly [key: string]: Event.AnySchema }> & Event.AnySchema

/**
 * The declaration of a presence.
 *
 * @since 0.1.0
 * @category options
 */
export interface Declaration<Meta extends MetaSchema, Name extends string> {
  readonly meta: Meta
  /**
   * The beginning of the names of its two events, `presence_state` and `presence_diff` by default:
   * two presences of one namespace need different ones.
   */
  readonly event?: Name
}

/**
 * A presence: the key of its service, and the contract of its events.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceClass<
  in out Self,
  in out Id extends string,
  in out Meta extends MetaSchema,
  out Name extends string
> extends Context.ServiceClass<Self, Id, PresenceShape<Meta["Type"]>> {
  readonly meta: Meta
  readonly event: Name
}

/**
 * Declares a presence. Extend it as a class, beside the contract of its namespace: it imports
 * nothing of the server before its {@link layer} is used.
 *
 * Throws if the metadata have a field `phx_ref` or `phx_ref_prev`.
 *
 * **Example** (A presence and its namespace)
 *
 * ```ts
 * class Online extends Presence.Service<Online>()("app/Online", {
 *   meta: Schema.Struct({ status: Schema.Literals(["active", "away"]) })
 * }) {}
 *
 * class Chat extends Namespace.make("/chat", {
 *   clientToServer: [Event.make("status", { payload: Schema.Literals(["active", "away"]) })],
 *   serverToClient: [...Presence.events(Online)]
 * }) {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service =
  <Self>() =>
  <const Id extends string, Meta extends MetaSchema, const Name extends string = "presence">(
    id: Id,
    { event, meta }: Declaration<Meta, Name>
  ): ServiceClass<Self, Id, Meta, Name> => {
    for (const field of ["phx_ref", "phx_ref_prev"]) {
      if (Object.hasOwn(meta.fields, field)) throw new Error(`presence "${id}": the field "${field}" is reserved`)
    }
    return Object.assign(Context.Service<Self, PresenceShape<Meta["Type"]>>()(id), {
      meta,
      // The default of the type is that of the value.
      event: (event ?? "presence") as Name
    })
  }

/**
 * The schema of a key's connections on the wire: their metadata, each with the reference `phx_ref`
 * of this version, and with `phx_ref_prev`, that of the version before, where it was updated.
 *
 * @since 0.1.0
 * @category models
 */
export type MetasSchema<Meta extends MetaSchema> = Schema.$Record<
  Schema.String,
  Schema.Struct<{
    readonly metas: Schema.$Array<
      Schema.Struct<
        Meta["fields"] & { readonly phx_ref: Schema.String; readonly phx_ref_prev: Schema.optionalKey<Schema.String> }
      >
    >
  }>
>

/**
 * The two events of a presence. Each has two arguments: the state or the difference, and the room.
 *
 * @since 0.1.0
 * @category models
 */
export type Events<Meta extends MetaSchema, Name extends string> = readonly [
  Event.Event<
    `${Name}_state`,
    Event.ArgsSchema<readonly [MetasSchema<Meta>, Schema.String]>,
    Schema.Never,
    Schema.Never
  >,
  Event.Event<
    `${Name}_diff`,
    Event.ArgsSchema<
      readonly [Schema.Struct<{ readonly joins: MetasSchema<Meta>; readonly leaves: MetasSchema<Meta> }>, Schema.String]
    >,
    Schema.Never,
    Schema.Never
  >
]

/**
 * The events that tell clients who is present, for `serverToClient` of the namespace. Clients of a
 * contract without them are told nothing.
 *
 * **Details**
 *
 * `presence_state` has all members of a room by key, and comes once, when the socket is tracked or
 * watches. `presence_diff` has those who joined and left since then, at most one in a period. Where
 * `recovery` is on, a client that comes back needs a state, too: its builder tracks or watches
 * again. The differences that it has missed come before that, but not where servers share a log.
 *
 * **Example** (The official client, with the reducers of `phoenix`)
 *
 * ```ts
 * import { Presence } from "phoenix"
 *
 * let here = {}
 * socket.on("presence_state", (state) => (here = Presence.syncState(here, state)))
 * socket.on("presence_diff", (diff) => (here = Presence.syncDiff(here, diff)))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const events = <Meta extends MetaSchema, Name extends string>({
  event,
  meta
}: {
  readonly meta: Meta
  readonly event: Name
}): Events<Meta, Name> => {
  const members = Schema.Record(
    Schema.String,
    Schema.Struct({
      metas: Schema.Array(
        Schema.Struct({
          ...meta.fields,
          phx_ref: Schema.String,
          phx_ref_prev: Schema.optionalKey(Schema.String)
        })
      )
    })
  )
  // It may be large, and a client that comes back gets another one.
  const state = Event.make(`${event}_state`, { args: [members, Schema.String], recover: false })
  const diff = Event.make(`${event}_diff`, {
    args: [Schema.Struct({ joins: members, leaves: members }), Schema.String]
  })
  // The fields are those of a type parameter: TypeScript does not follow them.
  return [state, diff] as unknown as Events<Meta, Name>
}

/**
 * Options of a presence's layer.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * The namespace of its sockets, or the name of one whose events are not declared. Not a dynamic
   * one.
   */
  readonly namespace: Namespace.Static | string
  /**
   * The time between two differences of a room, for clients and readers, and between two signs of
   * life for other servers. The first join or update after a quiet period is told at once, and the
   * first leave after a period. Default: 1.5 seconds.
   */
  readonly period?: Duration.Input
  /**
   * A server that is silent for so long is down: its members are reported as left, until it is
   * heard again. At least twice the period. Default: 10 seconds.
   */
  readonly down?: Duration.Input
  /** A server that is silent for so long is forgotten with its members. Default: 20 minutes. */
  readonly forget?: Duration.Input
  /**
   * For so long a member stays whose connection is lost, unless its key comes back with another
   * connection. The time counts from the moment in which the server notices the loss, which may
   * take a ping timeout. A client that leaves by itself leaves at once. Default: 0.
   */
  readonly linger?: Duration.Input
  /** The members of one room, on all servers. Default: 10,000. */
  readonly maxMembers?: number
  /** The members of all rooms and all servers that this server keeps. Default: 100,000. */
  readonly maxTotal?: number
  /** The members that one socket may be, and that it may begin in a period. Default: 100. */
  readonly maxPerSocket?: number
  /**
   * The memory that room, key and encoded metadata of a member may take, in bytes. Default: 1,024.
   */
  readonly maxBytes?: number
}

const names: OptionReaders.Names<Options> = {
  namespace: true,
  period: true,
  down: true,
  forget: true,
  linger: true,
  maxMembers: true,
  maxTotal: true,
  maxPerSocket: true,
  maxBytes: true
}

// A plain function, so that contracts for pages do without it.
const resolve = (
  service: { readonly key: string; readonly meta: MetaSchema; readonly event: string },
  options: Options
): Effect.Effect<Resolved, InvalidOptionError> =>
  Effect.gen(function* () {
    yield* OptionReaders.group("", options, names)
    const { namespace } = options
    const period = yield* OptionReaders.millis("period", options.period, 1_500, 1)
    const down = yield* OptionReaders.millis("down", options.down, Math.max(10_000, 2 * period), 2 * period)
    const codec = compile(service.meta)
    const read: Resolved["read"] = (value) => {
      const decoded = codec.decode(value)
      if (decoded._tag === "Failure") return undefined
      const encoded = codec.encode(decoded.value)
      // A struct is encoded as an object.
      return encoded._tag === "Failure" ? undefined : { meta: decoded.value, encoded: encoded.value as {} }
    }
    return {
      name: service.key,
      event: service.event,
      tellsClients:
        typeof namespace === "string" || namespace.untyped || namespace.serverToClient.has(`${service.event}_diff`),
      period,
      down,
      forget: yield* OptionReaders.millis("forget", options.forget, Math.max(1_200_000, down), down),
      linger: yield* OptionReaders.millis("linger", options.linger, 0, 0),
      maxMembers: yield* OptionReaders.integer("maxMembers", options.maxMembers, 10_000, 1),
      maxTotal: yield* OptionReaders.integer("maxTotal", options.maxTotal, 100_000, 1),
      maxPerSocket: yield* OptionReaders.integer("maxPerSocket", options.maxPerSocket, 100, 1),
      maxBytes: yield* OptionReaders.integer("maxBytes", options.maxBytes, 1_024, 1),
      encode: (meta) => {
        const exit = codec.encode(meta)
        if (exit._tag === "Failure") throw new Error(`presence "${service.key}": the schema refuses the metadata`)
        return { meta, encoded: exit.value as {} }
      },
      read
    }
  })

/** The events of the presences that run, by their servers. */
const taken = new WeakMap<object, Set<string>>()

/**
 * Takes the names of two events in a namespace until the scope closes. Clients could not tell two
 * presences apart.
 */
const take = (server: object, namespace: string, event: string): Effect.Effect<void, never, Scope.Scope> => {
  const name = `${namespace} ${event}`
  return Effect.acquireRelease(
    Effect.suspend(() => {
      const names = taken.get(server) ?? new Set()
      if (names.has(name)) return Effect.die(new Error(`two presences send "${event}_state" in "${namespace}"`))
      taken.set(server, names.add(name))
      return Effect.void
    }),
    () => Effect.sync(() => taken.get(server)?.delete(name))
  )
}

/** Unique among all starts of all servers: 96 bits. */
const newId = (fill: (bytes: Uint8Array<ArrayBuffer>) => void): string => {
  const bytes = new Uint8Array(12)
  fill(bytes)
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
}

/**
 * Runs a presence for a namespace, below the layer of the namespace.
 *
 * **Details**
 *
 * Fails with `InvalidOptionError` on an option that makes no sense. On several servers, all of them
 * run it with the same options, and an adapter for a cluster. Each server decides about the members
 * of its own sockets, and tells the others. When the layer's scope closes, the others are told that
 * its members have left, and streams of changes end. A server that dies without a word is noticed
 * after `down`.
 *
 * **Gotchas**
 *
 * A member leaves as soon as its connection is noticed as lost, also where `recovery` is on: the
 * builder of the socket that comes back tracks it again. If that takes less than a period, clients
 * usually get one difference with the leave and the join, so that the key was never absent.
 * `linger` makes sure of it.
 *
 * A call makes a layer of its own. Keep it in a constant where several layers need the presence:
 * two of them for the same events of a namespace are a defect.
 *
 * **Example** (A namespace with its presence)
 *
 * ```ts
 * const ChatLive = SocketIoServer.layerNamespace(Chat, Effect.fnUntraced(function*(socket) {
 *   const online = yield* Online
 *   const member = { room: "lobby", key: socket.auth.name, meta: { status: "active" as const } }
 *   const { update } = yield* Effect.orDie(online.track(socket, member))
 *   return Chat.of({ status: (status) => Effect.orDie(update({ status })) })
 * }))
 *
 * const Main = ChatLive.pipe(
 *   Layer.provide(Presence.layer(Online, { namespace: Chat })),
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, Id extends string, Meta extends MetaSchema, Name extends string>(
  service: ServiceClass<Self, Id, Meta, Name>,
  options: Options
): Layer.Layer<Self, InvalidOptionError, SocketIoServer.SocketIoServer> =>
  Layer.effect(
    service,
    Effect.gen(function* () {
      const resolved = yield* resolve(service, options)
      const name = typeof options.namespace === "string" ? options.namespace : options.namespace._tag
      yield* take(yield* SocketIoServer.SocketIoServer, name, service.event)
      const io = yield* SocketIoServer.namespace(name)
      return yield* makeRuntime(io, resolved, newId(yield* RandomBytes))
    })
  )
