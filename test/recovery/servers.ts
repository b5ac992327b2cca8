/**
 * Official servers of the tests of recovery.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Server, type ServerOptions } from "socket.io"

export interface OfficialServer {
  readonly io: Server
  readonly http: Http.Server
  readonly url: string
  readonly close: () => Promise<void>
}

/** An official server on a free port. */
export const startOfficial = async (options: Partial<ServerOptions>): Promise<OfficialServer> => {
  const http = Http.createServer()
  const io = new Server(http, { serveClient: false, ...options })
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
  const { port } = http.address() as AddressInfo
  return { io, http, url: `http://127.0.0.1:${port}`, close: () => io.close() }
}
