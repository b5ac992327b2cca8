/**
 * RPC servers in a cluster over Redis, whose handlers end when a test says so, and clients whose connections can be cut.
 */
import * as Http from "node:http"
import { Deferred, Effect, Layer, Logger, Schedule, Schema, type Scope, Stream } from "effect"
import { Rpc, RpcClient, RpcGroup, RpcServer } from "effect/rpc"
import { createClient } from "redis"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import * as SocketIoRpcClient from "../../src/rpc/SocketIoRpcClient.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import type { RecoveryOptions } from "../../src/server/RecoveryOptions.ts"
import { listen } from "../support/serve.ts"
import { Relay } from "../recovery/relay.ts"

export class Group extends RpcGroup.make(
  Rpc.make("Where", { success: Schema.String }),
  Rpc.make("Text", { payload: { n: Schema.Int, length: Schema.Int }, success: Schema.String }),
  Rpc.make("Texts", { payload: { lengths: Schema.Array(Schema.Int) }, success: Schema.String, stream: true }),
  Rpc.make("Ask", { payload: { n: Schema.Int }, success: Schema.Int }),
  Rpc.make("Numbers", { payload: { n: Schema.Int, count: Schema.Int }, success: Schema.Int, stream: true })
) {}

export type Calls = RpcClient.FromGroup<typeof Group, any>

export type AdapterKind = "classic" | "streams"

/** The largest message between servers, in bytes. */
export const MAX_MESSAGE_BYTES = 1_000_000

/** Nothing listens there. */
const NOWHERE = 1

export interface Server {
  readonly name: string
  readonly port: number
}

/** What has happened to the requests, as `number@server`. */
export interface Seen {
  readonly begun: Array<string>
  readonly interrupted: Array<string>
}

/** The servers of one test, each with its own connections to Redis. */
export class RpcCluster {
  readonly seen: Seen = { begun: [], interrupted: [] }
  private readonly kind: AdapterKind
  private readonly url: string
  private readonly prefix: string
  private readonly gates = new Map<number, Deferred.Deferred<void>>()

  constructor(kind: AdapterKind, url: string, prefix: string) {
    this.kind = kind
    this.url = url
    this.prefix = prefix
  }

  private gate(n: number): Deferred.Deferred<void> {
    let gate = this.gates.get(n)
    if (gate === undefined) this.gates.set(n, (gate = Deferred.makeUnsafe<void>()))
    return gate
  }

  /** Lets the handlers of a request go on. */
  answer(n: number): Effect.Effect<unknown> {
    return Deferred.succeed(this.gate(n), undefined)
  }

  private get adapter() {
    const redis = Layer.effect(RedisClient.RedisClient, RedisClient.fromNodeRedis(createClient({ url: this.url })))
    const adapter =
      this.kind === "classic"
        ? RedisAdapter.layer({ key: this.prefix, maxMessageBytes: MAX_MESSAGE_BYTES })
        : RedisStreamsAdapter.layer({ streamName: this.prefix, maxMessageBytes: MAX_MESSAGE_BYTES })
    return Layer.provide(adapter, redis)
  }

  start(
    name: string,
    recovery: RecoveryOptions = {},
    rpc: SocketIoRpcServer.ServerOptions = {}
  ): Effect.Effect<Server, unknown, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const { begun, interrupted } = this.seen
      const follow = (n: number) => Effect.sync(() => void begun.push(`${n}@${name}`))
      const onInterrupt = (n: number) => Effect.sync(() => void interrupted.push(`${n}@${name}`))
      const handlers = Group.toLayer({
        Where: () => Effect.succeed(name),
        Text: ({ length, n }) => Effect.as(Effect.andThen(follow(n), Deferred.await(this.gate(n))), "x".repeat(length)),
        Texts: ({ lengths }) => Stream.map(Stream.fromIterable(lengths), (length) => "x".repeat(length)),
        Ask: ({ n }) =>
          follow(n).pipe(
            Effect.andThen(Deferred.await(this.gate(n))),
            Effect.as(n),
            Effect.onInterrupt(() => onInterrupt(n))
          ),
        // The second half waits.
        Numbers: ({ count, n }) =>
          Stream.unwrap(
            Effect.as(
              follow(n),
              Stream.range(1, count).pipe(
                Stream.rechunk(1),
                Stream.tap((i) => (i * 2 > count ? Deferred.await(this.gate(n)) : Effect.void)),
                Stream.onExit((exit) => (exit._tag === "Failure" ? onInterrupt(n) : Effect.void))
              )
            )
          )
      })
      const http = Http.createServer()
      const url = yield* listen(http)
      yield* Layer.build(
        RpcServer.layer(Group).pipe(
          Layer.provide(handlers),
          Layer.provide(SocketIoRpcServer.layerProtocol("/rpc", rpc)),
          Layer.provide(NodeSocketIoServer.layerAttached(http, { recovery, drainTimeout: "1 second" })),
          Layer.provide(Layer.fresh(this.adapter)),
          Layer.provide(Logger.layer([]))
        )
      )
      return { name, port: Number(new URL(url).port) }
    })
  }
}

/** A client that can be cut off, and that comes back to any server. */
export interface RpcPeer {
  readonly calls: Calls
  /** Whether its last connection was recovered. */
  readonly recovered: () => boolean
  readonly connected: () => boolean
  /**
   * Cuts its connection, and refuses others. With `stall` the server is not told until the scope closes, nor hears what is on its way.
   */
  readonly cut: (how?: "reset" | "stall") => Effect.Effect<void>
  /** Nothing more reaches the client. */
  readonly deafen: Effect.Effect<void>
  /** Lets it come back to a server; gives whether it was recovered. */
  readonly back: (server: Server) => Effect.Effect<boolean>
}

/** Waits for what must come. */
export const eventually = (what: string, holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.fail(what))).pipe(
    Effect.retry(Schedule.spaced("5 millis").pipe(Schedule.upTo({ times: 3_000 }))),
    Effect.catch(() => Effect.die(new Error(`gave up waiting for ${what}`)))
  )

export const connect = (
  server: Server,
  transports: ReadonlyArray<"polling" | "websocket"> = ["websocket"]
): Effect.Effect<RpcPeer, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const relay = yield* Effect.acquireRelease(
      Effect.promise(() => Relay.start(server.port)),
      (relay) => Effect.sync(() => relay.close())
    )
    const client = yield* SocketIoClient.make({
      url: relay.url,
      transports,
      reconnection: Schedule.spaced("10 millis")
    })
    const socket = yield* SocketIoClient.connect("/rpc").pipe(
      Effect.provideService(SocketIoClient.SocketIoClient, client)
    )
    const protocol = yield* SocketIoRpcClient.protocolOf(socket)
    const calls = yield* RpcClient.make(Group).pipe(Effect.provideService(RpcClient.Protocol, protocol))
    return {
      calls,
      recovered: () => socket.recovered,
      connected: () => socket.connected,
      cut: (how = "reset") =>
        Effect.suspend(() => {
          relay.target = NOWHERE
          // A client that polls has moments without a connection.
          return eventually("the cut", () => {
            if (how === "reset") relay.reset()
            else relay.stall()
            return !socket.connected
          })
        }),
      deafen: Effect.sync(() => relay.deafen()),
      back: ({ port }: Server) =>
        Effect.suspend(() => {
          relay.target = port
          return Effect.map(
            eventually("the return", () => socket.connected),
            () => socket.recovered
          )
        })
    }
  }).pipe(Effect.provide(NodeClientPlatform.layer), Effect.provide(Logger.layer([])))
