/**
 * Attacks on what a server has on request, and on servers that pass requests on to one another.
 */
import { once as emitted } from "node:events"
import { WebSocket } from "ws"

import { request, within } from "../support/RawClient.ts"
import type { Attack } from "./attack.ts"
import { type Entrances, inSession, pause, postInPieces, upgradeOf, wire } from "./entrances.ts"
import * as Inputs from "./featureInputs.ts"
import { LIMITS } from "./featureServers.ts"
import type { Generator } from "./generators.ts"

/** Offers a few messages, after the namespace was joined, over WebSockets of their own. */
const offering =
  (join: string, make: (generator: Generator) => string, most = 20): Entrances[string] =>
  (attack, count) =>
    attack.concurrently(count, async () => {
      const { generator } = attack
      await attack.offer([join, ...generator.times(most, () => make(generator))], "4", attack.features)
    })

/** A WebSocket whose messages are read one by one; ends with it. */
const talking = async (
  url: string,
  use: (send: (message: string) => void, until: (pattern: RegExp) => Promise<string | undefined>) => Promise<void>
): Promise<void> => {
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`)
  socket.on("error", () => {})
  await within("open WebSocket", emitted(socket, "open"))
  const received: Array<string> = []
  let wake = () => {}
  socket.on("message", (data) => {
    received.push(String(data))
    wake()
  })
  socket.on("close", () => wake())
  /** The text that a pattern finds, or nothing where the connection is closed. */
  const until = async (pattern: RegExp): Promise<string | undefined> => {
    for (let at = 0; ; at++) {
      while (at >= received.length) {
        if (socket.readyState !== WebSocket.OPEN) return undefined
        await within(`message ${pattern.source}`, new Promise<void>((resolve) => (wake = resolve)))
      }
      const found = pattern.exec(received[at]!)
      if (found !== null) return found[1]
    }
  }
  await use((message) => socket.send(message), until)
  socket.terminate()
}

/** Wherever a session of the other server is asked for, at the server that passes requests on. */
const away = (attack: Attack, use: Parameters<typeof inSession>[1]): Promise<void> =>
  inSession(attack, use, attack.features, attack.owner)

const STATUSES = new Set([0, 200, 400, 413])

export const featureEntrances: Entrances = {
  RPC: offering("40/rpc,", Inputs.rpc),
  "resumable streams": offering("40/streams,", (g) => Inputs.stream(g)),
  "messages that are handled once": offering("40/streams,", Inputs.once),
  presence: offering("40/online,", Inputs.presence),
  "events that wait for one another": offering("40/queued,", Inputs.queued, 300),
  "the Admin UI": offering("40/typed,", Inputs.admin),
  "rights that are refreshed": offering('40/account,{"token":"ada"}', Inputs.refresh),
  "answers to a server that moves its clients": offering("40/typed,", Inputs.control),

  "streams that are there, read at random": (attack, count) =>
    attack.concurrently(count, () =>
      talking(attack.features, async (send, until) => {
        const { generator } = attack
        send("40/streams,")
        await until(/^40\/streams,()/)
        send(`42/streams,7["${generator.pick(["long", "never"])}"]`)
        const id = await until(/"stream":"([^"]+)"/)
        for (let i = 0; i < 10; i++) send(Inputs.stream(generator, id))
        if (generator.chance(0.5)) await pause(generator.below(30))
      })
    ),

  "sessions that are recovered": (attack, count) =>
    attack.concurrently(count, async () => {
      const { generator } = attack
      let [pid, offset] = ["", ""]
      await talking(attack.features, async (send, until) => {
        send("40")
        pid = (await until(/"pid":"([^"]+)"/)) ?? ""
        send('421["echo",1]')
        await until(/^43()/)
        offset = generator.chance(0.5) ? "" : generator.digits(13)
      })
      await attack.offer(
        generator.times(3, () => Inputs.recovery(generator, pid, offset)),
        "4",
        attack.features
      )
    }),

  "requests for sessions of other servers": (attack, count) =>
    attack.concurrently(count, () =>
      inSession(
        attack,
        async ({ target }) => {
          const { generator } = attack
          const sid = new URL(target).searchParams.get("sid")!
          for (let i = 0; i < 5; i++) {
            const path = `/socket.io/?EIO=4&transport=polling&sid=${Inputs.sessionId(generator, sid)}`
            const method = generator.pick(["GET", "POST", "DELETE", "OPTIONS"])
            const body = method === "POST" ? { body: generator.body() } : {}
            const { status } = await request(`${attack.features}${path}`, { method, ...body })
            if (![200, 204, 400, 413].includes(status)) throw new Error(`a request was answered with ${status}`)
          }
        },
        attack.owner
      )
    ),

  "bodies that are passed on": (attack, count) =>
    attack.concurrently(count, () =>
      away(attack, async ({ post }) => {
        const status = await post(attack.generator.chance(0.5) ? attack.generator.packets() : attack.generator.body())
        if (!STATUSES.has(status)) throw new Error(`a body was answered with ${status}`)
      })
    ),

  "posts that are passed on in pieces, or not at all": (attack, count) =>
    attack.concurrently(count, () =>
      away(attack, ({ path }) => wire(attack.features, (socket) => postInPieces(attack, path, socket)))
    ),

  "polls that are passed on and left": (attack, count) =>
    attack.concurrently(count, () =>
      away(attack, ({ path }) =>
        wire(attack.features, async (socket) => {
          const { generator } = attack
          if (generator.chance(0.5)) socket.pause()
          socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
          await pause(generator.below(10))
        })
      )
    ),

  "upgrades that are passed on": (attack, count) =>
    attack.concurrently(count, () =>
      away(attack, ({ path }) =>
        wire(attack.features, async (socket) => {
          const { generator } = attack
          const sid = new URL(path, attack.owner).searchParams.get("sid")!
          const asked = generator.chance(0.7) ? sid : Inputs.sessionId(generator, sid)
          const head = upgradeOf(`/socket.io/?EIO=4&transport=websocket&sid=${asked}`)
          socket.write(generator.chance(0.8) ? head : generator.mutate(head))
          for (let i = 0; i < 5; i++) socket.write(generator.bytes())
          await pause(generator.below(20))
        })
      )
    ),

  "connections beyond the limits": async (attack, count) => {
    await attack.concurrently(count * 5, () =>
      wire(attack.limited, async (socket) => {
        const { generator } = attack
        const forwarded = generator.chance(0.8) ? `192.0.2.${generator.below(ADDRESSES)}` : generator.header()
        const isPolling = generator.chance(0.5)
        const head = isPolling
          ? "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"
          : upgradeOf("/socket.io/?EIO=4&transport=websocket")
        let text = ""
        const responded = new Promise<void>((resolve) => {
          socket.on("data", (chunk) => {
            text += chunk.toString("latin1")
            resolve()
          })
          socket.once("close", () => resolve())
        })
        const request = head.replace("\r\n\r\n", `\r\nX-Forwarded-For: ${forwarded}\r\n\r\n`)
        // Some never end their request.
        const isWhole = generator.chance(0.9)
        socket.write(isWhole ? request : request.slice(0, -generator.size(6)))
        if (isWhole) {
          await within("response", responded)
          const status = Number(text.slice(9, 12))
          if (![101, 200, 400, 503].includes(status)) throw new Error(`a handshake was answered with ${status}`)
        }
        await pause(generator.below(20))
        const sid = /"sid":"([\w-]+)"/.exec(text)?.[1]
        if (!isPolling || sid === undefined) return
        // A session over polling would last until its heartbeat.
        const over = new Promise<void>((resolve) => socket.once("close", () => resolve()))
        socket.end(
          `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n` +
            "Content-Length: 1\r\nConnection: close\r\n\r\n1"
        )
        await within("end of a session", over)
      })
    )
    await within("end of all connections", letIn(attack.limited))
  }
}

/** Addresses of clients, more of which come than the server takes from one. */
const ADDRESSES = 6

/** Takes all connections that one address may have, once those before have ended. */
const letIn = async (url: string): Promise<void> => {
  const sockets: Array<WebSocket> = []
  while (sockets.length < LIMITS.maxConnectionsPerAddress) {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, {
      headers: { "x-forwarded-for": "192.0.2.1" }
    })
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("open", () => resolve(true)).once("error", () => resolve(false))
    })
    if (isOpen) sockets.push(socket)
    else await pause(20)
  }
  for (const socket of sockets) socket.terminate()
}
