/**
 * The client's options from the configuration.
 */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Layer } from "effect"

import * as ClientConfig from "../../src/client/ClientConfig.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import { makeFakePlatform } from "../support/fakeClientPlatform.ts"

const reading = <A, E, R>(effect: Effect.Effect<A, E, R>, env: Record<string, string>) =>
  Effect.provideService(effect, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

describe("the client's configuration", () => {
  it.effect("has every option that a string can say", () =>
    Effect.gen(function* () {
      const { connectTimeout, ...rest } = yield* reading(ClientConfig.options, {
        SOCKETIO_CLIENT_URL: "https://example.org",
        SOCKETIO_CLIENT_PATH: "/chat",
        SOCKETIO_CLIENT_ADD_TRAILING_SLASH: "false",
        SOCKETIO_CLIENT_TRANSPORTS: "websocket, polling",
        SOCKETIO_CLIENT_UPGRADE: "false",
        SOCKETIO_CLIENT_WITH_CREDENTIALS: "true",
        SOCKETIO_CLIENT_PROTOCOLS: "a, b",
        SOCKETIO_CLIENT_FORCE_BASE64: "true",
        SOCKETIO_CLIENT_CONNECT_TIMEOUT: "3 seconds",
        SOCKETIO_CLIENT_RECONNECTION: "false",
        SOCKETIO_CLIENT_MAX_BUFFERED: "1",
        SOCKETIO_CLIENT_BUFFER_OVERFLOW: "oldest",
        SOCKETIO_CLIENT_MAX_PENDING_ACKS: "2",
        SOCKETIO_CLIENT_MAX_ATTACHMENTS: "3",
        SOCKETIO_CLIENT_MAX_ATTACHMENT_BYTES: "4",
        SOCKETIO_CLIENT_MAX_DEPTH: "5"
      })
      assert.strictEqual(Duration.toMillis(connectTimeout as Duration.Duration), 3_000)
      assert.deepStrictEqual(rest, {
        url: "https://example.org",
        path: "/chat",
        addTrailingSlash: false,
        transports: ["websocket", "polling"],
        upgrade: false,
        withCredentials: true,
        protocols: ["a", "b"],
        forceBase64: true,
        reconnection: false,
        maxBuffered: 1,
        bufferOverflow: "oldest",
        maxPendingAcks: 2,
        maxAttachments: 3,
        maxAttachmentBytes: 4,
        maxDepth: 5
      })
    })
  )

  it.effect("needs the server's address only", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* reading(ClientConfig.options, { SOCKETIO_CLIENT_URL: "http://a" }), {
        url: "http://a"
      })
      const error = yield* Effect.flip(reading(ClientConfig.options, {}))
      assert.include(String(error), "SOCKETIO_CLIENT")
    })
  )

  it.effect("makes a client, as does a Config for each option", () =>
    Effect.gen(function* () {
      const env = { SOCKETIO_CLIENT_URL: "http://a", SOCKETIO_CLIENT_TRANSPORTS: "websocket", B: "http://b", C: "none" }
      const platform = makeFakePlatform()
      const open = (layer: Layer.Layer<SocketIoClient.SocketIoClient, unknown>) =>
        reading(
          Effect.flatMap(Layer.build(layer), (client) => Effect.provideContext(SocketIoClient.socket("/"), client)),
          env
        ).pipe(Effect.provideService(ClientPlatform, platform))
      yield* open(SocketIoClient.layerConfig(ClientConfig.options))
      assert.match(platform.sockets.at(-1)!.request.url, /^ws:\/\/a\/socket\.io\//)
      yield* open(
        SocketIoClient.layerConfig({ url: Config.String("B"), transports: Config.succeed(["websocket"] as const) })
      )
      assert.match(platform.sockets.at(-1)!.request.url, /^ws:\/\/b\//)
      const refused = yield* Effect.flip(open(SocketIoClient.layerConfig({ url: Config.String("C") })))
      assert.include(String(refused), "must be an origin")
    })
  )
})
