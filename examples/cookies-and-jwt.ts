/**
 * Sessions in a cookie: a route signs users in, and the browser sends the cookie with the request
 * that opens a connection. A socket ends with its session. Only pages of known origins may connect.
 *
 *     npx node examples/cookies-and-jwt.ts
 *     curl -i -X POST -H 'content-type: application/json' -d '{"name":"Ada"}' http://localhost:3000/login
 *
 * In another terminal, in `npx node`, with the cookie of that answer (a page sends it by itself):
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000/account", { extraHeaders: { cookie: "session=…" } })
 *     socket.on("disconnect", (reason) => console.log(reason))      // with the end of the session
 *     await socket.emitWithAck("whoami")              // "Ada"
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Config, Context, DateTime, Duration, Effect, Layer, Redacted, Schema } from "effect"
import { Event, Namespace, NamespaceMiddleware } from "effect-socket.io"
import * as NodeSocketIoHttp from "effect-socket.io/node/NodeSocketIoHttp"
import { SocketIoServer } from "effect-socket.io/server"
import { Cookies, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"

// ---------------------------------------------------------------- tokens

/** The claims of a token: a user, and the end of the session in seconds since the epoch. */
class Claims extends Schema.Class<Claims>("session/Claims")({ sub: Schema.String, exp: Schema.Int }) {}

class TokenInvalid extends Schema.TaggedError<TokenInvalid>()("TokenInvalid", { message: Schema.String }) {}

class Tokens extends Context.Service<
  Tokens,
  {
    readonly issue: (name: string) => Effect.Effect<string>
    readonly verify: (token: string) => Effect.Effect<Claims, TokenInvalid>
  }
>()("session/Tokens") {}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")

/** JSON Web Tokens with HS256. In a real application a library such as jose makes and reads them. */
const TokensLive = Layer.effect(
  Tokens,
  Effect.gen(function* () {
    const secret = yield* Config.Redacted("SECRET").pipe(Config.withDefault(Redacted.make("only for this example")))
    const lifetime = yield* Config.Duration("SESSION").pipe(Config.withDefault(Duration.hours(1)))
    const sign = (text: string) => createHmac("sha256", Redacted.value(secret)).update(text).digest("base64url")
    const header = encode({ alg: "HS256", typ: "JWT" })
    const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Claims))
    const now = Effect.map(Clock.currentTimeMillis, (millis) => millis / 1_000)
    return {
      issue: (sub) =>
        Effect.map(now, (seconds) => {
          const claims = `${header}.${encode({ sub, exp: Math.ceil(seconds + Duration.toSeconds(lifetime)) })}`
          return `${claims}.${sign(claims)}`
        }),
      verify: Effect.fnUntraced(function* (token) {
        const [first, claims = "", signature = ""] = token.split(".")
        const [given, right] = [Buffer.from(signature), Buffer.from(sign(`${header}.${claims}`))]
        // The header is compared as a whole, so nobody chooses another algorithm.
        if (first !== header || given.length !== right.length || !timingSafeEqual(given, right)) {
          return yield* new TokenInvalid({ message: "not signed in" })
        }
        const read = yield* Effect.orDie(decode(Buffer.from(claims, "base64url").toString()))
        if (read.exp <= (yield* now)) return yield* new TokenInvalid({ message: "the session has ended" })
        return read
      })
    }
  })
)

// ---------------------------------------------------------------- the contract

class Session extends Context.Service<Session, Claims>()("session/Session") {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("session/Authentication", {
  provides: Session
}) {}

class Account extends Namespace.make("/account", {
  clientToServer: [Event.make("whoami", { ack: Schema.String })]
}).middleware(Authentication) {}

// ---------------------------------------------------------------- the server

/** The cookie of a page, or the `auth` payload of a program that has no cookies. */
const AuthenticationLive = Layer.effect(
  Authentication,
  Effect.map(Tokens, (tokens) =>
    Authentication.of(({ expires, handshake }) => {
      const { session } = Cookies.parseHeader(handshake.headers.cookie ?? "")
      const { token } = handshake.auth
      return tokens.verify(session ?? (typeof token === "string" ? token : "")).pipe(
        Effect.mapError(({ message }) => new NamespaceMiddleware.ConnectRefused({ message, data: { code: 401 } })),
        // The token is read once, when the socket connects. A socket must not outlive it.
        Effect.tap(({ exp }) => expires(DateTime.makeUnsafe(exp * 1_000), { then: "leave" }))
      )
    })
  )
)

const AccountLive = SocketIoServer.layerNamespace(
  Account,
  Effect.fnUntraced(function* () {
    const { sub } = yield* Session
    return Account.of({ whoami: () => Effect.succeed(sub) })
  })
).pipe(Layer.provide(AuthenticationLive))

const Login = HttpRouter.add(
  "POST",
  "/login",
  Effect.gen(function* () {
    // In a real application the user has a password, or comes from an identity provider.
    const { name } = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ name: Schema.NonEmptyString }))
    const token = yield* (yield* Tokens).issue(name)
    return yield* HttpServerResponse.empty().pipe(
      // With TLS: `secure: true`, too.
      HttpServerResponse.setCookie("session", token, { httpOnly: true, sameSite: "lax", path: "/" })
    )
  }).pipe(Effect.catchTag("SchemaError", () => Effect.succeed(HttpServerResponse.empty({ status: 400 }))))
)

const Announcement = Layer.effectDiscard(
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    if ("port" in address) yield* Effect.logInfo(`listening on http://localhost:${address.port}`)
  })
)

const Main = Announcement.pipe(
  Layer.provide([AccountLive, HttpRouter.serve(Login, { disableLogger: true, disableListenLog: true })]),
  Layer.provide(
    NodeSocketIoHttp.layer({
      port: Number(process.env.PORT ?? 3000),
      // Without it, any page that a user opens could connect with the user's cookie.
      allowedOrigins: /^http:\/\/localhost(:\d+)?$/,
      // This server issues the tokens itself: there is no other clock.
      auth: { tolerance: 0 }
    })
  ),
  Layer.provide(TokensLive)
)

NodeRuntime.runMain(Layer.launch(Main))
