/**
 * The contract of the club: what its events carry on the wire, as clients of the official server
 * know it. Answers that were `{ ok, … }` stay so.
 */
import { Context, Schema } from "effect"
import { Binary, Event, Namespace, NamespaceMiddleware } from "effect-socket.io"

/** The name of the user, for handlers. */
export class UserName extends Context.Service<UserName, string>()("club/UserName") {}

export class Authentication extends NamespaceMiddleware.Service<Authentication>()("club/Authentication", {
  provides: UserName,
  auth: Schema.Struct({ token: Schema.String })
}) {}

/** An answer of `{ ok: false }`, beside one of `{ ok: true }`. */
const orProblem = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Union([
    Schema.Struct({ ok: Schema.Literal(true), ...fields }),
    Schema.Struct({ ok: Schema.Literal(false), problem: Schema.String })
  ])

const Text = Schema.String.check(Schema.isMaxLength(2_000))
const Name = Schema.String.check(Schema.isMaxLength(100))

export class Club extends Namespace.make("/", {
  data: { name: Schema.String },
  clientToServer: [
    Event.make("join", { payload: Name, ack: orProblem({ members: Schema.Int }) }),
    Event.make("mute"),
    Event.make("say", { args: [Name, Text] }),
    Event.make("poll", { args: [Name, Text], ack: Schema.Struct({ yes: Schema.Int, no: Schema.Int }) }),
    Event.make("check", { payload: Name, ack: Schema.String }),
    Event.make("upload", { payload: { name: Name, size: Schema.Int }, ack: Schema.Int }),
    Event.make("chunk", { args: [Schema.Int, Binary.Bytes], ack: orProblem({ received: Schema.Int }) })
  ],
  serverToClient: [
    Event.make("welcome", { payload: Schema.String }),
    Event.make("joined", { args: [Schema.String, Schema.String] }),
    Event.make("said", { args: [Schema.String, Schema.String, Schema.String] }),
    Event.make("vote", { payload: Schema.String, ack: Schema.Boolean }),
    Event.make("still there", { ack: Schema.String }),
    Event.make("progress", { args: [Schema.Int, Schema.Finite] }),
    Event.make("uploaded", { args: [Schema.String, Schema.String] }),
    Event.make("left", { payload: Schema.String })
  ]
}).middleware(Authentication) {}

export class Board extends Namespace.dynamic("/board-:id", {
  params: { id: Schema.FiniteFromString },
  clientToServer: [Event.make("draw", { args: [Schema.Finite, Schema.Finite] })],
  serverToClient: [
    Event.make("board", { payload: Schema.Finite }),
    Event.make("drawn", { args: [Schema.String, Schema.Finite, Schema.Finite] })
  ]
}).middleware(Authentication) {}
