/**
 * Clients that connect, join, talk, leave and disconnect, in every way that there is, for a long time, and what a server holds between
 * two rounds of them:
 *
 *     npm run soak                                       # 30 minutes
 *     npm run soak -- --minutes 5 --clients 2000         # per round
 *
 * Prints a line for every round. It fails if anything is left of a round's clients, or if the heap grows.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { io, type Socket } from "socket.io-client"

import { Progress } from "../support/progress.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    /** Ends after so many rounds, whatever the time. */
    rounds: { type: "string", default: "Infinity" },
    clients: { type: "string", default: "2000" }
  }
})
const [minutes, maxRounds, clients] = [Number(values.minutes), Number(values.rounds), Number(values.clients)]

/** Clients at once. */
const CONCURRENCY = 50
/** Rounds that are not looked at: what is made once is made in them, and code is compiled. */
const WARM_UP = 2
/** How much more heap the later rounds may end with than the earlier ones, in bytes. */
const MARGIN = 1_500_000

const problems: Array<string> = []

type Census = Readonly<Record<string, number>>

const start = async (): Promise<{ readonly child: ChildProcess; readonly url: string }> => {
  const entry = fileURLToPath(new URL("soakServer.ts", import.meta.url))
  const child = spawn(process.execPath, ["--expose-gc", entry], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: { ...process.env, NO_COLOR: "1" }
  })
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the server has ended with ${code}`)))
    child.stdout!.on("data", (chunk: Buffer) => {
      const listening = /listening on (http:\/\/[\d.:]+)/.exec(String(chunk))
      if (listening !== null) resolve({ child, url: listening[1]! })
    })
  })
}

const { child, url } = await start()
process.once("exit", () => child.kill("SIGKILL"))

const census = async (): Promise<Census> => {
  child.send("census")
  const [counts] = (await once(child, "message")) as [Census]
  return counts
}

/** Numbers that are the same in every run. */
let state = 1
const below = (bound: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 0x1_0000_0000) * bound)
}

/** An acknowledgement, or the end of the connection. */
const ask = async (socket: Socket, event: string, ...args: ReadonlyArray<unknown>): Promise<void> => {
  try {
    await socket.timeout(5_000).emitWithAck(event, ...args)
  } catch {
    if (socket.connected) problems.push(`"${event}" was not acknowledged`)
  }
}

const connected = (socket: Socket): Promise<boolean> =>
  new Promise((resolve) => {
    if (socket.connected) resolve(true)
    socket.once("connect", () => resolve(true))
    socket.once("connect_error", () => resolve(false))
  })

const gone = (socket: Socket): Promise<unknown> =>
  socket.connected ? new Promise((resolve) => socket.once("disconnect", resolve)) : Promise.resolve()

const WAYS = [["websocket"], ["polling"], ["polling", "websocket"]]

/** The ways in which a client goes. */
const ends: ReadonlyArray<(socket: Socket) => unknown> = [
  (socket) => socket.disconnect(),
  (socket) => socket.io.engine.close(),
  // Without a close packet or frame, and without an answer to anything.
  (socket) => {
    const { transport } = socket.io.engine as any
    socket.io.engine.removeAllListeners("packet")
    if (transport.name === "websocket") transport.ws.terminate?.()
    else transport.close()
    socket.disconnect()
  },
  async (socket) => {
    socket.emit("bye", true)
    await gone(socket)
  },
  async (socket) => {
    socket.emit("bye", false)
    await gone(socket)
  },
  // A packet that the protocol does not allow.
  async (socket) => {
    ;(socket.io.engine as any).write("9")
    await gone(socket)
  }
]

/** One client, from its making to its end. */
const live = async (i: number): Promise<void> => {
  const options = { forceNew: true, reconnection: false, transports: WAYS[i % WAYS.length]! }
  const socket = io(url, { ...options, auth: i % 13 === 0 ? {} : { name: `client ${i}` } })
  try {
    socket.on("question", (answer: (text: string) => void) => {
      if (i % 3 !== 0) answer("fine")
    })
    if (!(await connected(socket))) return
    const room = `room ${below(20)}`
    await ask(socket, "join", room)
    if (i % 2 === 0) {
      const other = socket.io.socket(`/room/${below(40)}`, {})
      if (await connected(other)) await ask(other, "echo", new Uint8Array(100))
      if (i % 5 === 0) other.disconnect()
    }
    for (let n = below(5); n > 0; n--) await ask(socket, "say", { room, text: "x".repeat(below(2_000)) })
    socket.emit("slow", () => {})
    if (i % 4 === 0) socket.emit("boom")
    await ask(socket, "leave", room)
    await ends[below(ends.length)]!(socket)
  } finally {
    socket.io.engine?.close()
    socket.disconnect()
  }
}

const round = async (): Promise<void> => {
  let next = 0
  const worker = async () => {
    while (next < clients) await live(next++)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}

/** The server's state without clients. */
const NOBODY: Census = { Session: 0, Connection: 0, SocketRuntime: 0, NamespaceRuntime: 1 }

/** The rest of a round's clients when the end of the last one is noticed; on a busy machine that takes a while. */
const rest = async (expected: Census): Promise<Census> => {
  const deadline = performance.now() + 30_000
  for (;;) {
    const counts = await census()
    const isClean = Object.keys(expected).every((kind) => kind === "heap" || counts[kind]! <= expected[kind]!)
    if (isClean || performance.now() > deadline) return counts
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

const began = performance.now()
const samples: Array<Census> = []
let expected = NOBODY
const goesOn = (n: number): boolean =>
  n <= WARM_UP + 2 || (maxRounds === Infinity ? performance.now() - began < minutes * 60_000 : n <= maxRounds)
const progress = new Progress(
  maxRounds === Infinity ? { duration: minutes * 60_000 } : { steps: Math.max(maxRounds, WARM_UP + 2) }
)
for (let n = 1; goesOn(n); n++) {
  progress.step(`round of ${clients} clients`)
  await round()
  const counts = await rest(expected)
  const { heap, ...others } = counts
  const at = ((performance.now() - began) / 60_000).toFixed(1)
  progress.print(`round ${n}, ${at} min: heap ${(heap! / 1e6).toFixed(2)} MB, ${JSON.stringify(others)}`)
  for (const kind of Object.keys(expected)) {
    const left = counts[kind]! - expected[kind]!
    if (kind !== "heap" && left > 0) problems.push(`round ${n} has left ${left} of ${kind}`)
  }
  if (n === WARM_UP) expected = counts
  if (n > WARM_UP) samples.push(counts)
}

progress.end()

/** The least of some rounds: what garbage there still is only adds. */
const least = (part: ReadonlyArray<Census>): number => Math.min(...part.map(({ heap }) => heap!))
const half = Math.ceil(samples.length / 2)
const growth = least(samples.slice(half)) - least(samples.slice(0, half))
if (growth > MARGIN) problems.push(`the heap has grown by ${growth} bytes`)
console.log(`heap of the second half against the first: ${growth} bytes`)
if (child.exitCode !== null) problems.push("the server has ended")
for (const problem of problems) console.log(`FAILED: ${problem}`)
process.exit(problems.length === 0 ? 0 : 1)
