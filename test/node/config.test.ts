import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Layer } from "effect"

import * as NodeConfig from "../../src/node/NodeConfig.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"

const reading = <A, E, R = never>(config: Effect.Effect<A, E, R>, env: Record<string, string>) =>
  Effect.provideService(config, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

/** Every option by its name in the environment, a setting, and what it means. */
const settings: ReadonlyArray<readonly [name: string, setting: string, option: string, value: unknown]> = [
  ["PATH", "/chat", "path", "/chat"],
  ["FOREIGN_UPGRADES_DESTROY", "false", "foreignUpgrades.destroy", false],
  ["FOREIGN_UPGRADES_TIMEOUT", "2 seconds", "foreignUpgrades.timeout", 2_000],
  ["SERVE_CLIENT", "false", "serveClient", false],
  ["TRUSTED_PROXIES", "10.0.0.1, fd00::/8", "trustedProxies", ["10.0.0.1", "fd00::/8"]],
  ["KEEP_REQUESTS", "true", "keepRequests", true],
  ["WEB_SOCKET_PER_MESSAGE_DEFLATE", "true", "webSocket.perMessageDeflate", true],
  ["POLLING_COMPRESSION", "false", "polling.compression", false],
  ["HEARTBEAT_PING_INTERVAL", "10 seconds", "heartbeat.pingInterval", 10_000],
  ["HEARTBEAT_PING_TIMEOUT", "5 seconds", "heartbeat.pingTimeout", 5_000],
  ["UPGRADE_TIMEOUT", "3 seconds", "upgrade.timeout", 3_000],
  ["LIMITS_MAX_PAYLOAD", "1000", "limits.maxPayload", 1_000],
  ["LIMITS_MAX_PACKETS_PER_PAYLOAD", "10", "limits.maxPacketsPerPayload", 10],
  ["LIMITS_MAX_OUTBOX", "2000", "limits.maxOutbox", 2_000],
  ["LIMITS_OUTBOX_OVERFLOW", "dropOldest", "limits.outboxOverflow", "dropOldest"],
  ["LIMITS_MAX_CONNECTIONS", "100000", "limits.maxConnections", 100_000],
  ["LIMITS_MAX_CONNECTIONS_PER_ADDRESS", "100", "limits.maxConnectionsPerAddress", 100],
  ["ALLOWED_ORIGINS", "https://a.example, null", "allowedOrigins", ["https://a.example", "null"]],
  ["HANDSHAKE_TIMEOUT", "4 seconds", "handshake.timeout", 4_000],
  ["TRANSPORTS", "websocket,polling", "transports", ["websocket", "polling"]],
  ["UPGRADE_ALLOW", "false", "upgrade.allow", false],
  ["ALLOW_EIO3", "true", "allowEIO3", true],
  ["COOKIE", "true", "cookie", true],
  ["DRAIN_TIMEOUT", "1 second", "drainTimeout", 1_000],
  ["ON_SHUTDOWN_NOTICE", "1 second", "onShutdown.notice", 1_000],
  ["ON_SHUTDOWN_OVER", "2 seconds", "onShutdown.over", 2_000],
  ["ON_SHUTDOWN_RATE", "50.5", "onShutdown.rate", 50.5],
  ["LIMITS_CONNECT_TIMEOUT", "1 minute", "limits.connectTimeout", 60_000],
  ["LIMITS_MAX_NAMESPACES", "2", "limits.maxNamespaces", 2],
  ["LIMITS_MAX_AUTH_BYTES", "22", "limits.maxAuthBytes", 22],
  ["LIMITS_MAX_ROOMS", "23", "limits.maxRooms", 23],
  ["LIMITS_MAX_PENDING_PACKETS", "3", "limits.maxPendingPackets", 3],
  ["LIMITS_MAX_PENDING_EVENTS", "4", "limits.maxPendingEvents", 4],
  ["LIMITS_MAX_PENDING_BYTES", "44", "limits.maxPendingBytes", 44],
  ["READING_PAUSE_AT", "30", "reading.pauseAt", 30],
  ["READING_RESUME_AT", "20", "reading.resumeAt", 20],
  ["READING_PAUSE_TIMEOUT", "5 seconds", "reading.pauseTimeout", 5_000],
  ["LIMITS_MIDDLEWARE_TIMEOUT", "6 seconds", "limits.middlewareTimeout", 6_000],
  ["LIMITS_MAX_PENDING_ACKS", "5", "limits.maxPendingAcks", 5],
  ["LIMITS_MAX_ATTACHMENTS", "6", "limits.maxAttachments", 6],
  ["LIMITS_MAX_ATTACHMENT_BYTES", "7", "limits.maxAttachmentBytes", 7],
  ["LIMITS_ATTACHMENT_TIMEOUT", "8 seconds", "limits.attachmentTimeout", 8_000],
  ["LIMITS_MAX_DEPTH", "9", "limits.maxDepth", 9],
  ["AUTH_TOLERANCE", "3 seconds", "auth.tolerance", 3_000],
  ["AUTH_RATE", "50", "auth.rate", 50],
  ["RECOVERY_MAX_DISCONNECTION", "1 minute", "recovery.maxDisconnection", 60_000],
  ["RECOVERY_MAX_EVENTS", "10", "recovery.maxEvents", 10],
  ["RECOVERY_MAX_BYTES", "11", "recovery.maxBytes", 11],
  ["RECOVERY_MAX_DIRECT_BYTES", "12", "recovery.maxDirectBytes", 12],
  ["RECOVERY_MAX_SESSIONS", "13", "recovery.maxSessions", 13],
  ["RECOVERY_MAX_REPLAY", "14", "recovery.maxReplay", 14],
  ["RECOVERY_MAX_SCAN", "15", "recovery.maxScan", 15],
  ["RECOVERY_MAX_CATCH_UP_BYTES", "16", "recovery.maxCatchUpBytes", 16],
  ["TRACING_NAMES", "messaging", "tracing.names", "messaging"],
  ["TRACING_TRUST", "link", "tracing.trust", "link"]
]

const byOption = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1)

describe("options from the environment", () => {
  it.effect("are all there", () =>
    Effect.gen(function* () {
      const env = Object.fromEntries(settings.map(([name, setting]) => [`SOCKETIO_${name}`, setting]))
      const options = (yield* reading(NodeConfig.attached, env)) as Record<string, unknown>
      const plain = (value: unknown) => (Duration.isDuration(value) ? Duration.toMillis(value) : value)
      assert.deepStrictEqual(
        Object.entries(options)
          .flatMap(([option, value]) =>
            typeof value === "object" && value !== null && !Array.isArray(value) && !Duration.isDuration(value)
              ? Object.entries(value).map(([name, value]) => [`${option}.${name}`, plain(value)] as const)
              : [[option, plain(value)] as const]
          )
          .toSorted(byOption),
        settings.map(([, , option, value]) => [option, value] as const).toSorted(byOption)
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

  it.effect("switch recovery", () =>
    Effect.gen(function* () {
      const on = yield* reading(NodeConfig.attached, { SOCKETIO_RECOVERY: "true" })
      assert.deepStrictEqual(on, { recovery: true })
      const off = yield* reading(NodeConfig.attached, {
        SOCKETIO_RECOVERY: "false",
        SOCKETIO_RECOVERY_MAX_SESSIONS: "5"
      })
      assert.deepStrictEqual(off, { recovery: false })
    })
  )

  it.effect("switch spans", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* reading(NodeConfig.attached, { SOCKETIO_TRACING: "true" }), { tracing: true })
      const off = yield* reading(NodeConfig.attached, { SOCKETIO_TRACING: "false", SOCKETIO_TRACING_TRUST: "link" })
      assert.deepStrictEqual(off, { tracing: false })
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
      const read = (env: Record<string, string>) =>
        Effect.map(reading(NodeConfig.attached, env), (o) => o.limits?.rateLimit)
      assert.deepStrictEqual(yield* read({ SOCKETIO_LIMITS_RATE_LIMIT: "100" }), { limit: 100 })
      const { interval, ...rest } = (yield* read({
        SOCKETIO_LIMITS_RATE_LIMIT: "0.5",
        SOCKETIO_LIMITS_RATE_LIMIT_INTERVAL: "1 minute",
        SOCKETIO_LIMITS_RATE_LIMIT_BURST: "7",
        SOCKETIO_LIMITS_RATE_LIMIT_EXCEEDED: "disconnect"
      }))!
      assert.deepStrictEqual(rest, { limit: 0.5, burst: 7, onExceeded: "disconnect" })
      assert.strictEqual(Duration.toMillis(interval!), 60_000)
      const layer = NodeSocketIoServer.layerConfig(NodeConfig.listening)
      const error = yield* Effect.flip(
        Effect.scoped(reading(Layer.build(layer), { SOCKETIO_PORT: "0", SOCKETIO_LIMITS_RATE_LIMIT_BURST: "7" }))
      )
      assert.deepInclude(error, { _tag: "InvalidOptionError", option: "limits.rateLimit" })
    })
  )

  it.effect("say how fast a client may open dynamic namespaces", () =>
    Effect.gen(function* () {
      const read = (env: Record<string, string>) => Effect.map(reading(NodeConfig.attached, env), (o) => o.limits)
      assert.deepStrictEqual(
        yield* read({ SOCKETIO_LIMITS_OPENING_RATE: "5", SOCKETIO_LIMITS_OPENING_RATE_BURST: "9" }),
        { openingRate: { limit: 5, burst: 9 } }
      )
      assert.isUndefined(yield* read({}))
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
      const nonsense = yield* build({ SOCKETIO_PORT: "0", SOCKETIO_HEARTBEAT_PING_INTERVAL: "1 millis" })
      assert.strictEqual(nonsense._tag, "InvalidOptionError")
      assert.include(nonsense.message, "heartbeat.pingInterval")
      const nobody = yield* build({ SOCKETIO_PORT: "0", SOCKETIO_CORS_CREDENTIALS: "true" })
      assert.strictEqual(nobody._tag, "InvalidOptionError")
      assert.include(nobody.message, "cors.origin")
    })
  )
})
