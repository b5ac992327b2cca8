/**
 * The entrances of features that a server has on request.
 */
import { type Entrance, flood, OPENS, packets, socket } from "./entrance.ts"
import { readAgain, requests, times, unwanted, webSocket } from "./traffic.ts"

/** The acknowledgement id of what the server asks of clients. */
const CONTROL = 2_147_483_647

const call = (id: number, tag: string, payload = "null"): string =>
  `42/rpc,["rpc",{"_tag":"Request","id":"${id}","tag":"${tag}","payload":${payload},"headers":[]}]`

const frame = (rest: string): string => `42/rpc,["rpc",{${rest}}]`

/** A CONNECT with a private session id: of no session, or of one that is there. */
const PID = "AAAAAAAAAAAAAAAAAAAA"

const page = (name: string, path: string, count = 1): Entrance => ({
  name: `request: ${name}`,
  transport: "handshake",
  attack: times(2, requests({ requests: `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(count), count }))
})

export const featureEntrances: ReadonlyArray<Entrance> = [
  flood("acknowledgements of what no client was asked", "", `43${CONTROL}[]`),

  flood("streams: start one that ends", "/streams,", '42/streams,1["none"]'),
  flood("streams: start one that runs, beyond the bound", "/streams,", '42/streams,1["never"]'),
  {
    ...flood("streams: large: start one that runs", "/streams,", `42/streams,1["asked","${"x".repeat(900_000)}"]`),
    isLarge: true
  },
  flood("streams: read one that is not there", "/streams,", '42/streams,1["long:read",{"stream":"x","after":0}]'),
  flood("streams: acknowledge one that is not read", "/streams,", '42/streams,["long:ack",{"stream":"x","at":1}]'),
  flood("streams: find without a key", "/streams,", '42/streams,1["long:find","x"]'),
  {
    name: "WebSocket: streams: read a megabyte from the start, again and again",
    transport: "websocket",
    attack: readAgain
  },
  flood("once: without an id", "/streams,", '42/streams,1["once","x"]'),
  flood("once: the same message again", "/streams,", '42/streams,1["once","x",{"id":"abcdefghijklmnopqrst"}]'),
  {
    name: "WebSocket: once: the same message again, over ten connections, and its handler fails",
    transport: "websocket",
    attack: times(
      10,
      webSocket({ join: ["40/streams,"], traffic: packets('42/streams,1["dies","x",{"id":"abcdefghijklmnopqrst"}]') })
    )
  },
  socket("once: ever other messages", {
    join: ["40/streams,"],
    traffic: packets(
      ...Array.from({ length: 20_000 }, (_, i) => `42/streams,1["once","x",{"id":"abcdefghijklmnop${i}"}]`)
    )
  }),

  flood("RPC: call", "/rpc,", call(1, "Echo", '{"text":"x"}')),
  flood("RPC: call of nothing", "/rpc,", call(1, "Nothing")),
  flood("RPC: payload that its schema refuses", "/rpc,", call(1, "Echo", '{"text":1}')),
  flood("RPC: stream", "/rpc,", call(1, "Words")),
  socket("RPC: calls that never end", {
    join: ["40/rpc,"],
    traffic: packets(...Array.from({ length: 5_000 }, (_, i) => call(i, "Never")))
  }),
  flood("RPC: call and interrupt", "/rpc,", call(1, "Never"), frame('"_tag":"Interrupt","requestId":"1"')),
  flood("RPC: acknowledgement of nothing", "/rpc,", frame('"_tag":"Ack","requestId":"1"')),
  flood("RPC: resume", "/rpc,", frame('"_tag":"Resume","question":1')),
  flood("RPC: a frame that is none", "/rpc,", frame('"_tag":"x"')),

  flood("presence: enter and leave", "/online,", '42/online,1["enter","a"]', '42/online,["leave","a"]'),
  socket("presence: rooms by ever other names", {
    join: ["40/online,"],
    traffic: packets(...Array.from({ length: 20_000 }, (_, i) => `42/online,1["enter","r${i}"]`))
  }),
  socket("presence: another status each time", {
    join: ["40/online,"],
    traffic: packets(...Array.from({ length: 1_000 }, (_, i) => `42/online,["status","s${i}"]`))
  }),
  flood("presence: join and leave", "", "40/online,", "41/online,"),

  flood("admin: without credentials", "", "40/admin,"),
  flood("admin: wrong password", "", '40/admin,{"username":"admin","password":"x"}'),
  flood("admin: session of nobody", "", '40/admin,{"sessionId":"AAAAAAAAAAAAAAAA"}'),
  page("the Admin UI's page", "/socket.io-admin/"),
  page("a file of the Admin UI that is not there", "/socket.io-admin/nothing", 20),
  {
    name: "request: a body without an end, for the Admin UI's page",
    transport: "handshake",
    attack: times(2, unwanted("POST /socket.io-admin/")),
    slower: 10
  },

  {
    ...flood("recovery: CONNECT of no session", "", `40/chat,{"pid":"${PID}","offset":"x"}`, "41/chat,"),
    recovers: true
  },
  { ...flood("recovery: acknowledged event", "", `421["ack","${"x".repeat(36)}"]`), recovers: true },
  {
    ...socket("recovery: sessions that are left", { traffic: packets('421["ack",1]'), once: true }, OPENS),
    recovers: true
  }
]
