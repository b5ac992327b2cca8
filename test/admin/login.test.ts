/**
 * Logins of administrators: credentials, tries, and sessions.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted } from "effect"
import { TestClock } from "effect/testing"

import * as Admin from "../../src/admin/Admin.ts"
import type { AdminOptions } from "../../src/admin/AdminOptions.ts"
import { Sessions } from "../../src/admin/internal/sessions.ts"
import { Tries } from "../../src/admin/internal/tries.ts"
import { rateOf } from "../../src/internal/tokenBucket.ts"
import type { Rate } from "../../src/RateLimit.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { openPage, settle } from "../support/adminPage.ts"

const right = { username: "ada", password: "a long passphrase" }
const wrong = { username: "ada", password: "a wrong passphrase" }

const auth = Admin.basic({ username: right.username, password: Redacted.make(right.password) })

const withAdmin = (options: Partial<AdminOptions> = {}) =>
  Effect.provide(
    Layer.merge(
      SocketIoServer.layerNamespace("/", () => Effect.void),
      Layer.orDie(Admin.layer({ auth, ...options }))
    ).pipe(Layer.provideMerge(TestSocketIo.layer()))
  )

let strangers = 0

describe("the login of administrators", () => {
  it.effect("tells strangers nothing, whatever they send and however long they wait", () =>
    Effect.gen(function* () {
      for (const strange of [
        undefined,
        {},
        { sessionId: null },
        { sessionId: "" },
        { username: "ada" },
        { password: right.password },
        { ...right, username: "Ada" },
        { ...right, password: `${right.password} ` },
        wrong
      ]) {
        const page = yield* openPage(strange, { address: `10.0.0.${strangers++}` })
        assert.strictEqual(page.answer, "invalid credentials", JSON.stringify(strange))
        yield* page.emit("_disconnect", "/", true)
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(page.events, [], JSON.stringify(strange))
      }
    }).pipe(withAdmin({ mode: "development", readonly: false }))
  )

  it.effect("reads no more than it needs, and keeps nothing of it", () =>
    Effect.gen(function* () {
      for (const strange of [
        { username: "a".repeat(257), password: right.password },
        { username: "ada", password: "p".repeat(257) },
        { sessionId: "s".repeat(257) },
        { username: { toString: "ada" }, password: [] }
      ]) {
        assert.strictEqual((yield* openPage(strange)).answer, "Invalid auth payload")
      }
      const padded = yield* openPage({ ...right, padding: "x".repeat(20_000) })
      assert.strictEqual(padded.answer, "Auth payload too large")
      const page = yield* openPage({ ...right, padding: "x".repeat(10_000) })
      assert.strictEqual(page.answer, "connected")
      const [socket] = yield* (yield* SocketIoServer.namespace("/admin")).sockets
      assert.deepStrictEqual(socket!.handshake.auth, {})
      assert.isUndefined(socket!.auth)
    }).pipe(withAdmin())
  )

  it.effect("gives a session, with which the page comes back until it ends", () =>
    Effect.gen(function* () {
      const page = yield* openPage(right)
      assert.strictEqual(page.answer, "connected")
      const [[sessionId]] = page.all("session") as [[string]]
      // The page listens once it is connected: the session must not come before that.
      assert.deepStrictEqual(
        page.events.map(([event]) => event),
        ["session", "config", "server_stats", "server_stats"]
      )
      yield* TestClock.adjust("59 minutes")
      const back = yield* openPage({ sessionId })
      assert.strictEqual(back.answer, "connected")
      assert.deepStrictEqual(back.all("session"), [])
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* openPage({ sessionId })).answer, "invalid credentials")
    }).pipe(withAdmin({ sessions: { timeToLive: "1 hour" } }))
  )

  it.effect("lets everybody in where the application says so", () =>
    Effect.gen(function* () {
      for (const strange of [undefined, {}, { sessionId: null }, wrong]) {
        const page = yield* openPage(strange)
        assert.strictEqual(page.answer, "connected")
        assert.deepStrictEqual(page.all("session"), [])
      }
    }).pipe(withAdmin({ auth: false }))
  )

  it.effect("asks a function of the application, whose defect lets nobody in", () => {
    const asked: Array<string> = []
    return Effect.gen(function* () {
      assert.strictEqual((yield* openPage({ username: "ada", password: "yes" })).answer, "connected")
      assert.strictEqual((yield* openPage({ username: "bob", password: "no" })).answer, "invalid credentials")
      assert.strictEqual((yield* openPage({ username: "eve", password: "bug" })).answer, "Internal error")
      assert.deepStrictEqual(asked, ["ada <redacted>", "bob <redacted>", "eve <redacted>"])
    }).pipe(
      withAdmin({
        auth: ({ password, username }) =>
          Effect.sync(() => {
            asked.push(`${username} ${String(password)}`)
            if (Redacted.value(password) === "bug") throw new Error("a bug")
            return Redacted.value(password) === "yes"
          })
      })
    )
  })
})

describe("tries to log in", () => {
  it.effect("are five in a minute from one address, right ones included, and sessions are none", () =>
    Effect.gen(function* () {
      const [[sessionId]] = (yield* openPage(right)).all("session") as [[string]]
      const answers: Array<string | undefined> = []
      for (let i = 0; i < 6; i++) answers.push((yield* openPage(wrong)).answer)
      assert.deepStrictEqual(answers, [...Array(4).fill("invalid credentials"), "too many tries", "too many tries"])
      assert.strictEqual((yield* openPage(right)).answer, "too many tries")
      assert.strictEqual((yield* openPage({ sessionId })).answer, "connected")
      assert.strictEqual((yield* openPage(right, { address: "10.0.0.1" })).answer, "connected")
      yield* TestClock.adjust("13 seconds")
      assert.strictEqual((yield* openPage(right)).answer, "connected")
      assert.strictEqual((yield* openPage(right)).answer, "too many tries")
    }).pipe(withAdmin())
  )

  it.effect("cost no question and few lines of log beyond their limit", () => {
    let asked = 0
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => {
      // The test's clock writes lines of its own if a run is slow.
      if (String(message).startsWith("admin:")) lines.push(String(message))
    })
    return Effect.gen(function* () {
      for (let i = 0; i < 20; i++) yield* openPage(wrong)
      assert.strictEqual(asked, 5)
      assert.deepStrictEqual(lines, [...Array(5).fill("admin: a login was refused"), "admin: too many tries to log in"])
    }).pipe(
      withAdmin({
        auth: () =>
          Effect.sync(() => {
            asked++
            return false
          })
      }),
      Effect.provide(Logger.layer([logger]))
    )
  })

  it.effect("are limited from all addresses together, and those of one IPv6 network count as one", () =>
    Effect.gen(function* () {
      for (const [address, answer] of [
        ["2001:db8::1", "invalid credentials"],
        ["2001:db8::2", "too many tries"],
        ["2001:db8:0:1::1", "invalid credentials"],
        ["10.0.0.1", "invalid credentials"],
        ["10.0.0.2", "too many tries"]
      ] as const) {
        assert.strictEqual((yield* openPage(wrong, { address })).answer, answer, address)
      }
    }).pipe(withAdmin({ tries: { limit: 1, interval: "1 minute" }, triesInAll: { limit: 3, interval: "1 minute" } }))
  )

  it("are counted in bounded memory", () => {
    const tries = new Tries(
      rateOf({ limit: 5, interval: "1 minute" }) as Rate,
      rateOf({ limit: 1_000, interval: "1 second" }) as Rate
    )
    let largest = 0
    let refused = 0
    // One try each millisecond, from another address each time: all that there may be.
    for (let now = 0; now < 300_000; now++) {
      if (!tries.take(`10.${now >> 16}.${(now >> 8) & 255}.${now & 255}`, now)) refused++
      largest = Math.max(largest, tries.size)
    }
    assert.isBelow(refused, 1_000)
    // An address has its tries back after 12 seconds: about 12,000 must be known, and no more than twice that.
    assert.isBelow(largest, 30_000)
    assert.isAbove(largest, 12_000)
  })
})

describe("sessions", () => {
  it("are valid with their signature, for their namespace, their secret and their time alone", () => {
    const sessions = new Sessions("a secret of ours", "/admin", 1_000)
    const session = sessions.open(5_000)
    assert.isTrue(sessions.isOpen(session, 5_000))
    assert.isTrue(sessions.isOpen(session, 5_999))
    assert.isFalse(sessions.isOpen(session, 6_000))
    assert.isTrue(new Sessions("a secret of ours", "/admin", 1).isOpen(session, 5_000))
    assert.isFalse(new Sessions("a secret of ours", "/other", 1_000).isOpen(session, 5_000))
    assert.isFalse(new Sessions("another secret", "/admin", 1_000).isOpen(session, 5_000))
    assert.isFalse(new Sessions(undefined, "/admin", 1_000).isOpen(session, 5_000))
    const [end, nonce, signature] = session.split(".") as [string, string, string]
    for (const forged of [
      "",
      ".",
      "..",
      "zzzzzzzz",
      `${end}.${nonce}`,
      `${end}.${nonce}.`,
      `${(9e12).toString(36)}.${nonce}.${signature}`,
      `${end}.${nonce}.${signature.slice(0, -2)}`,
      `${end}.x${nonce.slice(1)}.${signature}`,
      `${end}.${nonce}.${signature}${"=".repeat(100)}`
    ]) {
      assert.isFalse(sessions.isOpen(forged, 5_000), forged)
    }
    assert.notStrictEqual(sessions.open(5_000), session)
  })

  it.effect("hold on every server with the same secret", () =>
    Effect.gen(function* () {
      const secret = Redacted.make("a secret of all servers")
      const first = withAdmin({ sessions: { secret } })
      const [[sessionId]] = yield* Effect.map(openPage(right), (page) => page.all("session") as [[string]]).pipe(first)
      const second = withAdmin({ sessions: { secret } })
      assert.strictEqual((yield* Effect.scoped(openPage({ sessionId })).pipe(second)).answer, "connected")
      const third = withAdmin({})
      assert.strictEqual((yield* Effect.scoped(openPage({ sessionId })).pipe(third)).answer, "invalid credentials")
      yield* settle
    })
  )
})
