/**
 * The link below everything in memory: what it carries, in which order, and how it ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as Link from "../../src/testing/Link.ts"

/** A link whose ends write down what they see. */
const makeLink = (deliver?: Link.Deliver, id = 0) => {
  const later = Link.makeLater((task) => void setImmediate(task))
  const log: Array<string> = []
  let isOver = false
  const link = Link.make<string, string>({
    id,
    later,
    deliver: deliver ?? (({ arrive }, later) => later(arrive)),
    onEnded: () => {
      isOver = true
    }
  })
  for (const side of ["client", "server"] as const) {
    link[side].receiver = {
      onMessage: (message) => log.push(`${side} got ${message}`),
      onEnd: (ending) => log.push(`${side} ${ending}`)
    }
  }
  return { link, log, isOver: () => isOver, take: () => log.splice(0) }
}

/** Lets everything happen that is due. */
const settle = Effect.yieldNow

describe("tasks for later", () => {
  it.effect("run in their order, behind the code that gave them, whoever gave them", () =>
    Effect.gen(function* () {
      const later = Link.makeLater((task) => void setImmediate(task))
      const log: Array<number> = []
      later(() => {
        log.push(1)
        later(() => log.push(3))
      })
      later(() => log.push(2))
      assert.deepStrictEqual(log, [])
      yield* settle
      assert.deepStrictEqual(log, [1, 2, 3])
    })
  )

  it.live("let the process have its turn in an exchange without end", () =>
    Effect.gen(function* () {
      const later = Link.makeLater((task) => void setImmediate(task))
      let isOver = false
      const again = () => {
        if (!isOver) later(again)
      }
      later(again)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      isOver = true
    })
  )

  it("go on after one that throws", () => {
    const turns: Array<() => void> = []
    const later = Link.makeLater((run) => void turns.push(run))
    const log: Array<number> = []
    later(() => {
      log.push(1)
      later(() => log.push(4))
      throw new Error("a bug")
    })
    for (const n of [2, 3]) later(() => log.push(n))
    assert.throws(() => turns.shift()!(), "a bug")
    while (turns.length > 0) turns.shift()!()
    assert.deepStrictEqual(log, [1, 2, 3, 4])
  })
})

describe("a link", () => {
  it.effect("brings messages either way, in order, and not within the call that sends them", () =>
    Effect.gen(function* () {
      const { link, log, take } = makeLink()
      link.client.send("a", 1)
      link.client.send("b", 2)
      link.server.send("c", 3)
      assert.deepStrictEqual(log, [])
      assert.deepStrictEqual([link.client.buffered, link.server.buffered], [3, 3])
      yield* settle
      assert.deepStrictEqual(take(), ["server got a", "server got b", "client got c"])
      assert.deepStrictEqual([link.client.buffered, link.server.buffered], [0, 0])
    })
  )

  it("keeps the order of each direction, whatever arrives first", () => {
    const transmissions: Array<Link.Transmission> = []
    const { link, take } = makeLink((transmission) => void transmissions.push(transmission), 7)
    for (const message of ["a", "b"]) link.client.send(message, message.length)
    link.server.send("c", 1)
    assert.deepStrictEqual(
      transmissions.map(({ direction, link, size }) => [link, direction, size]),
      [
        [7, "to server", 1],
        [7, "to server", 1],
        [7, "to client", 1]
      ]
    )
    transmissions[1]!.arrive()
    transmissions[2]!.arrive()
    assert.deepStrictEqual(take(), ["client got c"])
    transmissions[0]!.arrive()
    transmissions[0]!.arrive()
    assert.deepStrictEqual(take(), ["server got a", "server got b"])
  })

  it.effect("closes behind what was sent, on both sides, and answers what the other one has still sent", () =>
    Effect.gen(function* () {
      const { isOver, link, take } = makeLink()
      link.server.send("before", 1)
      link.client.send("last", 1)
      link.client.close()
      link.client.send("never", 1)
      yield* settle
      assert.deepStrictEqual(take(), ["client got before", "server got last", "server closed", "client closed"])
      assert.isTrue(isOver())
      link.server.send("never", 1)
      link.server.close()
      link.client.abort()
      link.cut()
      yield* settle
      assert.deepStrictEqual(take(), [])
    })
  )

  it.effect("aborts behind what was sent; what comes the other way is lost", () =>
    Effect.gen(function* () {
      const { isOver, link, log, take } = makeLink()
      link.server.send("lost", 1)
      link.client.send("last", 1)
      link.client.abort()
      assert.deepStrictEqual(log, [])
      yield* settle
      assert.deepStrictEqual(take(), ["server got last", "server cut", "client cut"])
      assert.isTrue(isOver())
    })
  )

  it.effect("ends both ends at once when it is cut, and loses what is on its way", () =>
    Effect.gen(function* () {
      const { isOver, link, take } = makeLink()
      link.client.send("lost", 4)
      link.cut()
      assert.deepStrictEqual(take(), ["client cut", "server cut"])
      assert.isTrue(isOver())
      assert.strictEqual(link.client.buffered, 0)
      yield* settle
      assert.deepStrictEqual(take(), [])
    })
  )

  it.effect(
    "holds everything while it is stalled, the news of an end too, and brings it in order when it goes on",
    () =>
      Effect.gen(function* () {
        const { link, take } = makeLink()
        link.client.send("a", 1)
        link.stall()
        link.client.send("b", 1)
        link.server.send("c", 1)
        link.server.close()
        yield* settle
        assert.deepStrictEqual(take(), [])
        assert.strictEqual(link.client.buffered, 2)
        link.resume()
        assert.deepStrictEqual(take(), ["server got a", "server got b", "client got c", "client closed"])
        yield* settle
        assert.deepStrictEqual(take(), ["server closed"])
      })
  )

  it.effect("can be cut by what receives, and brings nothing after it", () =>
    Effect.gen(function* () {
      const { link, log, take } = makeLink()
      link.server.receiver = {
        onMessage: (message) => {
          log.push(message)
          link.cut()
        },
        onEnd: (ending) => log.push(`server ${ending}`)
      }
      for (const message of ["a", "b"]) link.client.send(message, 1)
      yield* settle
      assert.deepStrictEqual(take(), ["a", "client cut", "server cut"])
    })
  )
})
