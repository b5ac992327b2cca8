/**
 * HTTP servers that do not keep to the protocol, and a client's platforms, browsers' and Node's.
 */
import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Option, Stream } from "effect"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import { openPacket } from "../support/engineClient.ts"
import { listen } from "../support/serve.ts"

describe("a client of a hostile server", () => {
  for (const [name, platform] of [
    ["the platform of browsers", Layer.empty],
    ["the platform of Node", NodeClientPlatform.layerWith({ maxPayload: 1_000_000 })],
    [
      "the platform of Node with an agent",
      NodeClientPlatform.layerWith({ maxPayload: 1_000_000, agent: new Http.Agent({ keepAlive: false }) })
    ]
  ] as const) {
    /** The error of a client on this platform about a server that answers so. */
    const answered = (
      respond: (response: Http.ServerResponse, request: Http.IncomingMessage) => void,
      options: Partial<ClientOptions> = {}
    ) =>
      Effect.gen(function* () {
        const http = Http.createServer((request, response) => respond(response, request))
        const url = yield* listen(http)
        const client = yield* Layer.build(
          SocketIoClient.layer({ url, transports: ["polling"], reconnection: false, ...options }).pipe(
            Layer.provide(platform)
          )
        )
        const socket = yield* Effect.provideContext(SocketIoClient.socket("/"), client)
        return { socket, url }
      })

    for (const [what, respond, message] of [
      ["a page", (response) => response.end("<html>"), /^not an open packet$/],
      ["nothing", (response) => response.end(), /^empty packet$/],
      ["nothing, and says so", (response) => response.writeHead(204).end(), /^GET was answered with status 204$/],
      ["an error", (response) => response.writeHead(500).end("oh"), /^GET was answered with status 500$/],
      ["of no known status", (response) => response.writeHead(999).end("oh"), /^GET (was answered|failed: .)/],
      ["of status 600", (response) => response.writeHead(600).end("oh"), /^GET (was answered|failed: .)/],
      [
        "another protocol",
        (response) => response.writeHead(101, { connection: "upgrade", upgrade: "x" }).end(),
        /^GET failed: ./
      ],
      [
        "a redirection to itself",
        (response, { url }) => response.writeHead(302, { location: url! }).end(),
        // An agent's requests follow none.
        name.endsWith("agent") ? /^GET was answered with status 302$/ : /^GET failed: ./
      ],
      ["a redirection to nowhere", (response) => response.writeHead(302).end(), /^GET was answered with status 302$/],
      ["bytes that are no text", (response) => response.end(Buffer.from([0xff, 0xfe, 0x30])), /^not an open packet$/],
      [
        "half a response",
        (response) => response.writeHead(200, { "content-length": 9 }).write("0{", () => response.destroy()),
        /^GET failed: ./
      ],
      ["a reset", (response) => response.destroy(), /^GET failed: ./]
    ] as ReadonlyArray<[string, (response: Http.ServerResponse, request: Http.IncomingMessage) => void, RegExp]>) {
      it.live(`on ${name} fails when the answer is ${what}`, () =>
        Effect.gen(function* () {
          const { socket } = yield* answered(respond)
          const failed = yield* Stream.runHead(Stream.filter(socket.status, (status) => status._tag === "Failed"))
          assert.match(Option.getOrThrow(failed).error.message, message)
        })
      )
    }

    for (const [what, begin] of [
      ["never comes", () => {}],
      ["never ends", (response) => response.write("0{")],
      [
        "never ends, and grows",
        (response) => {
          const more = () => {
            while (!response.destroyed && response.write("x".repeat(1_000)));
          }
          response.on("drain", () => setTimeout(more, 1))
          more()
        }
      ]
    ] as ReadonlyArray<[string, (response: Http.ServerResponse) => void]>) {
      it.live(`on ${name} fails, and lets go, when the answer ${what}`, () =>
        Effect.gen(function* () {
          const aborted = yield* Deferred.make<void>()
          const { socket } = yield* answered(
            (response) => {
              response.on("close", () => Deferred.doneUnsafe(aborted, Effect.void))
              begin(response)
            },
            { connectTimeout: "300 millis" }
          )
          const failed = yield* Stream.runHead(Stream.filter(socket.status, (status) => status._tag === "Failed"))
          // It has grown too large before, where there is a bound.
          assert.match(Option.getOrThrow(failed).error.message, /^timeout$|has more than \d+ bytes$/)
          yield* Deferred.await(aborted)
        })
      )
    }

    it.live(`on ${name} fails, and lets go, when the answer has no end`, () =>
      Effect.gen(function* () {
        const closed = yield* Deferred.make<void>()
        const chunk = Buffer.alloc(1_000_000, "x")
        const { socket } = yield* answered((response) => {
          response.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
          const more = () => {
            while (!response.destroyed && response.write(chunk));
          }
          response.on("drain", more)
          more()
        })
        const failed = yield* Stream.runHead(Stream.filter(socket.status, (status) => status._tag === "Failed"))
        assert.match(Option.getOrThrow(failed).error.message, /^GET failed: ./)
        yield* Deferred.await(closed)
      })
    )

    it.live(`on ${name} leaves others their turn while noops come without end`, () =>
      Effect.gen(function* () {
        const enough = yield* Deferred.make<void>()
        let polls = 0
        const { socket } = yield* answered((response, { method, url }) => {
          if (method === "POST") response.end("ok")
          else if (!url!.includes("sid=")) response.end(openPacket())
          else if (++polls === 1) response.end('40{"sid":"id"}')
          else response.end("6")
          if (polls === 200) Deferred.doneUnsafe(enough, Effect.void)
        })
        yield* Deferred.await(enough)
        assert.isTrue(socket.connected)
        yield* socket.disconnect()
        assert.isFalse(socket.connected)
      })
    )
  }
})
