/**
 * Lines to Redis: when connections are made again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { TestClock } from "effect/testing"

import type { Connection, ConnectionEvents, Driver } from "../../src/redis/internal/driver.ts"
import * as Line from "../../src/redis/internal/line.ts"
import { requires } from "../support/peers.ts"
import { client, clientKinds, isClusterKind, wait } from "../support/redisClients.ts"
import { redis } from "../support/redisServer.ts"

/** Connections to a server that is not there. `onOpen` tells what becomes of each. */
const fake = (onOpen: (events: ConnectionEvents, at: number) => void) => {
  let opened = 0
  const driver: Driver = {
    open(_, events) {
      const connection: Connection = {
        activity: 0,
        send: (commands, _, done) => queueMicrotask(() => done(commands.map(() => "PONG"))),
        subscribe: () => {},
        unsubscribe: () => {},
        destroy: () => {}
      }
      opened++
      queueMicrotask(() => onOpen(events, opened))
      return connection
    },
    guard: () => () => {}
  }
  return { driver, opened: () => opened }
}

const lineOf = (driver: Driver) =>
  Line.make(
    driver,
    () => undefined,
    {},
    {
      connectTimeout: 3_000,
      pingInterval: 0,
      pingTimeout: 3_000,
      reconnection: Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")])
    }
  )

/** Time passes, with turns for what happens meanwhile. */
const pass = (millis: number) =>
  Effect.forEach(Array.from({ length: millis / 10 }), () => TestClock.adjust("10 millis"), { discard: true })

describe("A connection to Redis", () => {
  // 0, 50, 150, 350, 750, 1550 ms, and then each second.
  for (const [what, onOpen] of [
    ["is refused", (events: ConnectionEvents) => events.onEnd(new Error("refused"))],
    [
      "ends at once each time",
      (events: ConnectionEvents) => {
        events.onReady()
        events.onEnd(new Error("too many clients"))
      }
    ]
  ] as const) {
    it.effect(`that ${what} is tried again after delays that grow up to a second`, () =>
      Effect.gen(function* () {
        const { driver, opened } = fake(onOpen)
        yield* lineOf(driver)
        yield* pass(1_500)
        assert.strictEqual(opened(), 5)
        yield* pass(10_000)
        assert.isAtMost(opened(), 16)
        assert.isAtLeast(opened(), 14)
      })
    )
  }

  it.effect("that has lasted for a second is made again at once, and then after delays", () =>
    Effect.gen(function* () {
      let end = () => {}
      const { driver, opened } = fake((events, at) => {
        end = () => events.onEnd(new Error("cut"))
        if (at === 1 || at === 4) events.onReady()
        else end()
      })
      const line = yield* lineOf(driver)
      yield* pass(1_000)
      assert.isDefined(line.connection)
      end()
      yield* pass(10)
      assert.strictEqual(opened(), 2)
      yield* pass(50)
      assert.strictEqual(opened(), 3)
      yield* pass(100)
      assert.strictEqual(opened(), 4)
      // The delays begin anew after a connection that has lasted.
      yield* pass(1_000)
      end()
      yield* pass(10)
      assert.strictEqual(opened(), 5)
      yield* pass(50)
      assert.strictEqual(opened(), 6)
    })
  )

  it.effect("that is cut sooner is made again after a delay", () =>
    Effect.gen(function* () {
      let end = () => {}
      const { driver, opened } = fake((events) => {
        end = () => events.onEnd(new Error("cut"))
        events.onReady()
      })
      yield* lineOf(driver)
      yield* pass(500)
      end()
      yield* pass(40)
      assert.strictEqual(opened(), 1)
      yield* pass(20)
      assert.strictEqual(opened(), 2)
    })
  )
})

describe("Redis that cuts its subscribers", requires("Redis"), () => {
  for (const kind of clientKinds.filter((kind) => !isClusterKind(kind))) {
    // The clock of the test stands still: whatever waits for time would wait for good.
    it.effect(`has them back at once, through ${kind}`, () =>
      Effect.gen(function* () {
        const running = yield* redis()
        const service = yield* client(kind, running)
        const states: Array<string> = []
        const heard: Array<string> = []
        service.subscribe("channel", "a", {
          onMessage: (_, message) => void heard.push(Buffer.from(message).toString()),
          onConfirmed: () => void states.push("confirmed"),
          onInterrupted: () => void states.push("interrupted")
        })
        yield* wait("the subscription", () => states.length === 1)
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => running.server.command("client", "kill", "type", "pubsub"))
        yield* wait("the subscription", () => states.length === 3)
        assert.deepStrictEqual(states, ["confirmed", "interrupted", "confirmed"])
        yield* Effect.promise(() => running.server.command("publish", "a", "hello"))
        yield* wait("a message", () => heard.length > 0)
        assert.deepStrictEqual(heard, ["hello"])
      })
    )
  }
})
