/**
 * A newsroom whose readers have short tokens. A client refreshes its rights over the open connection,
 * or comes back with a new token when they end. A token for fewer sections takes the others away.
 *
 *     npx node examples/rights-that-end.ts
 *
 * In another terminal, in `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     const url = "http://localhost:3000"
 *     const fetchToken = (sections = "sports,politics") =>
 *       fetch(`${url}/token?user=Ada&sections=${sections}`, { method: "POST" }).then((response) => response.text())
 *     const socket = io(`${url}/newsroom`, { auth: (give) => fetchToken().then((token) => give({ token })) })
 *     socket.on("news", ({ section, text }) => console.log(section, text))
 *     socket.on("auth:expiring", ({ expiresIn }) => console.log("the token ends in", expiresIn, "ms"))
 *     socket.on("disconnect", (reason) => console.log(reason))      // every 20 seconds, and it comes back
 *     await socket.emitWithAck("auth", { token: await fetchToken("sports") })     // no more politics
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Config, Context, DateTime, Duration, Effect, Layer, Schedule, Schema } from "effect"
import { Event, Namespace, NamespaceMiddleware } from "effect-socket.io"
import * as NodeSocketIoHttp from "effect-socket.io/node/NodeSocketIoHttp"
import { SocketIoServer } from "effect-socket.io/server"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"

const SECTIONS = ["sports", "politics"] as const

// ---------------------------------------------------------------- tokens

interface Reader {
  readonly name: string
  readonly sections: ReadonlyArray<string>
}

interface Claims extends Reader {
  readonly expiresAt: DateTime.DateTime
}

/** Tokens that this process remembers. In a real application an identity provider signs them. */
class Tokens extends Context.Service<
  Tokens,
  {
    readonly issue: (reader: Reader) => Effect.Effect<string>
    readonly verify: (token: string) => Effect.Effect<Claims, NamespaceMiddleware.ConnectRefused>
  }
>()("newsroom/Tokens") {}

const TokensLive = Layer.effect(
  Tokens,
  Effect.gen(function* () {
    const lifetime = yield* Config.Duration("LIFETIME").pipe(Config.withDefault(Duration.seconds(20)))
    const issued = new Map<string, Claims>()
    return {
      issue: (reader) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const token = crypto.randomUUID()
          issued.set(token, { ...reader, expiresAt: DateTime.makeUnsafe(now + Duration.toMillis(lifetime)) })
          return token
        }),
      verify: (token) => {
        const claims = issued.get(token)
        return claims === undefined
          ? Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "the token is not known" }))
          : Effect.succeed(claims)
      }
    }
  })
)

// ---------------------------------------------------------------- the contract

class CurrentReader extends Context.Service<CurrentReader, Reader>()("newsroom/CurrentReader") {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("newsroom/Authentication", {
  provides: CurrentReader,
  auth: Schema.Struct({ token: Schema.String }),
  refresh: { event: "auth", same: (before, now) => before.name === now.name }
}) {}

class Newsroom extends Namespace.make("/newsroom", {
  clientToServer: [Event.make("sections", { ack: Schema.Array(Schema.String) })],
  serverToClient: [Event.make("news", { payload: { section: Schema.String, text: Schema.String } })]
}).middleware(Authentication) {}

// ---------------------------------------------------------------- the server

const AuthenticationLive = Layer.effect(
  Authentication,
  Effect.map(Tokens, (tokens) =>
    Authentication.of(({ auth, expires }) =>
      Effect.tap(tokens.verify(auth.token), ({ expiresAt }) => expires(expiresAt, { notice: "5 seconds" }))
    )
  )
)

const NewsroomLive = SocketIoServer.layerNamespace(
  Newsroom,
  Effect.fnUntraced(function* (socket) {
    const { sections } = yield* CurrentReader
    yield* socket.join(sections)
    yield* socket.onAuth(({ sections }) =>
      Effect.andThen(
        socket.reauthorize((section) => Effect.succeed(sections.includes(section))),
        socket.join(sections)
      )
    )
    // The reader of the moment, whatever the builder has read.
    return Newsroom.of({ sections: () => Effect.map(CurrentReader, ({ sections }) => sections) })
  })
).pipe(Layer.provide(AuthenticationLive))

/** A piece of news in every section, twice per second. */
const News = Layer.effectDiscard(
  Effect.gen(function* () {
    const newsroom = yield* SocketIoServer.namespace(Newsroom)
    yield* Effect.forEach(SECTIONS, (section) =>
      newsroom.to(section).emit("news", { section, text: "something new" })
    ).pipe(Effect.repeat(Schedule.spaced("500 millis")), Effect.forkScoped)
  })
)

/** Signs a reader in. In a real application this one has a password. */
const SignIn = HttpRouter.add(
  "POST",
  "/token",
  Effect.gen(function* () {
    const { sections, user } = yield* HttpServerRequest.schemaSearchParams(
      Schema.Struct({ user: Schema.NonEmptyString, sections: Schema.String })
    )
    const token = yield* (yield* Tokens).issue({
      name: user,
      sections: SECTIONS.filter((section) => sections.split(",").includes(section))
    })
    return HttpServerResponse.text(token)
  }).pipe(Effect.catchTag("SchemaError", () => Effect.succeed(HttpServerResponse.empty({ status: 400 }))))
)

const Announcement = Layer.effectDiscard(
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    if ("port" in address) yield* Effect.logInfo(`listening on http://localhost:${address.port}`)
  })
)

const Main = Layer.mergeAll(
  Announcement,
  News,
  NewsroomLive,
  HttpRouter.serve(SignIn, { disableLogger: true, disableListenLog: true })
).pipe(
  Layer.provide(
    NodeSocketIoHttp.layer({
      port: Number(process.env.PORT ?? 3000),
      recovery: true,
      // This server issues the tokens itself: there is no other clock.
      auth: { tolerance: 0 }
    })
  ),
  Layer.provide(TokensLive)
)

NodeRuntime.runMain(Layer.launch(Main))
