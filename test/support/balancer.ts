/**
 * A balancer without stickiness: each request goes to the next server. A server that is not there is left out.
 */
import * as Http from "node:http"
import { connect, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

import { listen } from "./serve.ts"

export interface Balancer {
  readonly url: string
  /** The servers that take turns; may be changed at any time. */
  targets: ReadonlyArray<string>
  /** How many requests had no server at all. */
  readonly unserved: number
}

const ignore = () => {}

const partsOf = (url: string) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) })

/** Balances until the scope closes. If it is `sticky`, requests of a session go to the server that has opened it. */
export const balance = Effect.fnUntraced(function* (
  targets: ReadonlyArray<string>,
  { sticky = false }: { readonly sticky?: boolean } = {}
): Effect.fn.Return<Balancer, never, Scope.Scope> {
  let turn = 0
  let unserved = 0
  const owners = new Map<string, string>()
  const next = (url: string) =>
    owners.get(/[?&]sid=([^&]*)/.exec(url)?.[1] ?? "") ?? balancer.targets[turn++ % balancer.targets.length]!

  /** Remembers the server of a session, as its first response tells it. */
  const watch = (answer: Http.IncomingMessage, target: string) => {
    answer.once("data", (chunk: Buffer) => {
      const sid = /^0\{"sid":"([^"]*)"/.exec(chunk.toString())?.[1]
      if (sid !== undefined) owners.set(sid, target)
    })
  }

  const forward = (request: Http.IncomingMessage, response: Http.ServerResponse, attempts: number): void => {
    const { headers, method, url } = request
    const target = next(url!)
    const upstream = Http.request({ ...partsOf(target), path: url!, method: method!, headers, agent: false })
    upstream.once("response", (answer) => {
      if (sticky) watch(answer, target)
      response.writeHead(answer.statusCode!, answer.rawHeaders)
      answer.pipe(response)
      answer.once("error", () => response.destroy())
    })
    upstream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" && attempts > 1) return forward(request, response, attempts - 1)
      if (error.code === "ECONNREFUSED") unserved++
      response.destroy()
    })
    response.once("close", () => upstream.destroy())
    upstream.once("socket", (socket) => socket.once("connect", () => request.pipe(upstream)))
  }

  const join = (request: Http.IncomingMessage, socket: Socket, head: Buffer, attempts: number): void => {
    const upstream = connect(partsOf(next(request.url!)))
    socket.once("close", () => upstream.destroy())
    upstream.on("error", ignore).once("close", () => {
      if (socket.destroyed) return
      if (upstream.bytesRead === 0 && attempts > 1) return join(request, socket, head, attempts - 1)
      socket.end()
      // A connection that is not read does not notice its end.
      socket.resume()
    })
    upstream.once("connect", () => {
      const { method, rawHeaders, url } = request
      const lines = [`${method} ${url} HTTP/1.1`]
      for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
      upstream.write(`${lines.join("\r\n")}\r\n\r\n`)
      upstream.write(head)
      socket.pipe(upstream).pipe(socket)
    })
  }

  const server = Http.createServer((request, response) => forward(request, response, balancer.targets.length))
  const sockets = new Set<Socket>()
  server.on("upgrade", (request: Http.IncomingMessage, socket: Socket, head: Buffer) => {
    sockets.add(socket.on("error", ignore))
    socket.once("close", () => sockets.delete(socket))
    join(request, socket, head, balancer.targets.length)
  })
  const url = yield* listen(server)
  // The server does not close before the connections of upgrades have.
  yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
  const balancer: Balancer & { targets: ReadonlyArray<string> } = {
    url,
    targets,
    get unserved() {
      return unserved
    }
  }
  return balancer
})
