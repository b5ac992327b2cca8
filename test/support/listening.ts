/**
 * HTTP servers that listen until the test stops them.
 */
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"

/** Listens on a port of 127.0.0.1, by default a free one, and gives its address. */
export const listening = async (
  http: Server,
  port: number
): Promise<{ readonly url: string; readonly port: number }> => {
  await new Promise<void>((resolve, reject) => {
    http.once("error", reject)
    http.listen(port, "127.0.0.1", resolve)
  })
  const address = http.address() as AddressInfo
  return { url: `http://127.0.0.1:${address.port}`, port: address.port }
}
