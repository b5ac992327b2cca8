/**
 * Log lines about clients: their texts, and their number.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, References, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"

import { logText } from "../../src/internal/logText.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { LogLevel } from "effect/LogLevel"
import { ANYONE, LineLimits } from "../../src/internal/lineLimits.ts"
import { SocketIoServer as Server } from "../../src/server/SocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

interface Line {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Runs a test against a namespace, with the lines that are logged meanwhile. */
const logging = <A, E>(
  level: LogLevel,
  namespaces: Layer.Layer<never, never, Server>,
  test: (lines: Array<Line>) => Effect.Effect<A, E, TestSocketIo.TestSocketIo | Server | Scope.Scope>
) =>
  Effect.suspend(() => {
    const lines: Array<Line> = []
    const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
      const annotations = fiber.getRef(References.CurrentLogAnnotations)
      lines.push({ level: logLevel, message: String([message].flat()[0]), annotations })
    })
    return test(lines).pipe(
      Effect.provide(
        namespaces.pipe(
          Layer.provideMerge(TestSocketIo.layer({ drainTimeout: 0, heartbeat: { pingTimeout: "1 hour" } })),
          Layer.provide(Logger.layer([logger])),
          Layer.provide(Layer.succeed(References.MinimumLogLevel, level))
        )
      )
    )
  })

const joined = Effect.fnUntraced(function* (name = "/") {
  const raw = yield* TestSocketIo.rawClient()
  yield* raw.send(`40${name},`)
  yield* raw.receive
  yield* raw.receive
  return raw
})

/** Sends events, and waits until they have been handled. */
const send = Effect.fnUntraced(function* (raw: Effect.Success<ReturnType<typeof joined>>, event: string, times = 1) {
  for (let i = 0; i < times; i++) yield* raw.send(`42["${event}"]`)
  yield* raw.send('420["sync"]')
  for (;;) if (String(yield* raw.receive) === "430[]") return
})

const dying = SocketIoServer.layerNamespace("/", (socket) =>
  Effect.andThen(
    socket.on("boom", () => Effect.die(new Error("boom"))),
    socket.on("sync", () => Effect.void)
  )
)

describe("a text from a client", () => {
  it("is logged as it is where it is plain", () => {
    for (const text of ["", "chat message", "/room/Zoë 🎉", "日本語", 'a "quoted" \\ text', "x".repeat(300)]) {
      assert.strictEqual(logText(text), text)
    }
  })

  it("cannot break a line, nor speak to the terminal that shows it, nor be long", () => {
    assert.strictEqual(logText("a\nERROR b\r\t\0"), "a\\u000aERROR b\\u000d\\u0009\\u0000")
    assert.strictEqual(logText("\u001b[31mred\u009b0m"), "\\u001b[31mred\\u009b0m")
    assert.strictEqual(logText("a\u2028b\u2029c\u0085d"), "a\\u2028b\\u2029c\\u0085d")
    assert.strictEqual(logText("\ud83d half \udc00"), "\\ud83d half \\udc00")
    assert.strictEqual(logText("\u202etxt.exe"), "\\u202etxt.exe")
    assert.strictEqual(logText("x".repeat(301)), `${"x".repeat(299)}…`)
    assert.strictEqual(logText(`${"x".repeat(299)}🎉`).length, 300)
    assert.isBelow(logText("\n".repeat(1_000_000)).length, 301)
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
        assert.notMatch(logText(text), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
        assert.isAtMost(logText(text).length, 300)
      })
    )
  })

  it.effect("is escaped and cut wherever it comes into a line", () => {
    class Doorman extends NamespaceMiddleware.Service<Doorman>()("test/Doorman") {}
    class Guarded extends Namespace.dynamic("/guarded/:id").middleware(Doorman) {}
    const guarded = SocketIoServer.layerDynamicNamespace(Guarded, () =>
      Effect.succeed(() => Effect.succeed(Guarded.of({})))
    ).pipe(
      Layer.provide(
        Layer.succeed(Doorman, ({ handshake }) =>
          Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: `no, ${String(handshake.auth.name)}` }))
        )
      )
    )
    const evil = "\u001b[2J\n" + "x".repeat(500)
    const text = JSON.stringify(evil)
    return logging("Debug", Layer.merge(dying, guarded), (lines) =>
      Effect.gen(function* () {
        const raw = yield* joined()
        yield* raw.send(`42[${text}]`)
        yield* raw.send(`40/guarded/\u001b\n,{"name":${text}}`)
        yield* raw.receive
        yield* raw.send(`42/not-joined\n${"x".repeat(500)},["e"]`)
        yield* raw.closed
        yield* TestSocketIo.request({ query: { sid: evil } })
        const texts = lines.flatMap(({ annotations, message }) => [message, ...Object.values(annotations)])
        for (const text of texts) {
          // oxlint-disable-next-line no-control-regex
          assert.notMatch(String(text), /[\u0000-\u001f]/)
          assert.isAtMost(String(text).length, 300)
        }
        assert.isAtLeast(texts.filter((text) => String(text).includes("\\u001b")).length, 4)
        assert.isAtLeast(texts.filter((text) => String(text).endsWith("…")).length, 4)
      })
    )
  })
})

describe("lines about one client", () => {
  it.effect("are ten at once and one per second then, which tells how many were left out", () =>
    logging("Info", dying, (lines) =>
      Effect.gen(function* () {
        const raw = yield* joined()
        yield* send(raw, "boom", 100)
        assert.lengthOf(lines, 10)
        assert.isTrue(
          lines.every(({ annotations, message }) => {
            return message === "event handler failed" && !("suppressed" in annotations)
          })
        )
        yield* TestClock.adjust("1 second")
        yield* send(raw, "boom", 5)
        assert.lengthOf(lines, 11)
        assert.deepInclude(lines[10]!.annotations, { event: "boom", namespace: "/", suppressed: 90 })
        yield* TestClock.adjust("1 minute")
        yield* send(raw, "boom", 20)
        assert.lengthOf(lines, 21)
        assert.strictEqual(lines[11]!.annotations.suppressed, 4)
        assert.isUndefined(lines[12]!.annotations.suppressed)
      })
    )
  )

  it.effect("do not take those about another's errors, nor do debug lines", () =>
    logging("Debug", dying, (lines) =>
      Effect.gen(function* () {
        const errors = () => lines.filter(({ level }) => level === "Error")
        const loud = yield* joined()
        yield* send(loud, "nothing", 100)
        assert.isAtMost(lines.filter(({ message }) => message === "event without a handler").length, 10)
        yield* send(loud, "boom", 100)
        assert.lengthOf(errors(), 10)
        yield* send(yield* joined(), "boom")
        assert.lengthOf(errors(), 11)
        assert.isUndefined(errors()[10]!.annotations.suppressed)
      })
    )
  )

  it.effect("are as many that warn, of which none is taken from those about errors", () =>
    logging("Info", dying, (lines) =>
      Effect.gen(function* () {
        const raw = yield* joined()
        yield* send(raw, "nothing", 100)
        yield* send(raw, "boom", 100)
        assert.lengthOf(
          lines.filter(({ level }) => level === "Warn"),
          10
        )
        assert.lengthOf(
          lines.filter(({ level }) => level === "Error"),
          10
        )
        yield* TestClock.adjust("1 second")
        yield* send(raw, "nothing")
        assert.strictEqual(lines.at(-1)!.annotations.suppressed, 90)
      })
    )
  )

  it.effect("are not made ready for a logger when they are left out", () => {
    let rendered = 0
    class Costly extends Error {
      override get message(): string {
        rendered++
        return "costly"
      }
    }
    const costly = SocketIoServer.layerNamespace("/", (socket) =>
      Effect.andThen(
        socket.on("boom", () => Effect.die(new Costly())),
        socket.on("sync", () => Effect.void)
      )
    )
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const raw = yield* joined()
      rendered = 0
      yield* send(raw, "boom", 10)
      const each = rendered / 10
      assert.isAbove(each, 0)
      yield* send(raw, "boom", 100)
      assert.strictEqual(rendered, each * 10)
      assert.lengthOf(lines, 10)
    }).pipe(
      Effect.provide(
        costly.pipe(
          Layer.provideMerge(TestSocketIo.layer({ drainTimeout: 0, heartbeat: { pingTimeout: "1 hour" } })),
          Layer.provide(Logger.layer([Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))]))
        )
      )
    )
  })

  for (const [what, namespaces, expected] of [
    [
      "of finalizers that fail",
      SocketIoServer.layerNamespace("/busy", () => Effect.addFinalizer(() => Effect.die(new Error("boom")))),
      "finalizer failed"
    ],
    [
      "of builders that die",
      SocketIoServer.layerNamespace("/busy", () => Effect.die(new Error("boom"))),
      "connecting a socket failed"
    ],
    [
      "of dynamic namespaces that do not open",
      SocketIoServer.layerDynamicNamespace(/^\/busy$/, () => Effect.die(new Error("boom"))),
      "opening a namespace failed"
    ],
    [
      "of predicates that die",
      SocketIoServer.layerDynamicNamespace(/^/, () => Effect.succeed(() => Effect.void), {
        match: () => Effect.die(new Error("boom"))
      }),
      "matching a namespace's name failed"
    ]
  ] as const) {
    it.effect(`are limited ${what}, too`, () =>
      logging("Info", Layer.merge(dying, namespaces), (lines) =>
        Effect.gen(function* () {
          const raw = yield* joined()
          for (let i = 0; i < 50; i++) {
            yield* raw.send("40/busy,")
            yield* raw.send("41/busy,")
            yield* send(raw, "nothing")
          }
          assert.deepStrictEqual(
            lines.filter(({ level }) => level === "Error").map(({ message }) => message),
            Array.from({ length: 10 }, () => expected)
          )
        })
      )
    )
  }
})

describe("lines about all clients together", () => {
  it("are a thousand at once and a hundred per second then, whoever they are about", () => {
    const limits = new LineLimits()
    let now = 0
    const admit = (clients: number) => {
      const told: Array<object> = []
      for (let i = 0; i < clients; i++) {
        const leftOut = limits.admit({}, now)
        if (leftOut !== undefined) told.push(leftOut)
      }
      return told
    }
    assert.lengthOf(admit(5_000), 1_000)
    now = 1_000
    const later = admit(500)
    assert.lengthOf(later, 100)
    assert.deepStrictEqual(later[0], { suppressedInAll: 4_000 })
    assert.deepStrictEqual(later[1], {})
    assert.isUndefined(limits.admit(ANYONE, now))
    const client = {}
    assert.isUndefined(limits.admit(client, now))
    now = 3_000
    assert.deepStrictEqual(limits.admit(client, now), { suppressed: 1, suppressedInAll: 402 })
    now = 1_000_000
    assert.lengthOf(admit(5_000), 1_000)
  })

  it("are not limited where no client brings them about", () => {
    const limits = new LineLimits()
    for (let i = 0; i < 5_000; i++) assert.deepStrictEqual(limits.admit(undefined, 0), {})
  })

  it.effect("do not grow with the number of requests that are refused", () =>
    logging("Debug", dying, (lines) =>
      Effect.gen(function* () {
        for (let i = 0; i < 1_500; i++) yield* TestSocketIo.request({ query: { sid: `not-there-${i}` } })
        assert.lengthOf(
          lines.filter(({ message }) => message === "request refused"),
          1_000
        )
      })
    )
  )
})
