/**
 * Servers of one process that pass requests on to one another.
 */
import * as Http from "node:http"
import { Context, Effect, Exit, Layer, Metric, Scope } from "effect"

import { makeMemory, type NodeAddress, NodeDirectory, type NodeDirectoryShape } from "../../src/engine/NodeDirectory.ts"
import * as NodeSessionRouting from "../../src/node/NodeSessionRouting.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { readOnly } from "./metrics.ts"
import { eventually } from "./official.ts"
import { engineUrl, request } from "./RawClient.ts"
import { listen } from "./serve.ts"

let bytes = 0

/** How many bytes `drip` has sent, over all servers. */
export const dripped = () => bytes

const App = SocketIoServer.layerNamespace(
  "/",
  Effect.fnUntraced(function* (socket) {
    yield* socket.on("echo", (...args) => Effect.succeed(args))
    yield* socket.on("where", () => Effect.succeed([socket.handshake.address, socket.handshake.secure]))
    // Sends on and on, some of it in each turn.
    yield* socket.on("drip", (size) => {
      const text = "x".repeat(Number(size))
      const one = Effect.andThen(
        socket.emit("item", text),
        Effect.sync(() => (bytes += text.length))
      )
      return Effect.forever(Effect.andThen(one, Effect.sleep("1 millis")))
    })
    yield* socket.on("flood", (count, size) =>
      Effect.forEach(
        Array.from({ length: Number(count) }, (_, i) => i),
        (i) => socket.emit("item", i, "x".repeat(Number(size))),
        { discard: true }
      )
    )
  })
)

export interface RoutedNode {
  readonly url: string
  readonly server: SocketIoServer.SocketIoServerShape
  /** Its counts of requests that were passed on. */
  readonly passed: Effect.Effect<Record<string, number>>
  /** Shuts down, as a deployment does: the server, and then its port. */
  readonly close: Effect.Effect<void>
}

/** A directory that tells what was entered, and may be made to lie. */
export const directoryOf = () => {
  const memory = makeMemory()
  const addresses = new Map<string, NodeAddress>()
  const lies = new Map<string, NodeAddress>()
  let lookups = 0
  const directory: NodeDirectoryShape = {
    register: (tag, address) => {
      addresses.set(tag, address)
      return memory.register(tag, address)
    },
    lookup: (tag) =>
      Effect.suspend(() => {
        lookups++
        return lies.has(tag) ? Effect.succeedSome(lies.get(tag)!) : memory.lookup(tag)
      })
  }
  return { directory, addresses, lies, lookups: () => lookups }
}

/** A server with metrics of its own, until the scope closes. */
export const routedNode = Effect.fnUntraced(function* (
  directory: NodeDirectoryShape,
  options: NodeSocketIoServer.NodeOptions = {},
  routing: NodeSessionRouting.SessionRoutingOptions = {}
) {
  const registry = new Map()
  const http = Http.createServer((_request, response) => response.writeHead(404).end())
  const url = yield* listen(http)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* App.pipe(
    Layer.provideMerge(
      NodeSocketIoServer.layerAttached(http, { drainTimeout: "100 millis", allowEIO3: true, ...options })
    ),
    Layer.provide(NodeSessionRouting.layer(routing)),
    Layer.provide(Layer.succeed(NodeDirectory, directory)),
    Layer.buildWithScope(scope),
    Effect.provideService(Metric.MetricRegistry, registry)
  )
  return {
    url,
    server: Context.get(context, SocketIoServer.SocketIoServer),
    passed: Effect.provideService(readOnly("requests_forward"), Metric.MetricRegistry, registry),
    close: Scope.close(scope, Exit.void)
  } satisfies RoutedNode as RoutedNode
})

/** Three servers that find one another. */
export const threeNodes = Effect.fnUntraced(function* (options: NodeSocketIoServer.NodeOptions = {}) {
  const known = directoryOf()
  const node = routedNode(known.directory, options)
  return { ...known, nodes: yield* Effect.all([node, node, node]) }
})

/** A session at the first of two servers, opened by hand. */
export const foreign = Effect.fnUntraced(function* (nodes: ReadonlyArray<{ readonly url: string }>, EIO = "4") {
  const { body } = yield* Effect.promise(() => request(engineUrl(nodes[0]!.url, { EIO, transport: "polling" })))
  const { sid } = JSON.parse(body.slice(body.indexOf("{"), body.lastIndexOf("}") + 1)) as { readonly sid: string }
  return { sid, url: engineUrl(nodes[1]!.url, { EIO, transport: "polling", sid }) }
})

/** Waits until a server has passed on so many requests. Later messages on the same link come after them. */
export const passes = (node: RoutedNode, requests: number) =>
  eventually(() => (Effect.runSync(node.passed)["requests_forwarded{request}"] ?? 0) >= requests)
