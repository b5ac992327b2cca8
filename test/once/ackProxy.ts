/**
 * A TCP proxy on loopback between WebSocket clients and servers: it loses acknowledgements of the namespace `/`.
 */
import * as Net from "node:net"
import type { AddressInfo } from "node:net"

/** The fate of an acknowledgement: it arrives, it is lost, or it is lost with its connection. */
export type Fate = "pass" | "drop" | "cut"

export interface AckProxy {
  readonly url: string
  /** The ports of the servers. Connections go to them in turn, and to none while there are none. */
  targets: ReadonlyArray<number>
  /** The acknowledgements that were lost. */
  readonly lost: ReadonlyArray<string>
  readonly close: () => Promise<void>
}

export interface AckProxyOptions {
  /** Decides on each acknowledgement, which is `43<id>[…]`. */
  readonly fate: (ack: string) => Fate
  /** Messages of a client pass, to the server with this port. */
  readonly onMessage?: (port: number) => void
}

/** The length of a frame of a server at the beginning of some bytes, with its header; `undefined` if that is not there yet. */
const frameLength = (bytes: Buffer): { readonly header: number; readonly length: number } | undefined => {
  if (bytes.length < 2) return undefined
  const short = bytes[1]! & 0x7f
  const header = short < 126 ? 2 : short === 126 ? 4 : 10
  if (bytes.length < header) return undefined
  const payload = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
  return { header, length: header + payload }
}

export const startAckProxy = async ({ fate, onMessage = () => {} }: AckProxyOptions): Promise<AckProxy> => {
  const sockets = new Set<Net.Socket>()
  const lost: Array<string> = []
  let turn = 0

  const server = Net.createServer((client) => {
    const port = proxy.targets[turn++ % Math.max(1, proxy.targets.length)]
    if (port === undefined) return void client.destroy()
    const upstream = Net.connect(port, "127.0.0.1")
    for (const socket of [client, upstream]) {
      const other = socket === client ? upstream : client
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", () => {})
      socket.on("close", () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    let isOpen = false
    let rest: Buffer = Buffer.alloc(0)
    client.on("data", (chunk) => {
      upstream.write(chunk)
      if (isOpen) onMessage(port)
    })
    upstream.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      if (!isOpen) {
        const end = rest.indexOf("\r\n\r\n")
        if (end < 0) return
        isOpen = true
        client.write(rest.subarray(0, end + 4))
        rest = rest.subarray(end + 4)
      }
      for (
        let frame = frameLength(rest);
        frame !== undefined && rest.length >= frame.length;
        frame = frameLength(rest)
      ) {
        const { header, length } = frame
        const bytes = rest.subarray(0, length)
        rest = rest.subarray(length)
        const text = bytes.toString("utf8", header)
        if (text.startsWith("43")) {
          const what = fate(text)
          if (what !== "pass") lost.push(text)
          if (what === "drop") continue
          if (what === "cut") {
            client.destroy()
            upstream.destroy()
            return
          }
        }
        client.write(bytes)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))

  const proxy: AckProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    targets: [],
    lost,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      })
  }
  return proxy
}
