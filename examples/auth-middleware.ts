/**
 * Admission: middleware checks tokens, a namespace asks for a role, and packet middleware limits a
 * rate.
 *
 *     npx node examples/auth-middleware.ts
 *
 * In another terminal, in `npx node`; other tokens are `grace-token` and `old-token`, another
 * namespace is `/admin`:
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000/account", { auth: { token: "ada-token" } })
 *     socket.on("connect_error", (error) => console.log(error.message, error.data))
 *     await socket.emitWithAck("whoami")              // { name: "Ada", role: "admin" }
 */
import { NodeRuntime } from "@effect/platform-node"
import { Context, Effect, Layer, Schema } from "effect"
import { Event, Namespace, NamespaceMiddleware } from "effect-socket.io"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { RateLimiter, SocketIoServer } from "effect-socket.io/server"

class User extends Schema.Class<User>("auth/User")({
  name: Schema.String,
  role: Schema.Literals(["member", "admin"])
}) {}

// ---------------------------------------------------------------- the contract

class CurrentUser extends Context.Service<CurrentUser, User>()("auth/CurrentUser") {}

class TokenUnknown extends Schema.TaggedError<TokenUnknown>()("TokenUnknown", {}) {
  override readonly message = "the token is not known"
}
class TokenExpired extends Schema.TaggedError<TokenExpired>()("TokenExpired", { since: Schema.Date }) {
  override readonly message = "the token has expired"
}

/** Provides the user to the handlers, or refuses: clients see the failure in `error.data`. */
class Authentication extends NamespaceMiddleware.Service<Authentication>()("auth/Authentication", {
  provides: CurrentUser,
  auth: Schema.Struct({ token: Schema.String }),
  error: Schema.Union([TokenUnknown, TokenExpired])
}) {}

const WhoAmI = Event.make("whoami", { ack: User })
class NoteTooLong extends Schema.TaggedError<NoteTooLong>()("NoteTooLong", { limit: Schema.Int }) {}

// The client gets { _tag: "Failure", error }: the declared failure, or the refusal of the rate
// limit.
const Note = Event.make("note", { payload: Schema.String, ack: Schema.Int, error: NoteTooLong })

class Account extends Namespace.make("/account", { clientToServer: [WhoAmI, Note] }).middleware(Authentication) {}

/** A second middleware: it only admits or refuses. */
class AdminsOnly extends NamespaceMiddleware.Service<AdminsOnly>()("auth/AdminsOnly", {
  auth: Schema.Struct({ token: Schema.String })
}) {}

class Admin extends Namespace.make("/admin", { clientToServer: [WhoAmI] })
  .middleware(Authentication)
  .middleware(AdminsOnly) {}

// ---------------------------------------------------------------- the tokens

/** In a real application this asks a database, or verifies a signature. */
class Tokens extends Context.Service<
  Tokens,
  { readonly verify: (token: string) => Effect.Effect<User, TokenUnknown | TokenExpired> }
>()("auth/Tokens") {}

const TokensLive = Layer.succeed(Tokens, {
  verify: (token) => {
    switch (token) {
      case "ada-token":
        return Effect.succeed(new User({ name: "Ada", role: "admin" }))
      case "grace-token":
        return Effect.succeed(new User({ name: "Grace", role: "member" }))
      case "old-token":
        return Effect.fail(new TokenExpired({ since: new Date(0) }))
      default:
        return Effect.fail(new TokenUnknown())
    }
  }
})

const AuthenticationLive = Layer.effect(
  Authentication,
  Effect.map(Tokens, (tokens) => Authentication.of(({ auth }) => tokens.verify(auth.token)))
)

const AdminsOnlyLive = Layer.effect(
  AdminsOnly,
  Effect.map(Tokens, (tokens) =>
    AdminsOnly.of(({ auth }) =>
      Effect.gen(function* () {
        // The first middleware has just verified it: a failure here is a bug.
        const user = yield* Effect.orDie(tokens.verify(auth.token))
        if (user.role !== "admin") {
          return yield* new NamespaceMiddleware.ConnectRefused({ message: "admins only", data: { role: user.role } })
        }
      })
    )
  )
)

// ---------------------------------------------------------------- the namespaces

const AccountLive = SocketIoServer.layerNamespace(
  Account,
  Effect.fnUntraced(function* (socket) {
    const user = yield* CurrentUser
    let notes = 0
    // Five notes at once, then one a second. More are refused.
    yield* socket.use(RateLimiter.make({ limit: 1, burst: 5 }))
    yield* Effect.logInfo(`${user.name} is here`).pipe(Effect.annotateLogs({ sid: socket.id }))
    return Account.of({
      whoami: () => Effect.succeed(user),
      note: Effect.fnUntraced(function* (text) {
        if (text.length > 100) return yield* new NoteTooLong({ limit: 100 })
        yield* Effect.logInfo(`${user.name} notes: ${text}`)
        return ++notes
      })
    })
  })
)

const AdminLive = SocketIoServer.layerNamespace(Admin, () =>
  Effect.succeed(Admin.of({ whoami: () => CurrentUser.use(Effect.succeed) }))
)

const Main = NodeSocketIoServer.serve(Layer.mergeAll(AccountLive, AdminLive), {
  port: Number(process.env.PORT ?? 3000)
}).pipe(Layer.provide([AuthenticationLive, AdminsOnlyLive]), Layer.provide(TokensLive))

NodeRuntime.runMain(Layer.launch(Main))
