/**
 * The examples about authentication, rooms, acknowledgements, dynamic namespaces and HttpApi, run as their comments say.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Socket } from "socket.io-client"

import { type RunningExample, runExample, startExample } from "../support/examples.ts"
import { request } from "../support/RawClient.ts"
import { call, connect, next, refusal } from "../support/serve.ts"

/** Runs an example, and ends it as Ctrl-C does. */
const running = <A, E, R>(
  name: string,
  use: (example: RunningExample) => Effect.Effect<A, E, R>,
  env: Record<string, string> = {}
) =>
  Effect.gen(function* () {
    const example = yield* Effect.acquireRelease(
      Effect.promise(() => runExample(name, env)),
      (example) => Effect.promise(() => example.stop())
    )
    yield* use(example)
    assert.strictEqual(yield* Effect.promise(() => example.stop()), 130)
  })

const printed = (example: RunningExample, pattern: RegExp) => Effect.promise(() => example.printed(pattern))

describe("auth-middleware", () => {
  it.live("admits known tokens, and refuses others with what is wrong with them", () =>
    running(
      "auth-middleware.ts",
      Effect.fnUntraced(function* (example) {
        const account = `${example.url}/account`
        const ada = yield* connect(account, { auth: { token: "ada-token" } })
        assert.deepStrictEqual(yield* call(ada, "whoami"), { name: "Ada", role: "admin" })
        const expired = yield* refusal(account, { auth: { token: "old-token" } })
        assert.strictEqual(expired.message, "the token has expired")
        assert.deepStrictEqual(expired.data, { _tag: "TokenExpired", since: "1970-01-01T00:00:00.000Z" })
        const unknown = yield* refusal(account, { auth: { token: "x" } })
        assert.deepStrictEqual(unknown.data, { _tag: "TokenUnknown" })
        assert.strictEqual((yield* refusal(account)).message, "Invalid auth payload")
        const admin = yield* connect(`${example.url}/admin`, { auth: { token: "ada-token" } })
        assert.deepStrictEqual(yield* call(admin, "whoami"), { name: "Ada", role: "admin" })
        const member = yield* refusal(`${example.url}/admin`, { auth: { token: "grace-token" } })
        assert.deepStrictEqual([member.message, member.data], ["admins only", { role: "member" }])
      })
    )
  )

  it.live("refuses events beyond the rate, and says so", () =>
    running(
      "auth-middleware.ts",
      Effect.fnUntraced(function* (example) {
        const grace = yield* connect(`${example.url}/account`, { auth: { token: "grace-token" } })
        assert.deepStrictEqual(yield* call(grace, "note", "x".repeat(101)), {
          _tag: "Failure",
          error: { _tag: "NoteTooLong", limit: 100 }
        })
        const answers = yield* Effect.all(
          Array.from({ length: 8 }, (_, n) => call(grace, "note", `note ${n}`)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(answers[0], { _tag: "Success", value: 1 })
        const { _tag, error } = answers.at(-1) as { readonly _tag: string; readonly error: any }
        assert.strictEqual(_tag, "Failure")
        assert.deepInclude(error, { _tag: "EventRefused", message: "rate limit exceeded" })
        assert.isAtMost(error.data.retryAfter, 1_000)
      })
    )
  )
})

describe("rooms-and-broadcast", () => {
  it.live("tells rooms who comes, moves and goes, and logs who is where", () =>
    running(
      "rooms-and-broadcast.ts",
      Effect.fnUntraced(function* (example) {
        const office = `${example.url}/office`
        const ada = yield* connect(office, { auth: { name: "Ada" } })
        const alone = next(ada, "presence_state")
        assert.strictEqual((yield* call(ada, "enter", "kitchen"))._tag, "Success")
        const [state, room] = yield* alone
        assert.deepStrictEqual([Object.keys(state), room], [["Ada"], "kitchen"])
        const entered = next(ada, "presence_diff")
        const grace = yield* connect(office, { auth: { name: "Grace" }, transports: ["websocket"] })
        const both = next(grace, "presence_state")
        yield* call(grace, "enter", "kitchen")
        assert.deepStrictEqual(Object.keys((yield* entered)[0].joins), ["Grace"])
        assert.include(Object.keys((yield* both)[0]), "Ada")
        const moved = next(grace, "moved")
        ada.emit("move", 1, 2.5)
        assert.deepStrictEqual(yield* moved, ["Ada", 1, 2.5])
        const left = next(ada, "presence_diff")
        const { id } = grace
        grace.disconnect()
        assert.deepStrictEqual(Object.keys((yield* left)[0].leaves), ["Grace"])
        for (const line of [/Ada has come/, /Created kitchen/, new RegExp(`Left kitchen: ${id}`)]) {
          yield* printed(example, line)
        }
        yield* printed(example, new RegExp(`${id} has left: client namespace disconnect`))
        assert.deepStrictEqual(yield* next(ada, "announcement"), ["1 of us are here"])
        yield* call(ada, "leave", "kitchen")
        yield* printed(example, /Deleted kitchen/)
      }),
      { ANNOUNCE_EVERY: "50 millis" }
    )
  )
})

describe("acks", () => {
  const votes = (socket: Socket, vote: unknown) => socket.on("vote", (_question, answer) => answer(vote))

  it.live("counts the votes of a room", () =>
    running(
      "acks.ts",
      Effect.fnUntraced(function* (example) {
        const meeting = `${example.url}/meeting`
        const ada = yield* connect(meeting, { auth: { name: "Ada" } })
        assert.deepStrictEqual(yield* call(ada, "propose", "pizza?"), {
          _tag: "Failure",
          error: { _tag: "NoQuorum", present: 1, needed: 2 }
        })
        const grace = yield* connect(meeting, { auth: { name: "Grace" } })
        const linus = yield* connect(meeting, { auth: { name: "Linus" } })
        votes(ada, { _tag: "Success", value: "yes" })
        votes(grace, { _tag: "Success", value: "no" })
        votes(linus, { _tag: "Failure", error: { _tag: "Abstained" } })
        assert.deepStrictEqual(yield* call(ada, "propose", "pizza?"), {
          _tag: "Success",
          value: { yes: 1, no: 1, silent: 1 }
        })
      })
    )
  )

  it.live("asks a client again that does not answer at first", () =>
    running(
      "acks.ts",
      Effect.fnUntraced(function* (example) {
        const meeting = `${example.url}/meeting`
        const ada = yield* connect(meeting, { auth: { name: "Ada" } })
        const grace = yield* connect(meeting, { auth: { name: "Grace" } })
        let asked = 0
        grace.on("still-there", (answer) => ++asked === 2 && answer("yes"))
        assert.isTrue(yield* call(ada, "check", "Grace"))
        assert.strictEqual(asked, 2)
        assert.isFalse(yield* call(ada, "check", "Nobody"))
      })
    )
  )
})

describe("dynamic-namespaces", () => {
  it.live("opens a document with its first reader, and saves it after the last", () =>
    running(
      "dynamic-namespaces.ts",
      Effect.fnUntraced(function* (example) {
        const ada = yield* connect(`${example.url}/document/7`)
        assert.deepStrictEqual(yield* call(ada, "append", "one"), ["one"])
        const grace = yield* connect(`${example.url}/document/7`)
        const appended = next(ada, "appended")
        assert.deepStrictEqual(yield* call(grace, "append", "two"), ["one", "two"])
        assert.deepStrictEqual(yield* appended, ["two"])
        assert.strictEqual((yield* refusal(`${example.url}/document/seven`)).message, "Invalid namespace")
        const notice = next(grace, "notice")
        yield* connect(`${example.url}/document/8`)
        assert.deepStrictEqual(yield* notice, ["document 8 is open"])
        yield* printed(example, /document 8 opened, 2 are open/)
        ada.disconnect()
        grace.disconnect()
        yield* printed(example, /document 7 saved/)
        const again = yield* connect(`${example.url}/document/7`)
        assert.deepStrictEqual(yield* call(again, "read"), ["one", "two"])
      }),
      { IDLE: "10 millis" }
    )
  )
})

describe("with-http-api", () => {
  it.live("reaches sockets from typed endpoints beside them", () =>
    running(
      "with-http-api.ts",
      Effect.fnUntraced(function* (example) {
        const http = (path: string, body?: unknown) =>
          Effect.map(
            Effect.promise(() =>
              request(example.url + path, {
                ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
                headers: { "content-type": "application/json" }
              })
            ),
            ({ body, status }) => [status, body === "" ? undefined : JSON.parse(body)]
          )
        assert.deepStrictEqual(yield* http("/users"), [200, []])
        const phone = yield* connect(`${example.url}/inbox`, { auth: { name: "Ada" } })
        const laptop = yield* connect(`${example.url}/inbox`, { auth: { name: "Ada" } })
        yield* connect(`${example.url}/inbox`, { auth: { name: "Grace" } })
        assert.deepStrictEqual(yield* http("/users"), [200, ["Ada", "Grace"]])
        const messages = [next(phone, "message"), next(laptop, "message")]
        assert.deepStrictEqual(yield* http("/users/Ada/messages", { text: "hello" }), [200, { reached: 2 }])
        for (const message of messages) assert.strictEqual((yield* message)[0].text, "hello")
        assert.deepStrictEqual(yield* http("/users/Bob/messages", { text: "hello" }), [
          404,
          { _tag: "NotOnline", name: "Bob" }
        ])
        assert.strictEqual((yield* http("/users/Ada/messages", { text: 1 }))[0], 400)
      })
    )
  )
})

describe("client", () => {
  it.live("joins the chat, says what is typed, prints what is said, and comes back after a restart", () =>
    running(
      "chat/server.ts",
      Effect.fnUntraced(function* (chat) {
        const ada = yield* Effect.acquireRelease(
          Effect.sync(() => startExample("client.ts", ["Ada"], { SERVER: chat.url })),
          (client) => Effect.promise(() => client.stop())
        )
        const prints = (pattern: RegExp) => Effect.promise(() => ada.printed(pattern))
        yield* prints(/here: Ada/)
        const grace = yield* connect(`${chat.url}/chat`)
        yield* call(grace, "join", { name: "Grace" })
        const said = next(grace, "said")
        ada.type("hello from Ada")
        assert.strictEqual((yield* said)[0].text, "hello from Ada")
        grace.emit("say", { text: "hello from Grace" })
        yield* prints(/Grace: hello from Grace/)
        assert.strictEqual(yield* Effect.promise(() => chat.stop()), 130)
        yield* prints(/disconnected: transport close, coming back/)
        const port = new URL(chat.url).port
        yield* Effect.acquireRelease(
          Effect.promise(() => runExample("chat/server.ts", { PORT: port })),
          (again) => Effect.promise(() => again.stop())
        )
        yield* prints(/here: Ada[^]*here: Ada/)
      })
    )
  )
})
