/**
 * Events that are answered with a stream, which survives its connection: the server keeps what the
 * stream has given, and clients read it from any position, as often as they like.
 *
 * **Details**
 *
 * A stream event is a group of plain events, so that every Socket.IO client can use it, in any
 * language. For the name `answer`:
 *
 * | event | arguments | acknowledgement |
 * |---|---|---|
 * | `answer` | the payload | `{ stream }`, the id of the stream |
 * | `answer:read` | `{ stream, after, window? }` | `{ gone, from }`; `answer:items` follow |
 * | `answer:items`, of the server | `{ stream, from, values, end? }` | |
 * | `answer:find` | a key | the id of the stream that runs, or `null` |
 * | `answer:stop` | `{ stream }` | `{ gone }` |
 * | `answer:ack` | `{ stream, at }` | |
 *
 * - A reader counts the values that it has read; that is its position, and `after` of the next
 *   `answer:read`. After an outage it reads again, from its position.
 * - `from` of the items is the position of their first value. Values before its own position a
 *   reader skips. If `from` is larger than its position, it has missed values: it reads again.
 * - `gone: true` says that there is no such stream, or no longer, or not for this client. If `from`
 *   of that answer is larger than `after`, the server has dropped the values in between.
 * - The items with an `end` are the last ones. See `StreamWire.End` for the ways in which a stream
 *   ends.
 * - With a `window` the server sends no more than that many values beyond the last `answer:ack`. A
 *   reader that wants no more of a stream reads with the window 0.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"

import * as Event from "./Event.ts"
import type * as Once from "./Once.ts"
import type { EventRateLimit } from "./RateLimit.ts"
import * as StreamWire from "./StreamWire.ts"

/**
 * The part of a stream event that servers read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Declaration<out Item extends Event.AnySchema, out E extends Event.AnySchema> {
  readonly item: Item
  readonly error: E
  readonly hasError: boolean
  readonly idle: Duration.Input | undefined
  readonly key: ((payload: any) => string) | undefined
  readonly owner: Options<any, any, any>["owner"]
}

/**
 * The event that starts a stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartEvent<
  in out Name extends string,
  out Payload extends Event.AnySchema,
  out Item extends Event.AnySchema,
  out E extends Event.AnySchema,
  out OnceOptions extends Once.Options | undefined = Once.Options | undefined
> extends Event.Event<Name, Payload, typeof StreamWire.Started, Schema.Never, OnceOptions> {
  readonly stream: Declaration<Item, E>
}

/**
 * One of the events that belong to a stream event. The server handles it.
 *
 * @since 0.1.0
 * @category models
 */
export interface PartEvent<
  in out Name extends string,
  out Payload extends Event.AnySchema,
  out Ack extends Event.AnySchema
> extends Event.Event<Name, Payload, Ack, Schema.Never> {
  /** The name of the stream event. */
  readonly streamOf: string
}

/**
 * A stream event: the events of both directions, which `Namespace.make(…).add(…)` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamEvent<
  in out Name extends string,
  out Payload extends Event.AnySchema,
  out Item extends Event.AnySchema,
  out E extends Event.AnySchema,
  out OnceOptions extends Once.Options | undefined = Once.Options | undefined
> {
  readonly name: Name
  readonly clientToServer: readonly [
    StartEvent<Name, Payload, Item, E, OnceOptions>,
    PartEvent<`${Name}:read`, typeof StreamWire.Read, typeof StreamWire.Reading>,
    PartEvent<`${Name}:find`, typeof StreamWire.Key, typeof StreamWire.Found>,
    PartEvent<`${Name}:stop`, typeof StreamWire.Stop, typeof StreamWire.Stopping>,
    PartEvent<`${Name}:ack`, typeof StreamWire.Progress, Schema.Never>
  ]
  readonly serverToClient: readonly [PartEvent<`${Name}:items`, StreamWire.ItemsSchema<Item, E>, Schema.Never>]
}

/**
 * A client's wish to read or to stop a stream, as an application's rule sees it. A client that asks
 * for the stream of a key wants to read it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Access {
  readonly action: "read" | "stop"
  /** The stream's owner and key, as the event declares them. */
  readonly owner: string | undefined
  readonly key: string | undefined
}

/**
 * A handler with a rule that says which clients may read or stop its streams. The rule replaces
 * that of the owner: see {@link Options}. It runs in the context of the socket that asks, so it
 * sees that socket's services.
 *
 * **Gotchas**
 *
 * It is not asked when a stream starts: `stream` fails for clients that may start none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Guarded<Payload, Item, E> {
  readonly stream: (payload: Payload) => Stream.Stream<Item, E, any>
  readonly allow: (access: Access) => Effect.Effect<boolean, never, any>
}

/**
 * The handler of a stream event.
 *
 * **Details**
 *
 * The stream runs in a scope of its own: the end of its socket does not end it, and the `Scope` of
 * its context is its own. It ends by itself, when a client stops it, when nobody reads it for its
 * `idle` time, or with the layer of its namespace; all but the first interrupt it. It has the
 * services of the socket that has started it.
 *
 * **Gotchas**
 *
 * The socket may have left: a stream that uses it sees a socket that is not connected. A dynamic
 * namespace may have closed, too, and with it the scope in which it was opened.
 *
 * @since 0.1.0
 * @category models
 */
export type Handler<Payload, Item, E> = ((payload: Payload) => Stream.Stream<Item, E, any>) | Guarded<Payload, Item, E>

/**
 * Options of a stream event.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Payload, Item, E, OnceOptions = unknown> {
  /** A value of the stream. */
  readonly item: Item
  /** The failures of the stream. Default: none. */
  readonly error?: E
  /**
   * The key of a stream, from its payload: a client that asks with the key of a stream that runs
   * gets that one, and none is started. It has 1 to 256 characters, and from 16 on if there is
   * neither an `owner` nor a rule (see {@link Guarded}): then all clients share the keys, which
   * must be hard to guess. Default: every event starts a stream, and none is found by a key.
   */
  key?(payload: Payload): string
  /**
   * The owner of the stream, from the socket and its services, as 1 to 256 characters. Streams of
   * another owner are not found, read or stopped. Default: a client that knows the id of a stream,
   * or its key, may read and stop it.
   */
  owner?(socket: Once.OwnerSocket, services: Context.Context<never>): string
  /**
   * The time without a reader after which the server stops a stream. `Infinity` stands for no
   * limit. Default: 5 minutes.
   */
  readonly idle?: Duration.Input
  /** The rate at which the client of one socket may start streams. Default: no limit. */
  readonly rateLimit?: EventRateLimit
  /** Whether a message starts one stream, however often its client sends it; see `Once.Options`. */
  readonly once?: Once.Options<Payload> & Once.Given<OnceOptions>
  /** The purpose of the event. CommonMark is allowed. */
  readonly description?: string
  /** Whether new programs should not use the event. Default: false. */
  readonly deprecated?: boolean
  /** Examples of the payload, for documentation. */
  readonly examples?: ReadonlyArray<Payload>
}

/** The types of the events are those of the result. */
const declare = Event.make as (name: string, options: object) => Event.Any

/**
 * Declares an event that is answered with a stream. `add` takes it into a contract.
 *
 * Throws as `Event.make` does: if the name is reserved. A `rateLimit` that is no rate is a defect
 * of the layer that serves the namespace.
 *
 * **Details**
 *
 * The handler returns a `Stream`; see {@link Handler}. The server keeps its values in a
 * `StreamLog`, within bounds: in memory by default. This library's clients read it with
 * `SocketStream`, others with the events above.
 *
 * **Example** (Answers of a model, one at a time for each chat)
 *
 * ```ts
 * const Answer = StreamEvent.make("answer", {
 *   payload: { chat: Schema.String, prompt: Schema.String },
 *   item: Schema.String,
 *   error: ModelFailed,
 *   key: ({ chat }) => chat,
 *   owner: (socket: Once.OwnerSocket<{ readonly user: string }>) => socket.auth.user
 * })
 *
 * class Chat extends Namespace.make("/chat", { auth: User }).add(Answer) {}
 *
 * const ChatLive = SocketIoServer.layerNamespace(Chat, () =>
 *   Effect.succeed(Chat.of({ answer: ({ prompt }) => askModel(prompt) })))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  /**
   * Declares an event that is answered with a stream. Throws if the name is reserved by the
   * protocol.
   */
  <
    const Name extends string,
    Payload extends Event.AnySchema | Event.Fields,
    Item extends Event.AnySchema,
    E extends Event.AnySchema = Schema.Never,
    OnceOptions = unknown
  >(
    name: Name,
    options: Options<Event.PayloadOf<Payload>["Type"], Item, E, OnceOptions> & { readonly payload: Payload }
  ): StreamEvent<Name, Event.PayloadOf<Payload>, Item, E, Once.Of<NoInfer<OnceOptions>>>
  /**
   * Declares an event without a payload that is answered with a stream. Throws if the name is
   * reserved by the protocol.
   */
  <
    const Name extends string,
    Item extends Event.AnySchema,
    E extends Event.AnySchema = Schema.Never,
    OnceOptions = unknown
  >(
    name: Name,
    options: Options<void, Item, E, OnceOptions> & { readonly payload?: never }
  ): StreamEvent<Name, Schema.Void, Item, E, Once.Of<NoInfer<OnceOptions>>>
} = (
  name: string,
  {
    description,
    error,
    idle,
    item,
    key,
    owner,
    ...options
  }: Options<any, Event.AnySchema, Event.AnySchema> & { readonly payload?: Event.AnySchema | Event.Fields }
): any => {
  // The overloads say what it is: nothing here knows which of them was called.
  const stream: Declaration<Event.AnySchema, Event.AnySchema> = {
    item,
    error: error ?? Schema.Never,
    hasError: error !== undefined,
    idle,
    key,
    owner
  }
  const described = `Answered with a stream: its values come as \`${name}:items\`, once \`${name}:read\` asks for them.`
  const start = declare(name, {
    ...options,
    ack: StreamWire.Started,
    description: description === undefined ? described : `${description}\n\n${described}`
  })
  const part = (suffix: string, description: string, options: object) =>
    Object.assign(declare(`${name}:${suffix}`, { ...options, description }), { streamOf: name })
  const Items = Schema.Struct({
    stream: Schema.String,
    from: Schema.Int,
    values: Schema.Array(item),
    end: Schema.optionalKey(StreamWire.endSchema(error))
  })
  return {
    name,
    clientToServer: [
      Object.assign(start, { stream }),
      part("read", `Reads a stream of \`${name}\` from a position on.`, {
        payload: StreamWire.Read,
        ack: StreamWire.Reading
      }),
      part("find", `Finds the stream of \`${name}\` with a key that runs.`, {
        payload: StreamWire.Key,
        ack: StreamWire.Found
      }),
      part("stop", `Stops a stream of \`${name}\`.`, { payload: StreamWire.Stop, ack: StreamWire.Stopping }),
      part("ack", `Tells how far a reader of \`${name}\` with a window has read.`, { payload: StreamWire.Progress })
    ],
    serverToClient: [part("items", `Values of a stream of \`${name}\`.`, { payload: Items, recover: false })]
  }
}

/**
 * Whether an event starts a stream.
 *
 * @since 0.1.0
 * @category guards
 */
export const isStart = (event: Event.Any): event is StartEvent<any, any, any, any> =>
  Predicate.hasProperty(event, "stream")
