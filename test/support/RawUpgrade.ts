/**
 * The opening handshake of a WebSocket by hand: what was asked for, and the response as it is on the wire.
 */
import * as Http from "node:http"
import type { Socket } from "node:net"

import { engineUrl, within } from "./RawClient.ts"

export interface UpgradeResponse {
  /** 101, or why not. */
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  /** The values of a header, however often and in whichever case it stands there. */
  readonly all: (name: string) => ReadonlyArray<string>
  readonly body: string
}

export interface Upgrade {
  readonly response: Promise<UpgradeResponse>
  /** Ends the connection, politely. */
  readonly end: () => void
  /** Resets the connection. */
  readonly reset: () => void
}

/** The values of a header among raw ones. */
export const valuesOf = (raw: ReadonlyArray<string>, name: string): ReadonlyArray<string> =>
  raw.filter((_, i) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === name)

/** Asks for a WebSocket, on a connection of its own. */
export const startUpgrade = (
  url: string,
  query: Record<string, string> = {},
  headers: Record<string, string> = {}
): Upgrade => {
  const request = Http.request(engineUrl(url, { EIO: "4", transport: "websocket", ...query }), {
    agent: false,
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
      ...headers
    }
  })
  let upgraded: Socket | undefined
  const answered = new Promise<UpgradeResponse>((resolve, reject) => {
    const resolveWith = ({ headers, rawHeaders, statusCode }: Http.IncomingMessage, body: string) =>
      resolve({ status: statusCode!, headers, all: (name) => valuesOf(rawHeaders, name), body })
    request.once("error", reject)
    request.once("upgrade", (response: Http.IncomingMessage, socket: Socket) => {
      upgraded = socket.on("error", () => {}).resume()
      resolveWith(response, "")
    })
    request.once("response", (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.once("end", () => resolveWith(response, Buffer.concat(chunks).toString()))
      response.once("error", reject)
    })
  })
  const response = within(`response to an upgrade of ${url}`, answered)
  // A peer that leaves meanwhile does not wait for it.
  response.catch(() => {})
  request.on("error", () => {})
  request.end()
  return {
    response,
    end: () => void (upgraded ?? request).destroy(),
    reset: () => void (upgraded ?? request.socket)?.resetAndDestroy()
  }
}

/** The response to a request for a WebSocket; the connection is closed. */
export const upgrade = async (
  url: string,
  query: Record<string, string> = {},
  headers: Record<string, string> = {}
): Promise<UpgradeResponse> => {
  const { end, response } = startUpgrade(url, query, headers)
  const result = await response
  end()
  return result
}
