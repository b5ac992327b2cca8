import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

import { logText } from "../../internal/logText.ts"
import * as NamespaceMiddleware from "../../NamespaceMiddleware.ts"
import type { ResolvedAdminOptions } from "../AdminOptions.ts"
import { Sessions } from "./sessions.ts"
import { Tries } from "./tries.ts"

const Text = Schema.String.check(Schema.isMaxLength(256))

/**
 * The auth payload of the page: a session, or credentials. It sends `null` for a missing session.
 */
const Auth = Schema.Struct({
  sessionId: Schema.optional(Schema.NullOr(Text)),
  username: Schema.optional(Schema.NullOr(Text)),
  password: Schema.optional(Schema.NullOr(Text))
})

/** The login of an administrator. */
export class Login extends Context.Service<
  Login,
  {
    /** A new session for the page to keep; `undefined` if it has one, or needs none. */
    readonly session: string | undefined
  }
>()("effect-socket.io/admin/Login") {}

/** Decides who may look. */
export class Guard extends NamespaceMiddleware.Service<Guard>()("effect-socket.io/admin/Guard", {
  provides: Login,
  auth: Auth
}) {}

/** The page knows this message: it asks for credentials then. */
const refusal = new NamespaceMiddleware.ConnectRefused({ message: "invalid credentials" })

const tooMany = new NamespaceMiddleware.ConnectRefused({ message: "too many tries" })

const warn = (message: string, annotations: Record<string, unknown>): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(message), annotations)

/** The guard of one server, with the services that `auth` needs. */
export const makeGuard = <R>(
  options: ResolvedAdminOptions<R>,
  context: Context.Context<R>
): Context.Service.Shape<typeof Guard> => {
  const { auth } = options
  if (auth === false) return () => Effect.succeed({ session: undefined })
  const tries = new Tries(options.tries, options.triesInAll)
  const sessions = new Sessions(options.sessionSecret, options.namespace, options.sessionTimeToLive)
  return Effect.fnUntraced(function* ({ auth: { password, sessionId, username }, handshake }) {
    const now = yield* Clock.currentTimeMillis
    if (sessionId && sessions.isOpen(sessionId, now)) return { session: undefined }
    // It costs no try to say nothing.
    if (!username || !password) return yield* refusal
    const { address } = handshake
    if (!tries.take(address, now)) {
      const count = tries.refusals.add(now)
      if (count !== undefined) yield* warn("admin: too many tries to log in", { address: logText(address), count })
      return yield* tooMany
    }
    const isAdmitted = yield* Effect.provideContext(
      Effect.suspend(() => auth({ username, password: Redacted.make(password) })),
      context
    )
    if (isAdmitted) return { session: sessions.open(now) }
    // As many lines as there are tries.
    yield* warn("admin: a login was refused", { address: logText(address) })
    return yield* refusal
  })
}
