/**
 * Several servers as one: what the adapter for clusters does over any link.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

import type { SocketDetails } from "../../src/adapter/Adapter.ts"
import * as Bus from "../support/memoryBus.ts"
import { all, ask, flags, gather, join, type Member, packet, rooms } from "../support/memoryCluster.ts"

/** Time for a message and its answer. */
const travel = TestClock.adjust(10)

const cluster = Effect.fnUntraced(function* (options: Bus.BusOptions = {}) {
  const bus = yield* Bus.make({ latency: [1, 1], ...options })
  return { bus, a: yield* join(bus, "a"), b: yield* join(bus, "b"), c: yield* join(bus, "c") }
})

const ids = (sockets: ReadonlyArray<SocketDetails> | undefined) => sockets?.map(({ id }) => id).toSorted()

/** A question of one server that it asks of all others: whether they are ready. */
const ready = ({ adapter }: Member) => gather(adapter.serverSideEmitWithAck(["ready"]))

describe("what crosses servers", () => {
  it.effect("a broadcast reaches own sockets at once, and those of the others in the order of sending", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      const sockets = [a, b, c].map(({ host }) => host.connect(`${host.name}1`))
      for (const n of [1, 2, 3]) yield* a.adapter.broadcast(packet("n", n), all, flags)
      const expected = [1, 2, 3].map((n) => ["n", n])
      assert.deepStrictEqual(
        sockets.map(({ heard }) => heard),
        [expected, [], []]
      )
      yield* travel
      assert.deepStrictEqual(
        sockets.map(({ heard }) => heard),
        [expected, expected, expected]
      )
    })
  )

  it.effect("rooms and exceptions select sockets on every server; local ones only here", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster()
      const [a1, a2] = [a.host.connect("a1", "red"), a.host.connect("a2", "red", "blue")]
      const [b1, b2] = [b.host.connect("b1", "red"), b.host.connect("b2", "red", "blue")]
      yield* a.adapter.broadcast(packet("one"), { rooms: ["red"], except: ["blue"] }, flags)
      yield* a.adapter.broadcast(packet("two"), rooms("b2", "a1"), flags)
      yield* a.adapter.broadcast(packet("three"), all, { ...flags, local: true })
      yield* travel
      const heard = [a1, a2, b1, b2].map((socket) => socket.heard.map(([event]) => event))
      assert.deepStrictEqual(heard, [["one", "two", "three"], ["three"], ["one"], ["two"]])
    })
  )

  it.effect("sockets of other servers join, leave and are disconnected", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster()
      const b1 = b.host.connect("b1")
      yield* a.adapter.socketsJoin(all, ["red", "blue"], false)
      yield* a.adapter.socketsLeave(rooms("b1"), ["red"], false)
      yield* travel
      assert.deepStrictEqual(Array.from(b1.joined ?? []), ["blue"])
      yield* a.adapter.disconnectSockets(rooms("blue"), false, false)
      yield* travel
      assert.strictEqual(b.host.sockets.size, 0)
    })
  )

  it.effect("with local, joins, leaves and disconnections stay here", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster()
      const [a1, b1] = [a.host.connect("a1", "old"), b.host.connect("b1", "old")]
      yield* a.adapter.socketsJoin(all, ["red"], true)
      yield* a.adapter.socketsLeave(all, ["old"], true)
      yield* a.adapter.disconnectSockets(rooms("b1"), true, true)
      yield* travel
      assert.deepStrictEqual(Array.from(a1.joined ?? []), ["red"])
      assert.deepStrictEqual(Array.from(b1.joined ?? []), ["old"])
      assert.strictEqual(b.host.sockets.size, 1)
    })
  )

  it.effect("the details and the number of sockets are those of all servers", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      for (const { host } of [a, b, c]) host.connect(`${host.name}1`, "red")
      c.host.connect("c2")
      const fetched = yield* ask(a.adapter.fetchSockets(rooms("red"), false))
      const counted = yield* ask(b.adapter.count(all, false))
      const local = yield* ask(c.adapter.count(all, true))
      yield* travel
      assert.deepStrictEqual(ids(fetched.result()?.value), ["a1", "b1", "c1"])
      assert.deepStrictEqual(counted.result(), { value: 4, missing: 0 })
      assert.deepStrictEqual(local.result(), { value: 2, missing: 0 })
    })
  )

  it.effect("a question of a lone server has its own answer, at once", () =>
    Effect.gen(function* () {
      const bus = yield* Bus.make()
      const a = yield* join(bus, "a")
      a.host.connect("a1")
      assert.strictEqual(yield* a.adapter.count(all, false), 1)
      assert.strictEqual((yield* a.adapter.fetchSockets(all, false)).length, 1)
      const answers = yield* ready(a)
      yield* TestClock.adjust(0)
      assert.strictEqual(answers.missing(), 0)
    })
  )

  it.effect("events between servers reach all others, with their answers as they come; one may decline", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      b.host.handle = (_, reply) => reply?.(["b", 1])
      yield* a.adapter.serverSideEmit(["hello", 1])
      const answers = yield* ready(a)
      yield* travel
      assert.deepStrictEqual(
        [a, b, c].map(({ host }) => host.events),
        [[], [["hello", 1], ["ready"]], [["hello", 1], ["ready"]]]
      )
      assert.deepStrictEqual(answers.items, [["b", 1]])
      assert.strictEqual(answers.missing(), 0)
    })
  )

  it.effect(
    "acknowledgements come from the sockets of all servers, and end with the last one that answers or leaves",
    () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* cluster()
        const [a1, b1, c1] = [a, b, c].map(({ host }) => host.connect(`${host.name}1`)) as [any, any, any]
        const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
        yield* travel
        b1.acknowledge(["yes", 2])
        yield* travel
        a1.acknowledge([])
        yield* travel
        assert.deepStrictEqual(acks.items, [
          { sid: "b1", args: ["yes", 2] },
          { sid: "a1", args: [] }
        ])
        assert.strictEqual(acks.missing(), undefined)
        c1.disconnectUnsafe()
        yield* travel
        assert.strictEqual(acks.missing(), 0)
      })
  )

  it.effect("a client that acknowledges in the same turn is counted", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster()
      for (const id of ["b1", "b2"]) b.host.connect(id).answer = () => [id]
      const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
      yield* travel
      assert.deepStrictEqual(
        acks.items.map(({ sid }) => sid),
        ["b1", "b2"]
      )
      assert.strictEqual(acks.missing(), 0)
    })
  )

  it.effect("the link is told the first and the last member of a room", () =>
    Effect.gen(function* () {
      const { a } = yield* cluster()
      const [link] = a.server.links
      const a1 = a.host.connect("a1", "red", "blue")
      a.host.connect("a2", "red")
      assert.deepStrictEqual(Array.from(link!.rooms), ["red", "blue"])
      a1.disconnectUnsafe()
      assert.deepStrictEqual(Array.from(link!.rooms), ["red"])
      assert.deepStrictEqual(a.host.changes, [])
    })
  )

  it.effect("reserved events of others are refused", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster()
      const b1 = b.host.connect("b1")
      yield* a.adapter.broadcast(packet("disconnect"), all, flags)
      const acks = yield* gather(a.adapter.broadcastWithAck(packet("connect_error"), all, flags))
      yield* travel
      assert.deepStrictEqual(b1.heard, [])
      assert.strictEqual(b.server.monitor.refusals.length, 2)
      yield* Fiber.interrupt(acks.fiber)
    })
  )
})

describe("servers that do not answer", () => {
  for (const tellsDeaths of [false, true]) {
    const how = tellsDeaths ? "the bus tells" : "only their number tells"
    it.effect(`a server dies while a fetch is open: the survivors' sockets and one missing, in 300 ms (${how})`, () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* cluster({ tellsDeaths })
        for (const { host } of [a, b, c]) host.connect(`${host.name}1`)
        c.server.pause()
        const fetched = yield* ask(a.adapter.fetchSockets(all, false))
        yield* TestClock.adjust(333)
        assert.strictEqual(fetched.result(), undefined)
        c.server.kill()
        yield* TestClock.adjust(300)
        assert.deepStrictEqual(ids(fetched.result()?.value), ["a1", "b1"])
        assert.strictEqual(fetched.result()?.missing, 1)
        assert.deepStrictEqual(a.server.monitor.incompletes, [1])
      })
    )

    it.effect(`a server dies while its handler works: the other answer and one missing, in 300 ms (${how})`, () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* cluster({ tellsDeaths })
        for (const { host } of [b, c]) host.handle = () => {}
        let answer: ((args: ReadonlyArray<unknown>) => void) | undefined
        b.host.handle = (_, reply) => {
          answer = reply
        }
        const answers = yield* ready(a)
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(answers.missing(), undefined)
        c.server.kill()
        yield* TestClock.adjust(300)
        // The other one is at work.
        assert.strictEqual(answers.missing(), undefined)
        answer!(["b"])
        yield* travel
        assert.deepStrictEqual(answers.items, [["b"]])
        assert.strictEqual(answers.missing(), 1)
      })
    )

    it.effect(`a server dies after it has told its recipients: acknowledgements end with one missing (${how})`, () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* cluster({ tellsDeaths })
        const b1 = b.host.connect("b1")
        c.host.connect("c1")
        const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
        yield* TestClock.adjust("20 seconds")
        b1.acknowledge([])
        yield* travel
        assert.strictEqual(acks.missing(), undefined)
        c.server.kill()
        yield* TestClock.adjust(300)
        assert.strictEqual(acks.items.length, 1)
        assert.strictEqual(acks.missing(), 1)
      })
    )

    it.effect(`a server that leaves in good order is not missing (${how} of deaths)`, () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* cluster({ tellsDeaths })
        c.host.connect("c1")
        for (const { host } of [b, c]) host.handle = () => {}
        const answers = yield* ready(a)
        const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
        yield* TestClock.adjust("3 seconds")
        yield* c.leave
        yield* b.leave
        yield* TestClock.adjust(100)
        assert.strictEqual(answers.missing(), 0)
        assert.strictEqual(acks.missing(), 0)
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(a.server.monitor.incompletes, [])
      })
    )
  }

  it.effect("the death of a server that has answered accuses nobody else", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      const b1 = b.host.connect("b1")
      let answer: ((args: ReadonlyArray<unknown>) => void) | undefined
      b.host.handle = (_, reply) => {
        answer = reply
      }
      const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
      const answers = yield* ready(a)
      yield* TestClock.adjust(720)
      c.server.kill()
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(acks.missing(), undefined)
      assert.strictEqual(answers.missing(), undefined)
      b1.acknowledge(["b1"])
      answer!(["b"])
      yield* travel
      assert.deepStrictEqual([acks.missing(), answers.missing()], [0, 0])
    })
  )

  it.effect("a server that hangs is known after two seconds, for this question and the next one", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      for (const { host } of [a, b, c]) host.connect(`${host.name}1`)
      // They have met.
      yield* ask(c.adapter.count(all, false))
      yield* travel
      c.server.pause()
      for (const _ of [1, 2]) {
        const counted = yield* ask(a.adapter.count(all, false))
        yield* TestClock.adjust(1_400)
        assert.strictEqual(counted.result(), undefined)
        yield* TestClock.adjust(700)
        assert.deepStrictEqual(counted.result(), { value: 2, missing: 1 })
        yield* TestClock.adjust("3 seconds")
      }
      c.server.resume()
      const counted = yield* ask(a.adapter.count(all, false))
      yield* travel
      assert.deepStrictEqual(counted.result(), { value: 3, missing: 0 })
    })
  )

  it.effect("a server that hangs does not hold acknowledgements up for longer than two seconds", () =>
    Effect.gen(function* () {
      const { a, c } = yield* cluster()
      const c1 = c.host.connect("c1")
      const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
      yield* TestClock.adjust("10 seconds")
      c.server.pause()
      yield* TestClock.adjust(1_400)
      assert.strictEqual(acks.missing(), undefined)
      yield* TestClock.adjust(700)
      assert.strictEqual(acks.missing(), 1)
      // It is told that its answers are not needed.
      c.server.resume()
      yield* travel
      assert.strictEqual(c1.asked.size, 0)
    })
  )

  it.effect("a server that has never been heard is waited for until the timeout", () =>
    Effect.gen(function* () {
      const { a, c } = yield* cluster()
      c.server.pause()
      const counted = yield* ask(a.adapter.count(all, false))
      yield* TestClock.adjust(4_900)
      assert.strictEqual(counted.result(), undefined)
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(counted.result(), { value: 0, missing: 1 })
    })
  )

  it.effect("a broker that is slow is waited for: nobody is missing, and a death is known after its two ways", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster({ latency: [400, 400] })
      for (const { host } of [a, b, c]) host.connect(`${host.name}1`)
      for (const { host } of [b, c]) host.handle = (_, reply) => reply?.([host.name])
      const fetched = yield* ask(a.adapter.fetchSockets(all, false))
      const answers = yield* ready(a)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(fetched.result()?.missing, 0)
      assert.strictEqual(fetched.result()?.value.length, 3)
      assert.strictEqual(answers.missing(), 0)
      c.server.pause()
      const open = yield* ask(a.adapter.fetchSockets(all, false))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(open.result(), undefined)
      c.server.kill()
      // The count that is under way may be that of before.
      yield* TestClock.adjust(2 * 800 + 300)
      assert.strictEqual(open.result()?.missing, 1)
    })
  )

  it.effect("an asker that has slept accuses nobody", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      for (const { host } of [a, b, c]) host.connect(`${host.name}1`)
      let answer: ((args: ReadonlyArray<unknown>) => void) | undefined
      for (const { host } of [b, c]) {
        host.handle = (_, reply) => {
          answer = reply
        }
      }
      const answers = yield* ready(a)
      yield* TestClock.adjust("2 seconds")
      const fetched = yield* ask(a.adapter.fetchSockets(all, false))
      a.server.pause()
      yield* TestClock.adjust("30 seconds")
      a.server.resume()
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(fetched.result()?.missing, 0)
      assert.strictEqual(answers.missing(), undefined)
      assert.deepStrictEqual(a.server.monitor.incompletes, [])
      assert.isDefined(answer)
      yield* Fiber.interrupt(answers.fiber)
    })
  )

  it.effect("the handler of a server of this library may take any time", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster()
      let answer: ((args: ReadonlyArray<unknown>) => void) | undefined
      b.host.handle = (_, reply) => {
        answer = reply
      }
      const answers = yield* ready(a)
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual(answers.missing(), undefined)
      answer!(["late"])
      yield* travel
      assert.deepStrictEqual(answers.items, [["late"]])
      assert.strictEqual(answers.missing(), 0)
    })
  )

  it.effect("a server that joins later is neither waited for nor missing", () =>
    Effect.gen(function* () {
      const { a, b, bus } = yield* cluster()
      let answer: ((args: ReadonlyArray<unknown>) => void) | undefined
      b.host.handle = (_, reply) => {
        answer = reply
      }
      const answers = yield* ready(a)
      yield* TestClock.adjust("1 seconds")
      const d = yield* join(bus, "d")
      yield* ask(d.adapter.count(all, false))
      const e = yield* join(bus, "e")
      yield* ask(e.adapter.count(all, false))
      yield* TestClock.adjust("10 seconds")
      yield* d.leave
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(answers.missing(), undefined)
      answer!(["b"])
      yield* travel
      assert.strictEqual(answers.missing(), 0)
    })
  )

  it.effect("a question that is lost on the way is known to be unanswered", () =>
    Effect.gen(function* () {
      const { a, b, bus, c } = yield* cluster()
      for (const { host } of [b, c]) host.handle = (_, reply) => reply?.([host.name])
      yield* ask(c.adapter.count(all, false))
      yield* travel
      bus.partition([a.server, b.server], [c.server])
      const answers = yield* ready(a)
      const counted = yield* ask(a.adapter.count(all, false))
      yield* TestClock.adjust(100)
      bus.heal()
      yield* TestClock.adjust(2_100)
      assert.deepStrictEqual(answers.items, [["b"]])
      assert.strictEqual(answers.missing(), 1)
      assert.strictEqual(counted.result()?.missing, 1)
      assert.strictEqual(c.server.lostFrom(a.server), bus.undeliveredTo(c.server, a.server))
    })
  )

  it.effect("while the broker is away, questions wait for the timeout and say how many servers are missing", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster()
      a.host.connect("a1")
      b.host.connect("b1")
      a.server.cut()
      const counted = yield* ask(a.adapter.count(all, false))
      const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), rooms("b1"), flags))
      yield* TestClock.adjust(4_900)
      assert.strictEqual(counted.result(), undefined)
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(counted.result(), { value: 1, missing: 2 })
      assert.strictEqual(acks.missing(), 2)
    })
  )

  for (const tellsDeaths of [false, true]) {
    const how = tellsDeaths ? "the bus tells" : "only their number tells"
    for (const gap of [0, 40, 1_000]) {
      it.effect(`two of three servers die, ${gap} ms apart: two are missing, within 300 ms (${how})`, () =>
        Effect.gen(function* () {
          const { a, b, c } = yield* cluster({ tellsDeaths })
          for (const { host } of [a, b, c]) host.connect(`${host.name}1`)
          for (const { host } of [b, c]) host.handle = () => {}
          yield* ask(a.adapter.count(all, false))
          yield* travel
          for (const { server } of [b, c]) server.pause()
          const fetched = yield* ask(a.adapter.fetchSockets(all, false))
          const answers = yield* ready(a)
          const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), rooms("b1", "c1"), flags))
          yield* TestClock.adjust(100)
          b.server.kill()
          yield* TestClock.adjust(gap)
          assert.deepStrictEqual(
            [fetched.result(), answers.missing(), acks.missing()],
            [undefined, undefined, undefined]
          )
          c.server.kill()
          yield* TestClock.adjust(300)
          assert.deepStrictEqual(ids(fetched.result()?.value), ["a1"])
          assert.deepStrictEqual([fetched.result()?.missing, answers.missing(), acks.missing()], [2, 2, 2])
        })
      )
    }
  }

  it.effect("servers that are dead before a question are not missing", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      for (const { host } of [a, b, c]) host.connect(`${host.name}1`)
      yield* ask(a.adapter.count(all, false))
      yield* travel
      for (const { server } of [b, c]) server.kill()
      yield* travel
      const fetched = yield* ask(a.adapter.fetchSockets(all, false))
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(ids(fetched.result()?.value), ["a1"])
      assert.strictEqual(fetched.result()?.missing, 0)
    })
  )

  it.effect("a broker that goes away while a question is open: those are missing that have not answered", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster({ tellsOutages: true })
      for (const { host } of [a, b, c]) host.connect(`${host.name}1`)
      c.server.pause()
      const fetched = yield* ask(a.adapter.fetchSockets(all, false))
      yield* travel
      a.server.cut()
      yield* TestClock.adjust(900)
      assert.strictEqual(fetched.result(), undefined)
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(ids(fetched.result()?.value), ["a1", "b1"])
      assert.strictEqual(fetched.result()?.missing, 1)
      // Nobody can be counted any more: those of before are missing, at once.
      const later = yield* ask(a.adapter.fetchSockets(all, false))
      yield* TestClock.adjust(60)
      assert.deepStrictEqual(ids(later.result()?.value), ["a1"])
      assert.strictEqual(later.result()?.missing, 2)
    })
  )

  it.effect("a broker that goes away after a server has died: that one is not missing", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster({ tellsOutages: true })
      for (const { host } of [a, b, c]) host.connect(`${host.name}1`)
      yield* ask(a.adapter.count(all, false))
      yield* travel
      c.server.kill()
      yield* travel
      yield* ask(a.adapter.count(all, false))
      yield* TestClock.adjust(300)
      a.server.cut()
      yield* TestClock.adjust("2 seconds")
      const fetched = yield* ask(a.adapter.fetchSockets(all, false))
      yield* TestClock.adjust(60)
      assert.strictEqual(fetched.result()?.missing, 1)
    })
  )

  for (const parted of [["b"], ["b", "c"]] as const) {
    it.effect(`a partition: ${parted.length} of the others missing, as long as it lasts`, () =>
      Effect.gen(function* () {
        const { a, b, bus, c } = yield* cluster()
        for (const { host } of [a, b, c]) host.connect(`${host.name}1`)
        for (const { adapter } of [b, c]) yield* ask(adapter.count(all, false))
        yield* travel
        const isParted = ({ host }: Member) => (parted as ReadonlyArray<string>).includes(host.name)
        bus.partition(
          [a, b, c].filter((one) => !isParted(one)).map(({ server }) => server),
          [a, b, c].filter(isParted).map(({ server }) => server)
        )
        for (const _ of [1, 2]) {
          const fetched = yield* ask(a.adapter.fetchSockets(all, false))
          yield* TestClock.adjust(2_100)
          assert.strictEqual(fetched.result()?.missing, parted.length)
          assert.strictEqual(fetched.result()?.value.length, 3 - parted.length)
        }
        bus.heal()
        const fetched = yield* ask(a.adapter.fetchSockets(all, false))
        yield* travel
        assert.strictEqual(fetched.result()?.missing, 0)
      })
    )
  }

  it.effect("an outage of the asker accuses nobody who is at work", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster()
      let answer: ((args: ReadonlyArray<unknown>) => void) | undefined
      b.host.handle = (_, reply) => {
        answer = reply
      }
      const answers = yield* ready(a)
      yield* TestClock.adjust("10 seconds")
      a.server.cut()
      yield* TestClock.adjust("3 seconds")
      a.server.restore()
      yield* TestClock.adjust("10 seconds")
      answer!(["b"])
      yield* travel
      assert.deepStrictEqual(answers.items, [["b"]])
      assert.strictEqual(answers.missing(), 0)
    })
  )
})

describe("official servers", () => {
  for (const official of ["named", "anonymous"] as const) {
    const mixed = Effect.fnUntraced(function* () {
      const bus = yield* Bus.make({ latency: [1, 1] })
      return { bus, a: yield* join(bus, "a"), b: yield* join(bus, "b"), o: yield* join(bus, "o", { official }) }
    })

    it.effect(`their sockets are fetched and counted (${official})`, () =>
      Effect.gen(function* () {
        const { a, b, o } = yield* mixed()
        for (const { host } of [a, b, o]) host.connect(`${host.name}1`)
        o.host.connect("o2")
        const fetched = yield* ask(a.adapter.fetchSockets(all, false))
        const counted = yield* ask(a.adapter.count(all, false))
        const asked = yield* ask(o.adapter.fetchSockets(all, false))
        yield* travel
        assert.deepStrictEqual(ids(fetched.result()?.value), ["a1", "b1", "o1", "o2"])
        assert.deepStrictEqual(counted.result(), { value: 4, missing: 0 })
        assert.deepStrictEqual(ids(asked.result()?.value), ["a1", "b1", "o1", "o2"])
      })
    )

    it.effect(`their acknowledgements have no id and one argument (${official})`, () =>
      Effect.gen(function* () {
        const { a, b, o } = yield* mixed()
        const [b1, o1] = [b, o].map(({ host }) => host.connect(`${host.name}1`)) as [any, any]
        const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
        yield* travel
        o1.acknowledge([1, 2])
        b1.acknowledge([1, 2])
        yield* travel
        assert.deepStrictEqual(acks.items, [
          { sid: undefined, args: [1] },
          { sid: "b1", args: [1, 2] }
        ])
        assert.strictEqual(acks.missing(), 0)
      })
    )

    it.effect(`nobody tells that their clients have left: the caller's deadline ends it (${official})`, () =>
      Effect.gen(function* () {
        const { a, o } = yield* mixed()
        const o1 = o.host.connect("o1")
        const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
        yield* travel
        o1.disconnectUnsafe()
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(acks.missing(), undefined)
        yield* Fiber.interrupt(acks.fiber)
      })
    )

    it.effect(`their handlers are waited for until the timeout (${official})`, () =>
      Effect.gen(function* () {
        const { a, b, o } = yield* mixed()
        b.host.handle = (_, reply) => reply?.(["b"])
        o.host.handle = () => {}
        const answers = yield* ready(a)
        yield* TestClock.adjust(4_900)
        assert.strictEqual(answers.missing(), undefined)
        yield* TestClock.adjust(200)
        assert.deepStrictEqual(answers.items, [["b"]])
        assert.strictEqual(answers.missing(), 1)
      })
    )

    it.effect(`one that dies while a fetch is open is missing within 300 ms (${official})`, () =>
      Effect.gen(function* () {
        const { a, b, o } = yield* mixed()
        for (const { host } of [a, b, o]) host.connect(`${host.name}1`)
        o.server.pause()
        const fetched = yield* ask(a.adapter.fetchSockets(all, false))
        yield* TestClock.adjust(100)
        o.server.kill()
        yield* TestClock.adjust(300)
        assert.deepStrictEqual(ids(fetched.result()?.value), ["a1", "b1"])
        assert.strictEqual(fetched.result()?.missing, 1)
      })
    )

    it.effect(`acknowledgements end when no other server is left (${official})`, () =>
      Effect.gen(function* () {
        const bus = yield* Bus.make({ latency: [1, 1] })
        const [a, o] = [yield* join(bus, "a"), yield* join(bus, "o", { official })]
        o.host.connect("o1")
        const acks = yield* gather(a.adapter.broadcastWithAck(packet("ask"), all, flags))
        yield* TestClock.adjust("1 seconds")
        o.server.kill()
        yield* TestClock.adjust(300)
        assert.strictEqual(acks.missing(), 1)
      })
    )

    it.effect(`what they no longer wait for is forgotten after their time limit (${official})`, () =>
      Effect.gen(function* () {
        const { a, o } = yield* mixed()
        const a1 = a.host.connect("a1")
        yield* gather(o.adapter.broadcastWithAck(packet("ask"), rooms("a1"), flags))
        yield* travel
        assert.strictEqual(a1.asked.size, 1)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(a1.asked.size, 0)
      })
    )
  }

  it.effect("one that is slow is waited for, though a server that was known once is not there", () =>
    Effect.gen(function* () {
      const { a, b, bus, c } = yield* cluster()
      const o = yield* join(bus, "o", { official: "named" })
      yield* ask(a.adapter.count(all, false))
      yield* travel
      c.server.kill()
      b.server.kill()
      yield* travel
      // A complete answer tells that nobody else is there.
      yield* ask(a.adapter.count(all, false))
      yield* travel
      let answer: ((args: ReadonlyArray<unknown>) => void) | undefined
      o.host.handle = (_, reply) => {
        answer = reply
      }
      const answers = yield* ready(a)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(answers.missing(), undefined)
      answer!(["o"])
      yield* travel
      assert.strictEqual(answers.missing(), 0)
    })
  )
})
