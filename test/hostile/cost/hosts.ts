/**
 * The platforms of a server under measurement, and what each tells of its traffic.
 */
import { createServer, type Server } from "node:http"
import type { AddressInfo, Socket } from "node:net"

import { Context, Effect, Layer, Scope } from "effect"

import { makeMemory, NodeDirectory } from "../../../src/engine/NodeDirectory.ts"
import * as NodeSessionRouting from "../../../src/node/NodeSessionRouting.ts"
import * as NodeSocketIoServer from "../../../src/node/NodeSocketIoServer.ts"
import type { ServerOptions } from "../../../src/server/ServerOptions.ts"
import * as SocketIoServer from "../../../src/server/SocketIoServer.ts"
import * as BunSocketIoServer from "../../../src/web/BunSocketIoServer.ts"
import * as DenoSocketIoServer from "../../../src/web/DenoSocketIoServer.ts"

/** The port under attack, and that of the server whose sessions are passed on to. */
export interface Ports {
  readonly port: number
  readonly owner?: number
}

export interface Host {
  readonly ports: Ports
  readonly sessions: () => number
  /** Bytes that were read, and connections that are open. */
  readonly traffic: () => { readonly bytes: number | undefined; readonly connections: number }
  /** The connections that are open do not count. */
  readonly exclude: () => void
}

type Namespaces = Layer.Layer<never, unknown, SocketIoServer.SocketIoServer>

type Make = (namespaces: Namespaces, options: ServerOptions) => Promise<Host>

const build = async (
  namespaces: Namespaces,
  server: Layer.Layer<SocketIoServer.SocketIoServer, unknown>
): Promise<SocketIoServer.SocketIoServerShape> => {
  const context = await Effect.runPromise(
    Layer.buildWithScope(Layer.provideMerge(namespaces, server), Scope.makeUnsafe())
  )
  return Context.get(context, SocketIoServer.SocketIoServer)
}

const listen = async (http: Server): Promise<number> => {
  await new Promise<void>((resolve) => {
    http.listen(0, "127.0.0.1", resolve)
  })
  return (http.address() as AddressInfo).port
}

const makeHttp = () => createServer((_request, response) => response.writeHead(404, { "content-length": 0 }).end())

/** Counts the bytes of a server's connections. */
const count = (http: Server): Pick<Host, "exclude" | "traffic"> => {
  const open = new Set<Socket>()
  const uncounted = new WeakSet<Socket>()
  let closedBytes = 0
  http.on("connection", (socket) => {
    open.add(socket)
    socket.once("close", () => {
      open.delete(socket)
      if (!uncounted.has(socket)) closedBytes += socket.bytesRead
    })
  })
  return {
    exclude: () => {
      for (const socket of open) uncounted.add(socket)
    },
    traffic: () => {
      let bytes = closedBytes
      for (const socket of open) if (!uncounted.has(socket)) bytes += socket.bytesRead
      return { bytes, connections: open.size }
    }
  }
}

const node: Make = async (namespaces, options) => {
  const http = makeHttp()
  const traffic = count(http)
  const { connectionCount } = await build(namespaces, NodeSocketIoServer.layerAttached(http, options))
  return { ports: { port: await listen(http) }, sessions: () => Effect.runSync(connectionCount), ...traffic }
}

/**
 * Two servers, which pass requests on to one another: what both of them spend counts, and what both
 * read from clients.
 */
const routed: Make = async (namespaces, options) => {
  const directory = Layer.succeed(NodeDirectory, makeMemory())
  const start = async () => {
    const http = makeHttp()
    const traffic = count(http)
    const routing = Layer.provide(NodeSessionRouting.layer(), directory)
    const server = Layer.provide(NodeSocketIoServer.layerAttached(http, options), routing)
    const { connectionCount } = await build(namespaces, server)
    return { traffic, port: await listen(http), sessions: () => Effect.runSync(connectionCount) }
  }
  const [first, owner] = [await start(), await start()]
  return {
    ports: { port: first.port, owner: owner.port },
    sessions: () => first.sessions() + owner.sessions(),
    exclude: first.traffic.exclude,
    traffic: () => {
      const [one, other] = [first.traffic.traffic(), owner.traffic.traffic()]
      return { bytes: one.bytes! + other.bytes!, connections: one.connections + other.connections }
    }
  }
}

/** A free port: these platforms do not tell the application which one they have taken. */
const freePort = async (): Promise<number> => {
  const http = createServer()
  const port = await listen(http)
  await new Promise((resolve) => http.close(resolve))
  return port
}

const fetching =
  (
    layer: (
      options: ServerOptions & { readonly port: number; readonly host: string }
    ) => Layer.Layer<SocketIoServer.SocketIoServer, unknown>
  ): Make =>
  async (namespaces, options) => {
    const port = await freePort()
    const { connectionCount } = await build(namespaces, layer({ ...options, port, host: "127.0.0.1" }))
    const sessions = () => Effect.runSync(connectionCount)
    return {
      ports: { port },
      sessions,
      exclude: () => {},
      traffic: () => ({ bytes: undefined, connections: sessions() })
    }
  }

export const hosts = {
  node,
  nodeInDeno: node,
  routed,
  bun: fetching(BunSocketIoServer.layer),
  deno: fetching(DenoSocketIoServer.layer)
} satisfies Record<string, Make>

export type HostName = keyof typeof hosts
