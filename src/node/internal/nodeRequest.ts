import type { IncomingMessage, ServerResponse } from "node:http"

import type { BodyFailure, ConnectionDetails, EngineRequest, HttpExchange } from "../../engine/EngineRequest.ts"

/** A Node request for the engine's path. */
export class NodeRequest implements EngineRequest {
  readonly method: string
  readonly query: ReadonlyMap<string, string>
  private readonly incoming: IncomingMessage

  constructor(incoming: IncomingMessage) {
    this.incoming = incoming
    this.method = incoming.method ?? "GET"
    const url = incoming.url!
    const at = url.indexOf("?")
    // Of a parameter given twice the last value stays.
    this.query = at < 0 ? noQuery : new Map(new URLSearchParams(url.slice(at + 1)))
  }

  header(name: string): string | undefined {
    const value = this.incoming.headers[name]
    return Array.isArray(value) ? value.join(", ") : value
  }

  details(): ConnectionDetails {
    const { headers, socket, url } = this.incoming
    const copy: Record<string, string> = {}
    for (const name in headers) {
      const value = headers[name]
      if (value !== undefined) copy[name] = Array.isArray(value) ? value.join(", ") : value
    }
    return {
      headers: copy,
      query: this.query,
      url: url!,
      address: socket.remoteAddress ?? "",
      secure: "encrypted" in socket && socket.encrypted === true,
      issued: Date.now()
    }
  }
}

const noQuery: ReadonlyMap<string, string> = new Map()

/** A Node request and its response. */
export class NodeExchange implements HttpExchange {
  readonly request: NodeRequest
  private readonly incoming: IncomingMessage
  private readonly response: ServerResponse
  private readonly extraHeaders: Readonly<Record<string, string>> | undefined
  private responded = false

  constructor(
    request: NodeRequest,
    incoming: IncomingMessage,
    response: ServerResponse,
    extraHeaders: Readonly<Record<string, string>> | undefined
  ) {
    this.request = request
    this.incoming = incoming
    this.response = response
    this.extraHeaders = extraHeaders
  }

  respond(status: number, headers: Readonly<Record<string, string>>, body: string): void {
    if (this.responded) return
    this.responded = true
    const { extraHeaders, response } = this
    if (response.destroyed || response.headersSent) return
    const bytes = Buffer.byteLength(body)
    const all: Record<string, string | number> = { ...extraHeaders, ...headers }
    if (status !== 204) all["content-length"] = bytes
    response.writeHead(status, all)
    response.end(body)
    // Without this a body that nobody reads would keep the connection busy.
    if (!this.incoming.complete) this.incoming.resume()
  }

  readBody(maxBytes: number, onBody: (body: string) => void, onFailure: (failure: BodyFailure) => void): void {
    const { incoming } = this
    const announced = Number(incoming.headers["content-length"])
    if (announced > maxBytes) return onFailure("too large")
    let first: Buffer | undefined
    let more: Array<Buffer> | undefined
    let size = 0
    let done = false
    const finish = () => {
      done = true
      incoming.off("data", onData)
      incoming.off("end", onEnd)
      incoming.off("close", onClose)
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size > maxBytes) {
        finish()
        return onFailure("too large")
      }
      if (first === undefined) first = chunk
      else (more ??= [first]).push(chunk)
    }
    const onEnd = () => {
      finish()
      // Decoded as a whole: a character may be split between chunks.
      onBody(more !== undefined ? Buffer.concat(more, size).toString() : first === undefined ? "" : first.toString())
    }
    const onClose = () => {
      if (done) return
      finish()
      onFailure("aborted")
    }
    incoming.on("data", onData)
    incoming.on("end", onEnd)
    incoming.on("close", onClose)
  }

  onAbort(callback: () => void): void {
    this.response.on("close", () => {
      if (!this.responded) {
        this.responded = true
        callback()
      }
    })
  }
}
