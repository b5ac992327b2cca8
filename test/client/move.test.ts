/**
 * Moves of a connection to another server. The test is the server.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { accept, ask, connected, MOVE_ID, OPEN, run, settle } from "./rawServer.ts"

describe("a client without the extra for moves", () => {
  it.effect("tells its server nothing beyond the protocol, and does not move when it is asked to", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket, statuses } = yield* connected()
        assert.strictEqual(connection.request.url, "/socket.io/?EIO=4&transport=websocket")
        yield* ask(connection)
        yield* settle
        yield* socket.emit("meanwhile")
        assert.strictEqual(yield* connection.receive, '42/chat,["meanwhile"]')
        assert.deepStrictEqual(yield* connection.received, [])
        yield* connection.close
        yield* settle
        yield* TestClock.adjust("2 seconds")
        const again = yield* accept
        assert.strictEqual(yield* again.receive, "40/chat,")
        assert.deepStrictEqual(
          statuses.map(({ _tag }) => _tag),
          ["Disconnected", "Connecting"]
        )
      }),
      []
    )
  )

  it.effect("says that it does not, if it takes something else of a server of this library", () =>
    run(
      Effect.gen(function* () {
        const { connection } = yield* connected()
        assert.include(connection.request.url, "fx=0&")
      }),
      [ClientExtras.rights]
    )
  )
})

describe("a connection that is asked to move", () => {
  it.effect("opens the next one first, says so, and asks for its namespaces there when it is told to", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket, statuses } = yield* connected({ pid: "p" })
        yield* connection.send('42/chat,["news","o1"]')
        yield* ask(connection)
        const next = yield* (yield* TestSocketIo.RawServer).accept
        assert.include(next.request.url, "fx=1")
        yield* settle
        // The next one is not open yet: everything goes over this one.
        yield* socket.emit("before")
        assert.strictEqual(yield* connection.receive, '42/chat,["before"]')
        yield* connection.send('42/chat,["news","o2"]')
        yield* next.send(OPEN)
        assert.strictEqual(yield* connection.receive, `43${MOVE_ID}[]`)
        yield* socket.emit("while it moves", 1)
        yield* socket.emit("while it moves", 2)
        yield* connection.send('42/chat,["news","o3"]')
        yield* settle
        assert.deepStrictEqual([yield* connection.received, yield* next.received], [[], []])
        yield* connection.send('422147483647["~fx:moved"]')
        assert.strictEqual(yield* next.receive, '40/chat,{"pid":"p","offset":"o3"}')
        yield* socket.emit("while it moves", 3)
        assert.strictEqual(socket.id, "first")
        assert.isTrue(socket.connected)
        yield* next.send('42/chat,["news","o4"]')
        yield* next.send('40/chat,{"sid":"first","pid":"p"}')
        for (const i of [1, 2, 3]) assert.strictEqual(yield* next.receive, `42/chat,["while it moves",${i}]`)
        yield* connection.close
        yield* socket.emit("after")
        assert.strictEqual(yield* next.receive, '42/chat,["after"]')
        assert.deepStrictEqual(statuses, [{ _tag: "Connected", id: "first", recovered: true }])
      })
    )
  )

  it.effect("is another socket where the next server does not know it, without an outage", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket, statuses } = yield* connected()
        yield* ask(connection)
        const next = yield* accept
        yield* connection.receive
        yield* connection.send('422147483647["~fx:moved"]')
        assert.strictEqual(yield* next.receive, "40/chat,")
        yield* next.send('40/chat,{"sid":"second"}')
        yield* settle
        assert.strictEqual(socket.id, "second")
        assert.deepStrictEqual(statuses, [{ _tag: "Connected", id: "second", recovered: false }])
      })
    )
  )

  it.effect("stays until its acknowledgements have come, while new events go over the next one", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket } = yield* connected()
        const slow = yield* Effect.forkChild(socket.emitWithAck("slow"), { startImmediately: true })
        const never = yield* Effect.forkChild(Effect.flip(socket.emitWithAck("never")), { startImmediately: true })
        yield* ask(connection)
        const next = yield* accept
        assert.strictEqual(yield* connection.receive, '42/chat,0["slow"]')
        assert.strictEqual(yield* connection.receive, '42/chat,1["never"]')
        yield* connection.receive
        const waiting = yield* Effect.forkChild(socket.emitWithAck("waiting"), { startImmediately: true })
        yield* connection.send('422147483647["~fx:moved"]')
        yield* next.receive
        yield* next.send('40/chat,{"sid":"second"}')
        assert.strictEqual(yield* next.receive, '42/chat,2["waiting"]')
        const quick = yield* Effect.forkChild(socket.emitWithAck("quick"), { startImmediately: true })
        assert.strictEqual(yield* next.receive, '42/chat,3["quick"]')
        yield* next.send('43/chat,3["over the next"]')
        assert.deepStrictEqual(yield* Fiber.join(quick), ["over the next"])
        yield* connection.send('43/chat,0["over the previous"]')
        assert.deepStrictEqual(yield* Fiber.join(slow), ["over the previous"])
        // Nothing else counts there any more.
        yield* connection.send('42/chat,["stray"]')
        yield* connection.send("41/chat,")
        yield* connection.close
        assert.strictEqual((yield* Fiber.join(never)).reason._tag, "Disconnected")
        yield* next.send('43/chat,2["at last"]')
        assert.deepStrictEqual(yield* Fiber.join(waiting), ["at last"])
        assert.isTrue(socket.connected)
      })
    )
  )

  it.effect("answers events over the connection on which they came", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket } = yield* connected()
        yield* socket.respond("question", (name) => Effect.as(Effect.sleep(name === "slow" ? 1_000 : 10), `to ${name}`))
        yield* connection.send('42/chat,7["question","slow"]')
        yield* ask(connection)
        const next = yield* accept
        yield* connection.receive
        yield* connection.send('422147483647["~fx:moved"]')
        yield* next.receive
        yield* next.send('40/chat,{"sid":"second"}')
        yield* next.send('42/chat,7["question","quick"]')
        yield* settle
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* connection.receive, '43/chat,7["to slow"]')
        assert.strictEqual(yield* next.receive, '43/chat,7["to quick"]')
      })
    )
  )

  it.effect("gives no answer over another connection than that of the event", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket } = yield* connected()
        yield* socket.respond("question", () => Effect.as(Effect.sleep("10 seconds"), "late"))
        yield* connection.send('42/chat,7["question"]')
        yield* settle
        yield* connection.close
        yield* TestClock.adjust("2 seconds")
        const again = yield* accept
        yield* again.receive
        yield* again.send('40/chat,{"sid":"second"}')
        yield* TestClock.adjust("10 seconds")
        assert.isTrue(socket.connected)
        assert.deepStrictEqual(yield* again.received, [])
      })
    )
  )

  it.effect("moves all of its namespaces, and those that come meanwhile", () =>
    run(
      Effect.gen(function* () {
        const { connection } = yield* connected()
        const other = yield* SocketIoClient.socket("/other")
        assert.strictEqual(yield* connection.receive, "40/other,")
        yield* ask(connection)
        const next = yield* accept
        yield* connection.receive
        const third = yield* SocketIoClient.socket("/third")
        yield* settle
        assert.deepStrictEqual(yield* connection.received, [])
        yield* connection.send('422147483647["~fx:moved"]')
        const asked = [yield* next.receive, yield* next.receive, yield* next.receive]
        assert.deepStrictEqual(asked, ["40/chat,", "40/other,", "40/third,"])
        // An answer of the previous server counts no more.
        yield* connection.send('40/other,{"sid":"of the previous"}')
        yield* next.send('40/other,{"sid":"of the next"}')
        yield* next.send('40/third,{"sid":"third"}')
        yield* settle
        assert.deepStrictEqual([other.id, third.id], ["of the next", "third"])
      })
    )
  )

  it.effect("lets a socket leave, and takes nothing of it for one that joins its namespace after that", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket } = yield* connected()
        const keep = yield* SocketIoClient.socket("/keep")
        yield* connection.receive
        yield* connection.send('40/keep,{"sid":"keep"}')
        yield* Effect.forkChild(Effect.exit(socket.emitWithAck("slow")), { startImmediately: true })
        yield* connection.receive
        yield* ask(connection)
        const next = yield* accept
        yield* connection.receive
        yield* socket.disconnect()
        assert.strictEqual(yield* connection.receive, "41/chat,")
        yield* connection.send('422147483647["~fx:moved"]')
        assert.strictEqual(yield* next.receive, "40/keep,")
        yield* next.send('40/keep,{"sid":"keep"}')
        const again = yield* Effect.forkChild(socket.reconnect(), { startImmediately: true })
        assert.strictEqual(yield* next.receive, "40/chat,")
        yield* next.send('40/chat,{"sid":"again"}')
        yield* Fiber.join(again)
        const asking = yield* Effect.forkChild(socket.emitWithAck("new"), { startImmediately: true })
        assert.strictEqual(yield* next.receive, '42/chat,1["new"]')
        yield* connection.send('43/chat,1["of the previous"]')
        yield* settle
        yield* next.send('43/chat,1["of the next"]')
        assert.deepStrictEqual(yield* Fiber.join(asking), ["of the next"])
        assert.isTrue(keep.connected)
      })
    )
  )

  it.effect("tries again every second while the next server cannot be reached, and is lost when its time is over", () =>
    run(
      Effect.gen(function* () {
        const server = yield* TestSocketIo.RawServer
        const { connection, socket, statuses } = yield* connected()
        const refuse = Effect.andThen(server.refuse, settle)
        yield* ask(connection, 2_500)
        yield* refuse
        yield* socket.emit("meanwhile")
        assert.strictEqual(yield* connection.receive, '42/chat,["meanwhile"]')
        for (let i = 0; i < 2; i++) {
          yield* TestClock.adjust("1 second")
          yield* refuse
        }
        yield* TestClock.adjust("5 seconds")
        assert.isTrue(socket.connected)
        yield* connection.close
        yield* settle
        assert.deepStrictEqual(
          statuses.map(({ _tag }) => _tag),
          ["Disconnected"]
        )
        // It comes back as after every outage.
        yield* TestClock.adjust("2 seconds")
        const again = yield* accept
        yield* again.receive
      })
    )
  )

  it.effect("moves at once if its server ends before it says so", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket, statuses } = yield* connected()
        const lost = yield* Effect.forkChild(Effect.flip(socket.emitWithAck("slow")), { startImmediately: true })
        yield* ask(connection)
        const next = yield* accept
        yield* settle
        yield* socket.emit("waits")
        yield* connection.close
        assert.strictEqual(yield* next.receive, "40/chat,")
        assert.strictEqual((yield* Fiber.join(lost)).reason._tag, "Disconnected")
        yield* next.send('40/chat,{"sid":"second"}')
        assert.strictEqual(yield* next.receive, '42/chat,["waits"]')
        yield* settle
        assert.deepStrictEqual(
          statuses.map(({ _tag }) => _tag),
          ["Connected"]
        )
      })
    )
  )

  it.effect("is lost if the next one is lost after it was announced", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket, statuses } = yield* connected()
        yield* ask(connection)
        const next = yield* accept
        assert.strictEqual(yield* connection.receive, `43${MOVE_ID}[]`)
        yield* socket.emit("waits")
        yield* next.close
        yield* settle
        assert.deepStrictEqual(
          statuses.map(({ _tag }) => _tag),
          ["Disconnected"]
        )
        assert.strictEqual(yield* connection.closed, "closed")
        yield* TestClock.adjust("2 seconds")
        const again = yield* accept
        yield* again.receive
        yield* again.send('40/chat,{"sid":"again"}')
        assert.strictEqual(yield* again.receive, '42/chat,["waits"]')
      })
    )
  )

  it.effect("is lost with the next one after the move, as ever", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket, statuses } = yield* connected()
        yield* ask(connection)
        const next = yield* accept
        yield* connection.send('422147483647["~fx:moved"]')
        yield* next.receive
        // In the middle of the move, and after it.
        yield* next.close
        yield* TestClock.adjust("2 seconds")
        const again = yield* accept
        yield* again.receive
        yield* again.send('40/chat,{"sid":"again"}')
        yield* settle
        assert.deepStrictEqual(
          statuses.map(({ _tag }) => _tag),
          ["Disconnected", "Connecting", "Connected"]
        )
        assert.isTrue(socket.connected)
      })
    )
  )

  it.effect("moves again, from one server to the next", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket, statuses } = yield* connected()
        let current = connection
        for (const sid of ["second", "third", "fourth"]) {
          yield* ask(current)
          const next = yield* accept
          yield* current.receive
          yield* current.send('422147483647["~fx:moved"]')
          yield* next.receive
          yield* next.send(`40/chat,{"sid":"${sid}"}`)
          yield* settle
          // The one before the previous one is not kept.
          if (current !== connection) assert.strictEqual(yield* connection.closed, "closed")
          assert.strictEqual(socket.id, sid)
          current = next
        }
        assert.isTrue(statuses.every(({ _tag }) => _tag === "Connected"))
      })
    )
  )

  it.effect("keeps the previous connection no longer than the server has said, and a minute at most", () =>
    run(
      Effect.gen(function* () {
        for (const [within, millis] of [
          [3_000, 3_000],
          [1e9, 60_000],
          ["long", 0]
        ] as const) {
          const test = Effect.gen(function* () {
            const { connection } = yield* connected()
            yield* ask(connection, within)
            const next = yield* accept
            yield* connection.receive
            yield* connection.send('422147483647["~fx:moved"]')
            yield* next.receive
            const closed = yield* Effect.forkChild(connection.closed, { startImmediately: true })
            if (millis > 0) {
              // Both servers ping, or the client would take them for dead.
              for (let at = 0; at < millis - 1_000; at += 1_000) {
                yield* TestClock.adjust("1 second")
                yield* Effect.all([connection.send("2"), next.send("2")])
              }
              assert.isUndefined(closed.pollUnsafe())
              yield* TestClock.adjust("1 second")
            }
            yield* TestClock.adjust(1)
            assert.strictEqual(yield* Fiber.join(closed), "closed")
          })
          yield* test.pipe(
            Effect.scoped,
            Effect.provide(TestSocketIo.layerRawServer({ extras: [ClientExtras.moves] }), { local: true })
          )
        }
      })
    )
  )

  it.effect("is not begun by an event of this name that a server has passed on", () =>
    run(
      Effect.gen(function* () {
        const { connection } = yield* connected()
        for (const id of ["", "0"]) yield* connection.send(`42${id}["~fx:move",{"within":5000}]`)
        yield* settle
        const server = yield* TestSocketIo.RawServer
        const next = yield* Effect.forkChild(server.accept, { startImmediately: true })
        yield* settle
        assert.isUndefined(next.pollUnsafe())
        yield* Fiber.interrupt(next)
      })
    )
  )

  it.effect("takes no harm from a server that asks again and again, or says that it has moved when it has not", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket, statuses } = yield* connected()
        yield* connection.send('422147483647["~fx:moved"]')
        yield* connection.send('42["~fx:else",1]')
        for (let i = 0; i < 100; i++) yield* ask(connection)
        const next = yield* accept
        assert.strictEqual(yield* connection.receive, `43${MOVE_ID}[]`)
        for (let i = 0; i < 100; i++) yield* ask(connection)
        yield* settle
        // There is no other one.
        const server = yield* TestSocketIo.RawServer
        const other = yield* Effect.forkChild(server.accept, { startImmediately: true })
        yield* settle
        assert.isUndefined(other.pollUnsafe())
        yield* Fiber.interrupt(other)
        yield* connection.send('422147483647["~fx:moved"]')
        yield* connection.send('422147483647["~fx:moved"]')
        assert.strictEqual(yield* next.receive, "40/chat,")
        yield* next.send('40/chat,{"sid":"second"}')
        yield* settle
        assert.isTrue(socket.connected)
        assert.lengthOf(statuses, 1)
      })
    )
  )

  for (const when of ["before the next one is open", "when the next one is open", "while it moves"] as const) {
    it.effect(`closes everything with its last socket, ${when}`, () =>
      run(
        Effect.gen(function* () {
          const { connection, socket } = yield* connected()
          yield* ask(connection)
          const next = yield* (yield* TestSocketIo.RawServer).accept
          if (when !== "before the next one is open") {
            yield* next.send(OPEN)
            yield* connection.receive
          }
          if (when === "while it moves") {
            yield* connection.send('422147483647["~fx:moved"]')
            yield* next.receive
          }
          yield* socket.disconnect()
          assert.strictEqual(yield* connection.closed, "closed")
          assert.strictEqual(yield* next.closed, "closed")
        })
      )
    )
  }
})
