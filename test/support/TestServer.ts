/**
 * The test application on our server, in Node and in this process.
 */
import { createServer, type RequestListener } from "node:http"
import { Effect, Exit, Layer, Scope } from "effect"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as Application from "./application.ts"
import { listening } from "./listening.ts"

export interface TestServerOptions extends Application.ApplicationOptions {
  readonly port?: number
  /** Answers what is not Socket.IO's. Default: 404. */
  readonly page?: RequestListener
}

export interface RunningServer {
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

/** Runs the application until it is stopped. */
export const start = async (options: TestServerOptions = {}): Promise<RunningServer> => {
  const { page = (_request, response) => response.writeHead(404).end(), port = 0 } = options
  const http = createServer(page)
  const namespaces = Application.layer(
    NodeSocketIoServer.layerAttached(http, Application.serverOptions(options)),
    options
  )
  const scope = Scope.makeUnsafe()
  await Effect.runPromise(Layer.buildWithScope(namespaces, scope))
  return {
    ...(await listening(http, port)),
    stop: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      const closed = new Promise<void>((resolve) => http.close(() => resolve()))
      http.closeAllConnections()
      await closed
    }
  }
}
