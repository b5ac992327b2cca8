/** A server that exits when a client asks it to, right after its last word. It prints its port. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Layer } from "effect"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

const http = createServer()

const Stopping = SocketIoServer.layerNamespace("/", (socket) =>
  socket.on("stop", () =>
    Effect.andThen(
      socket.emit("goodbye", "bye"),
      Effect.sync(() => process.exit(0))
    )
  )
)

Effect.runFork(Layer.launch(Layer.provide(Stopping, NodeSocketIoServer.layerAttached(http))))

http.listen(0, "127.0.0.1", () => console.log((http.address() as AddressInfo).port))
