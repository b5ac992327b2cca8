import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Layer } from "effect"

import * as NodeConfig from "../../src/node/NodeConfig.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"

const reading = <A, E, R = never>(config: Effect.Effect<A, E, R>, env: Record<string, string>) =>
  Effect.provideService(config, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

/** Every option by its name in the environment, a setting, and what it means. */
const settings: ReadonlyArray<readonly [name: string, setting: string, option: string, value: unknown]> = [
  ["PATH", "/chat", "path", "/chat"],
  ["DESTROY_UPGRADE", "false", "destroyUpgrade", false],
  ["DESTROY_UPGRADE_TIMEOUT", "2 seconds", "destroyUpgradeTimeout", 2_000],
  ["SERVE_CLIENT", "false", "serveClient", false],
  ["TRUSTED_PROXIES", "10.0.0.1, fd00::/8", "trustedProxies", ["10.0.0.1", "fd00::/8"]],
  ["KEEP_REQUESTS", "true", "keepRequests", true],
  ["PER_MESSAGE_DEFLATE", "true", "perMessageDeflate", true],
  ["HTTP_COMPRESSION", "false", "httpCompression", false],
  ["PING_INTERVAL", "10 seconds", "pingInterval", 10_000],
  ["PING_TIMEOUT", "5 seconds", "pingTimeout", 5_000],
  ["UPGRADE_TIMEOUT", "3 seconds", "upgradeTimeout", 3_000],
  ["MAX_PAYLOAD", "1000", "maxPayload", 1_000],
  ["MAX_PACKETS_PER_PAYLOAD", "10", "maxPacketsPerPayload", 10],
  ["MAX_OUTBOX", "2000", "maxOutbox", 2_000],
  ["OUTBOX_OVERFLOW", "dropOldest", "outboxOverflow", "dropOldest"],
  ["MAX_CONNECTIONS", "100000", "maxConnections", 100_000],
  ["MAX_CONNECTIONS_PER_ADDRESS", "100", "maxConnectionsPerAddress", 100],
  ["ALLOWED_ORIGINS", "https://a.example, null", "allowedOrigins", ["https://a.example", "null"]],
  ["HANDSHAKE_TIMEOUT", "4 seconds", "handshakeTimeout", 4_000],
  ["TRANSPORTS", "websocket,polling", "transports", ["websocket", "polling"]],
  ["ALLOW_UPGRADES", "false", "allowUpgrades", false],
  ["ALLOW_EIO3", "true", "allowEIO3", true],
  ["COOKIE", "true", "cookie", true],
  ["DRAIN_TIMEOUT", "1 second", "drainTimeout", 1_000],
  ["CONNECT_TIMEOUT", "1 minute", "connectTimeout", 60_000],
  ["MAX_NAMESPACES", "2", "maxNamespaces", 2],
  ["MAX_PENDING_PACKETS", "3", "maxPendingPackets", 3],
  ["MAX_PENDING_EVENTS", "4", "maxPendingEvents", 4],
  ["MAX_PENDING_BYTES", "44", "maxPendingBytes", 44],
  ["PAUSE_READING_AT", "30", "pauseReadingAt", 30],
  ["RESUME_READING_AT", "20", "resumeReadingAt", 20],
  ["PAUSE_TIMEOUT", "5 seconds", "pauseTimeout", 5_000],
  ["MIDDLEWARE_TIMEOUT", "6 seconds", "middlewareTimeout", 6_000],
  ["MAX_PENDING_ACKS", "5", "maxPendingAcks", 5],
  ["MAX_ATTACHMENTS", "6", "maxAttachments", 6],
  ["MAX_ATTACHMENT_BYTES", "7", "maxAttachmentBytes", 7],
  ["ATTACHMENT_TIMEOUT", "8 seconds", "attachmentTimeout", 8_000],
  ["MAX_DEPTH", "9", "maxDepth", 9],
  ["TRACING", "false", "tracing", false]
]

describe("options from the environment", () => {
  it.effect("are all there", () =>
    Effect.gen(function* () {
      const env = Object.fromEntries(settings.map(([name, setting]) => [`SOCKETIO_${name}`, setting]))
      const options = (yield* reading(NodeConfig.attached, env)) as Record<string, unknown>
      const plain = (value: unknown) => (Duration.isDuration(value) ? Duration.toMillis(value) : value)
      assert.deepStrictEqual(
        Object.entries(options).map(([option, value]) => [option, plain(value)]),
        settings.map(([, , option, value]) => [option, value])
      )
    })
  )

  it.effect("say how many proxies there are", () =>
    Effect.gen(function* () {
      const { trustedProxies } = yield* reading(NodeConfig.attached, { SOCKETIO_TRUSTED_PROXIES: "2" })
      assert.strictEqual(trustedProxies, 2)
    })
  )

  it.effect("have their defaults where nothing is set", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* reading(NodeConfig.attached, {}), {})
      assert.deepStrictEqual(yield* reading(NodeConfig.listening, {}), { port: 3000 })
    })
  )

  it.effect("say where to listen", () =>
    Effect.gen(function* () {
      const env = { SOCKETIO_PORT: "8080", SOCKETIO_HOST: "127.0.0.1", SOCKETIO_BACKLOG: "10" }
      assert.deepStrictEqual(yield* reading(NodeConfig.listening, env), {
        port: 8080,
        host: "127.0.0.1",
        backlog: 10
      })
    })
  )

  it.effect("say how fast a connection may send", () =>
    Effect.gen(function* () {
      const read = (env: Record<string, string>) => Effect.map(reading(NodeConfig.attached, env), (o) => o.rateLimit)
      assert.deepStrictEqual(yield* read({ SOCKETIO_RATE_LIMIT: "100" }), { limit: 100 })
      const { interval, ...rest } = (yield* read({
        SOCKETIO_RATE_LIMIT: "0.5",
        SOCKETIO_RATE_LIMIT_INTERVAL: "1 minute",
        SOCKETIO_RATE_LIMIT_BURST: "7",
        SOCKETIO_RATE_LIMIT_EXCEEDED: "disconnect"
      }))!
      assert.deepStrictEqual(rest, { limit: 0.5, burst: 7, onExceeded: "disconnect" })
      assert.strictEqual(Duration.toMillis(interval!), 60_000)
      const layer = NodeSocketIoServer.layerConfig(NodeConfig.listening)
      const error = yield* Effect.flip(
        Effect.scoped(reading(Layer.build(layer), { SOCKETIO_PORT: "0", SOCKETIO_RATE_LIMIT_BURST: "7" }))
      )
      assert.deepInclude(error, { _tag: "InvalidOptionError", option: "rateLimit" })
    })
  )

  it.effect("say which origins may ask", () =>
    Effect.gen(function* () {
      const cors = (env: Record<string, string>) => Effect.map(reading(NodeConfig.attached, env), ({ cors }) => cors)
      assert.deepStrictEqual(yield* cors({ SOCKETIO_CORS_ORIGIN: "*" }), { origin: "*" })
      assert.deepStrictEqual(
        yield* cors({ SOCKETIO_CORS_ORIGIN: "https://a.example,https://b.example", SOCKETIO_CORS_CREDENTIALS: "true" }),
        { origin: ["https://a.example", "https://b.example"], credentials: true }
      )
      assert.deepStrictEqual(yield* cors({ SOCKETIO_CORS_ORIGIN: " https://a.example , https://b.example" }), {
        origin: ["https://a.example", "https://b.example"]
      })
    })
  )

  it.effect("may have blanks beside their commas", () =>
    Effect.gen(function* () {
      const { transports } = yield* reading(NodeConfig.attached, { SOCKETIO_TRANSPORTS: "websocket, polling" })
      assert.deepStrictEqual(transports, ["websocket", "polling"])
    })
  )

  it.effect("are refused where they cannot be read, or make no sense", () =>
    Effect.gen(function* () {
      const build = (env: Record<string, string>) =>
        Effect.flip(Effect.scoped(reading(Layer.build(NodeSocketIoServer.layerConfig(NodeConfig.listening)), env)))
      const unreadable = yield* build({ SOCKETIO_PORT: "0", SOCKETIO_TRANSPORTS: "carrier-pigeon" })
      assert.strictEqual(unreadable._tag, "ConfigError")
      assert.include(String(unreadable), "TRANSPORTS")
      const nonsense = yield* build({ SOCKETIO_PORT: "0", SOCKETIO_PING_INTERVAL: "1 millis" })
      assert.strictEqual(nonsense._tag, "InvalidOptionError")
      assert.include(nonsense.message, "pingInterval")
      const nobody = yield* build({ SOCKETIO_PORT: "0", SOCKETIO_CORS_CREDENTIALS: "true" })
      assert.strictEqual(nobody._tag, "InvalidOptionError")
      assert.include(nobody.message, "cors.origin")
    })
  )
})
