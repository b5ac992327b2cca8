/**
 * Refreshes in contracts: in documents, in comparisons, and in types.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Schema } from "effect"

import * as AsyncApi from "../../src/AsyncApi.ts"
import * as ContractDiff from "../../src/ContractDiff.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import { diagnosticsOfAll } from "../support/typecheck.ts"

const Whoami = Event.make("whoami", { ack: Schema.String })

const token = Schema.Struct({ token: Schema.String })

class Lasting extends NamespaceMiddleware.Service<Lasting>()("test/Auth", { auth: token }) {}

class Refreshable extends NamespaceMiddleware.Service<Refreshable>()("test/Auth", {
  auth: token,
  refresh: { event: "auth", same: () => true }
}) {}

const Desk = Namespace.make("/desk", { clientToServer: [Whoami] })

describe("a middleware with `refresh`", () => {
  it("brings two events, which documents show", () => {
    const withRefresh = Desk.middleware(Refreshable)
    assert.deepStrictEqual(Array.from(withRefresh.clientToServer.keys()), ["whoami", "auth"])
    assert.deepStrictEqual(Array.from(withRefresh.serverToClient.keys()), ["auth:expiring"])
    const document = JSON.stringify(AsyncApi.fromNamespaces([withRefresh], { title: "t", version: "1" }))
    for (const text of ['"auth"', '"auth:expiring"', "expiresIn", "ConnectRefused"]) assert.include(document, text)
  })

  it("is an addition to a contract, safe for clients that do not know it", () => {
    const compared = (before: Namespace.Any, after: Namespace.Any) =>
      ContractDiff.compare(ContractDiff.snapshot([before]), ContractDiff.snapshot([after]))
    const added = compared(Desk.middleware(Lasting), Desk.middleware(Refreshable))
    assert.deepStrictEqual(added.map(({ level, rule }) => [level, rule]).toSorted(), [
      ["safe", "event-added"],
      ["safe", "event-added"]
    ])
    const removed = compared(Desk.middleware(Refreshable), Desk.middleware(Lasting))
    assert.strictEqual(removed[0]?.level, "breaking")
  })

  it("takes its names: no other event of the contract has them, in whatever order they come", () => {
    const Taken = Event.make("auth")
    const Notice = Event.make("auth:expiring")
    const twice = /declares the event "auth(:expiring)?" twice/
    assert.throws(() => Namespace.make("/a", { clientToServer: [Taken] }).middleware(Refreshable), twice)
    assert.throws(() => Namespace.make("/a", { serverToClient: [Notice] }).middleware(Refreshable), twice)
    assert.throws(
      () =>
        Namespace.make("/a")
          .middleware(Refreshable)
          .add({ clientToServer: [Taken] }),
      twice
    )
    // Another direction is another event.
    Namespace.make("/a", { serverToClient: [Taken] }).middleware(Refreshable)
  })

  it("comes along where contracts are merged, once", () => {
    const One = Namespace.make("/one").middleware(Refreshable)
    const merged = Namespace.merge(Namespace.merge(Desk.middleware(Refreshable), One), One)
    assert.deepStrictEqual(merged.middlewares, [Refreshable])
    assert.deepStrictEqual(Array.from(merged.clientToServer.keys()), ["whoami", "auth"])
  })

  it("leaves a contract without declared events as it is", () => {
    const plain = Namespace.untyped("/plain").middleware(Refreshable)
    assert.deepStrictEqual([plain.clientToServer.size, plain.serverToClient.size], [0, 0])
  })

  it("throws on a name that is reserved", () => {
    const declare = (event: string) =>
      NamespaceMiddleware.Service<never>()("test/Wrong", { refresh: { event, same: () => true } })
    for (const name of ["connect", "disconnect", "~fx:auth"]) assert.throws(() => declare(name), /reserved/)
  })
})

const prelude = `
import { Context, DateTime, Effect, Layer, Schema, Stream } from "effect"
import { Event, Namespace, NamespaceMiddleware, type Official, type SocketIoError } from "effect-socket.io"
import type { ClientSocket } from "effect-socket.io/client"
import { SocketIoServer, type ServerSocket } from "effect-socket.io/server"
interface User { readonly name: string }
class CurrentUser extends Context.Service<CurrentUser, User>()("CurrentUser") {}
class Suspended extends Schema.TaggedError<Suspended>()("Suspended", { until: Schema.Int }) {}
class Authentication extends NamespaceMiddleware.Service<Authentication>()("Authentication", {
  provides: CurrentUser, auth: Schema.Struct({ token: Schema.String }), error: Suspended,
  refresh: { event: "auth", same: (before, now) => before.name === now.name }
}) {}
class Plain extends NamespaceMiddleware.Service<Plain>()("Plain", { auth: Schema.Struct({ key: Schema.String }) }) {}
class Desk extends Namespace.make("/desk", {
  clientToServer: [Event.make("whoami", { ack: Schema.String })],
  serverToClient: [Event.make("news", { payload: Schema.String })]
}).middleware(Authentication).middleware(Plain) {}
class Hall extends Namespace.make("/hall").middleware(Plain) {}
`

const accepted: Record<string, string> = {
  "handlers without one for the refresh": `
    export const l = SocketIoServer.layerNamespace(Desk, (socket) =>
      Effect.as(socket.onAuth((user) => Effect.logInfo(user.name)), Desk.of({ whoami: () => Effect.succeed("") })))`,
  "an end as a time and as a duration": `
    export const l = Layer.succeed(Authentication, ({ auth, expires }) =>
      Effect.as(Effect.andThen(
        expires(DateTime.makeUnsafe(1), { notice: "1 minute", then: "leave" }),
        Effect.andThen(expires(new Date(1)), Effect.andThen(expires("1 hour"), expires({ minutes: 5 })))
      ), { name: auth.token }))`,
  "a refresh by the client of this library": `
    export const f = (socket: ClientSocket.ClientSocket<typeof Desk>) => {
      const answer: Effect.Effect<
        { readonly expiresIn?: number },
        SocketIoError.AckError | NamespaceMiddleware.ConnectRefused | Suspended
      > = socket.emitWithAck("auth", { token: "" })
      const notices: Stream.Stream<{ readonly expiresIn: number }, any> = socket.stream("auth:expiring")
      return [answer, notices]
    }`,
  "a refresh by the official client": `
    export const emit: Official.EmitEvents<typeof Desk>["auth"] = ({ token }, ack) => {
      ack({ _tag: "Success", value: { expiresIn: 5 } })
      ack({ _tag: "Success", value: {} })
      ack({ _tag: "Failure", error: { _tag: "Suspended", until: 5 } })
      ack({ _tag: "Failure", error: { _tag: "ConnectRefused", message: token } })
    }
    export const listen: Official.ListenEvents<typeof Desk>["auth:expiring"] = ({ expiresIn }) => void expiresIn.toFixed()`,
  "rooms that stay, with services and failures of the decision": `
    export const f = (socket: ServerSocket.ServerSocket<typeof Desk>): Effect.Effect<ReadonlyArray<string>, "no", CurrentUser> =>
      socket.reauthorize((room) => Effect.flatMap(CurrentUser, ({ name }) => name === room ? Effect.succeed(true) : Effect.fail("no" as const)))`
}

const refused: Record<string, readonly [code: string, message: RegExp]> = {
  "a number as an end: nobody knows its unit": [
    `export const l = Layer.succeed(Plain, ({ expires }) => expires(1_800_000_000))`,
    /'1800000000' is not assignable|'number' is not assignable/
  ],
  "a handler for the refresh": [
    `export const h = Desk.of({ whoami: () => Effect.succeed(""), auth: () => Effect.void })`,
    /NotAClientToServerEvent<"auth">/
  ],
  "the event of a refresh on the server": [
    `export const f = (socket: ServerSocket.ServerSocket<typeof Desk>) => socket.on("auth", () => Effect.void)`,
    /'"auth"' is not assignable to parameter of type '"whoami"'/
  ],
  "a notice that the application sends": [
    `export const f = (socket: ServerSocket.ServerSocket<typeof Desk>) => socket.emit("auth:expiring", { expiresIn: 1 })`,
    /'"auth:expiring"' is not assignable to parameter of type '"news"'/
  ],
  "a refresh where there is none": [
    `export const f = (socket: ClientSocket.ClientSocket<typeof Hall>) => socket.emitWithAck("auth", { token: "" })`,
    /not assignable to parameter of type 'never'/
  ],
  "a refresh without a comparison of users": [
    `NamespaceMiddleware.Service<never>()("X", { refresh: { event: "auth" } })`,
    /Property 'same' is missing/
  ],
  "a service that is used in a handler of refreshes where there are none": [
    `export const f = (socket: ServerSocket.ServerSocket<typeof Hall>) => socket.onAuth((user) => Effect.log(user.name))`,
    /Property 'name' does not exist on type 'never'/
  ]
}

describe("types of refreshes", () => {
  let diagnostics: Record<string, ReadonlyArray<string>> = {}

  beforeAll(async () => {
    const codes = { ...accepted, ...Object.fromEntries(Object.entries(refused).map(([name, [code]]) => [name, code])) }
    const sources = Object.entries(codes).map(([name, code]) => [name, `${prelude}${code}\nexport {}\n`])
    diagnostics = await diagnosticsOfAll(Object.fromEntries(sources))
  }, 120_000)

  for (const name of Object.keys(accepted)) {
    it(`accept ${name}`, () => assert.deepStrictEqual(diagnostics[name], []))
  }
  for (const [name, [, message]] of Object.entries(refused)) {
    it(`refuse ${name}`, () => {
      assert.match(diagnostics[name]!.join("\n"), message)
      assert.lengthOf(
        diagnostics[name]!.filter((line) => line.includes("error TS")),
        1
      )
    })
  }
})
