/**
 * The cost of traces for a server, in CPU of a pipelined echo: without a tracer, with one, and with the trace contexts of clients.
 *
 *     npx node test/tracing/cost.ts
 *
 * The servers are measured in turn. The figures mean something on a machine that does nothing else.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { Effect, Layer, Schema, Tracer } from "effect"
import { WebSocket } from "ws"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

const CLIENTS = 20
const PIPELINED = 50
const BURSTS = 20
const ROUNDS = 10
const CONTEXT = ',{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'

class Echo extends Namespace.make("/echo", {
  clientToServer: [Event.make("echo", { payload: Schema.String, ack: Schema.String })]
}) {}

/** Makes spans, and keeps none of them. */
const forgetful = Layer.succeed(Tracer.Tracer, Tracer.make({ span: (options) => new Tracer.NativeSpan(options) }))

/** The server of a child process. It tells its port, and its CPU when it is asked. */
const serve = async (isTraced: boolean): Promise<void> => {
  const http = createServer().listen(0, "127.0.0.1")
  await once(http, "listening")
  const EchoLive = SocketIoServer.layerNamespace(Echo, () => Effect.succeed(Echo.of({ echo: Effect.succeed })))
  const Main = EchoLive.pipe(
    Layer.provide(NodeSocketIoServer.layerAttached(http)),
    Layer.provide(isTraced ? forgetful : Layer.empty)
  )
  Effect.runFork(Layer.launch(Main))
  process.on("message", () => process.send!(process.cpuUsage()))
  process.send!((http.address() as AddressInfo).port)
}

const answer = async (child: ChildProcess): Promise<any> => (await once(child, "message"))[0]

const cpuOf = async (child: ChildProcess): Promise<number> => {
  const answered = answer(child)
  child.send("cpu")
  const { system, user } = await answered
  return system + user
}

/** A server, and the function that measures an echo, in microseconds. */
const measured = async (isTraced: boolean, attributes: string) => {
  const child = fork(fileURLToPath(import.meta.url), ["serve"], {
    env: { ...process.env, TRACED: isTraced ? "1" : "" }
  })
  const port: number = await answer(child)
  let awaited = 0
  let onDone = () => {}
  const connect = () =>
    new Promise<WebSocket>((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`)
      socket.on("message", (data) => {
        const text = String(data)
        if (text.startsWith("0")) socket.send("40/echo,")
        else if (text.startsWith("40")) resolve(socket)
        else if (text === "2") socket.send("3")
        else if (text.startsWith("43") && --awaited === 0) onDone()
      })
    })
  const sockets = await Promise.all(Array.from({ length: CLIENTS }, connect))
  const burst = () =>
    new Promise<void>((resolve) => {
      onDone = resolve
      awaited = CLIENTS * PIPELINED
      for (const socket of sockets) {
        for (let id = 0; id < PIPELINED; id++) socket.send(`42/echo,${id}["echo","hello there"${attributes}]`)
      }
    })
  const measure = async (): Promise<number> => {
    const before = await cpuOf(child)
    for (let i = 0; i < BURSTS; i++) await burst()
    return ((await cpuOf(child)) - before) / (BURSTS * CLIENTS * PIPELINED)
  }
  return { measure, end: () => child.kill() }
}

const compare = async (): Promise<void> => {
  const kinds = {
    "without a tracer": await measured(false, ""),
    "without a tracer, with trace contexts of clients": await measured(false, CONTEXT),
    "with a tracer": await measured(true, ""),
    "with a tracer, with trace contexts of clients": await measured(true, CONTEXT)
  }
  const figures = new Map<string, Array<number>>()
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, { measure }] of Object.entries(kinds)) {
      const figure = await measure()
      // The first round only warms up.
      if (round > 0) figures.set(name, [...(figures.get(name) ?? []), figure])
    }
  }
  for (const [name, all] of figures) {
    const median = all.toSorted((a, b) => a - b)[all.length >> 1]!
    console.log(`${median.toFixed(2)} µs ${name}`)
  }
  for (const { end } of Object.values(kinds)) end()
  process.exit()
}

// Its contracts are read by other tests.
if (import.meta.main) await (process.argv[2] === "serve" ? serve(process.env["TRACED"] === "1") : compare())
