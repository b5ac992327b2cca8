/** A worker that listens on the port that all workers share, and tells it. */
import { createServer, type AddressInfo } from "node:net"

const server = createServer()
server.listen(0, "127.0.0.1", () => process.send!({ listening: (server.address() as AddressInfo).port }))
