/**
 * One situation after the other, at official servers and at this library's: whether a client is recovered after each outage, what it hears
 * in all, and whether it hears what comes next.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

import { type Cluster, type Node, startCluster } from "../cluster/nodes.ts"
import { requires } from "../support/peers.ts"
import { type Cut, type CutClient, eventually, startClient } from "./clients.ts"
import { connectRaw, type RawPeer } from "./rawPeer.ts"
import { type Kind, kinds, startSubject, type Subject } from "./servers.ts"

interface Scene {
  readonly subject: Subject
  readonly client: CutClient
  readonly room: string
  /** The events of the room so far. */
  n: number
}

type Step = (scene: Scene) => Promise<boolean | undefined | void>

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Emits events while the client is connected, and waits for them. */
const ticks =
  (times = 1): Step =>
  async (scene) => {
    for (let i = 0; i < times; i++) {
      const n = ++scene.n
      await scene.subject.emit({ to: [scene.room] }, "tick", n)
      await eventually(`event ${n}`, () => scene.client.heard.some(([, heard]) => heard === n))
    }
  }

/** Emits events while it is not. */
const missed =
  (times = 1, volatile = false): Step =>
  async (scene) => {
    for (let i = 0; i < times; i++) await scene.subject.emit({ to: [scene.room], volatile }, "tick", ++scene.n)
  }

/** An event with a text, which the client hears. */
const text =
  (emit: (scene: Scene) => Promise<void>): Step =>
  async (scene) => {
    const before = scene.client.heard.length
    await emit(scene)
    await eventually("the text", () => scene.client.heard.length > before)
  }

/** An outage; gives whether the client was recovered. */
const outage =
  (how: Cut = "reset", meanwhile: Step = async () => {}, atOnce = false): Step =>
  async (scene) => {
    const { client, subject } = scene
    const { id } = client
    const ends = () => subject.departures.filter((departure) => departure.id === id).length
    const before = ends()
    const finish = await client.cut(how)
    if (how !== "stall" && !atOnce) await eventually("the end", () => ends() > before)
    await meanwhile(scene)
    const recovered = await client.back()
    // The server hears of the earlier connection after that.
    finish()
    return recovered
  }

interface Case {
  readonly steps: ReadonlyArray<Step>
  readonly expected: Readonly<Record<Kind, Outcome>>
}

interface Outcome {
  /** After each outage. */
  readonly recovered: ReadonlyArray<boolean>
  /** The events that it has heard; the last one has come after all others. Without it, the client hears nothing any more. */
  readonly heard: string
}

const both = (recovered: ReadonlyArray<boolean>, heard: string): Case["expected"] => {
  const outcome = { recovered, heard }
  return { official: outcome, ours: outcome }
}

const but = (official: Outcome, ours: Outcome): Case["expected"] => ({ official, ours })

const yes = true
const no = false

const cases: Readonly<Record<string, Case>> = {
  "nothing missed": { steps: [ticks(), outage()], expected: both([yes], "1 2") },
  "three events missed": { steps: [ticks(), outage("reset", missed(3))], expected: both([yes], "1 2 3 4 5") },
  "no event before": {
    steps: [outage()],
    expected: but({ recovered: [no], heard: "1" }, { recovered: [yes], heard: "1" })
  },
  "no event before, one missed": {
    steps: [outage("reset", missed())],
    expected: but({ recovered: [no], heard: "2" }, { recovered: [yes], heard: "1 2" })
  },
  "two outages": { steps: [ticks(), outage(), ticks(), outage()], expected: both([yes, yes], "1 2 3") },
  "two outages, nothing in between": { steps: [ticks(), outage(), outage()], expected: both([yes, yes], "1 2") },
  "two outages, events missed in both": {
    steps: [ticks(), outage("reset", missed(2)), outage("reset", missed(2))],
    expected: both([yes, yes], "1 2 3 4 5 6")
  },
  "an end that was not noticed, then an outage before the next event": {
    steps: [ticks(), outage("stall", missed(2)), outage()],
    // Events of the gap of which it was told come late.
    expected: but({ recovered: [no, yes], heard: "1 2 3 4" }, { recovered: [yes, yes], heard: "1 2 3 4" })
  },
  "a text in a volatile event last": {
    steps: [
      ticks(),
      text(({ room, subject }) => subject.emit({ to: [room], volatile: true }, "x", "text")),
      outage("reset", missed())
    ],
    expected: but({ recovered: [no], heard: "1 text 3" }, { recovered: [yes], heard: "1 text 2 3" })
  },
  "a text in an acknowledged event last": {
    steps: [
      ticks(),
      text(async ({ client, subject }) => void (await subject.question(client.id!, "question", "text"))),
      outage("reset", missed())
    ],
    expected: both([yes], "1 text 2 3")
  },
  "a volatile event missed": { steps: [ticks(), outage("reset", missed(1, true))], expected: both([yes], "1 3") },
  "back before the server has noticed": {
    steps: [ticks(), outage("stall", missed())],
    expected: but({ recovered: [no], heard: "1 3" }, { recovered: [yes], heard: "1 2 3" })
  },
  "taken from its room meanwhile": {
    steps: [
      ticks(),
      outage("reset", async (scene) => {
        await scene.subject.leave(scene.room, scene.room)
        await missed()(scene)
      })
    ],
    // The official server knows nothing of rooms of clients that are away.
    expected: but({ recovered: [yes], heard: "1 2 3" }, { recovered: [yes], heard: "1" })
  },
  "disconnected meanwhile": {
    steps: [
      ticks(),
      outage("reset", async (scene) => {
        await scene.subject.kick(scene.room)
        await missed()(scene)
      })
    ],
    expected: but({ recovered: [yes], heard: "1 2 3" }, { recovered: [no], heard: "1 3" })
  },
  "one session, two clients": {
    steps: [
      ticks(),
      async (scene) => {
        const { client, subject } = scene
        const twins: Array<RawPeer> = []
        const recovered = await outage("reset", async () => {
          twins.push(await connectRaw(subject.url, { pid: client.pid, offset: client.offset }))
          assert.strictEqual(twins[0]!.pid, client.pid)
        })(scene)
        const before = subject.departures.length
        twins[0]!.reset()
        // This library's server has ended it already.
        if (subject.kind === "official") {
          await eventually("the end of the twin", () => subject.departures.length > before)
        }
        return recovered
      }
    ],
    // Both are in, under one id: with the one, the other leaves its rooms, and hears nothing any more.
    expected: but({ recovered: [yes], heard: "1" }, { recovered: [yes], heard: "1 2" })
  }
}

describe.each(kinds)("at the %s server, a client with", (kind) => {
  let subject: Subject
  let number = 0
  beforeAll(async () => {
    subject = await startSubject(kind)
  })
  afterAll(() => subject.stop())

  for (const [title, { expected, steps }] of Object.entries(cases)) {
    const { heard, recovered } = expected[kind]
    it(`${title} ${recovered.every(Boolean) ? "is recovered" : "is refused"}`, async () => {
      const room = `room ${number++}`
      const client = await startClient("official", subject.port, { rooms: [room] })
      const scene: Scene = { subject, client, room, n: 0 }
      try {
        await client.call("join", room)
        const results: Array<boolean> = []
        for (const step of steps) {
          const result = await step(scene)
          if (typeof result === "boolean") results.push(result)
        }
        assert.deepStrictEqual(results, recovered)
        await pause(10)
        const last = ++scene.n
        await subject.emit({ to: [room] }, "tick", last)
        const values = () => client.heard.map(([, value]) => value).join(" ")
        await eventually(heard, () => values().length >= heard.length)
        // Nothing else comes.
        await pause(20)
        assert.strictEqual(values(), heard)
      } finally {
        await client.end()
      }
    })
  }

  // A client often is back before the server has looked: whichever of them it is, nothing is lost in silence.
  it("no pause before it is back loses nothing in silence", async () => {
    const room = "hasty"
    const client = await startClient("official", subject.port, { rooms: [room] })
    const scene: Scene = { subject, client, room, n: 0 }
    try {
      await client.call("join", room)
      await ticks()(scene)
      for (let i = 0; i < 10; i++) {
        const recovered = await outage("close", undefined, true)(scene)
        if (kind === "ours") assert.isTrue(recovered)
        await client.call("join", room)
        await ticks()(scene)
      }
      const numbers = client.heard.map(([, n]) => n)
      assert.deepStrictEqual(
        numbers,
        Array.from({ length: 11 }, (_, i) => i + 1)
      )
    } finally {
      await client.end()
    }
  })
})

describe.each(kinds)("in a cluster of %s servers over Redis streams, a client", (kind) => {
  describe("with two of them", requires("Redis"), () => {
    let cluster: Cluster
    beforeAll(async () => {
      const env = { RECOVERY_MS: "30000", PING_INTERVAL: "2000", PING_TIMEOUT: "1500" }
      cluster = await startCluster({ adapter: "streams", kinds: [kind, kind], env })
    })
    afterAll(() => cluster?.stop())

    const enter = async (home: Node) => {
      const client = await startClient("official", home.ready.port, { rooms: ["all"] })
      await client.call("sync")
      const numbers = () => client.heard.map(([, { n }]) => n)
      const tick = (node: Node) => node.call("ticks", { id: "count", to: ["all"] })
      return { client, numbers, tick }
    }

    it("that comes back to another node is recovered", async () => {
      const [home, other] = [cluster.nodes[0]!, cluster.nodes[1]!]
      const { client, numbers, tick } = await enter(home)
      try {
        const first = await tick(home)
        await eventually("the first event", () => numbers().includes(first.n))
        await client.cut("reset")
        await pause(200)
        const second = await tick(home)
        client.relay.target = other.ready.port
        assert.isTrue(await client.back())
        await client.call("sync")
        await pause(100)
        const third = await tick(home)
        await eventually("the last event", () => numbers().includes(third.n))
        assert.include(numbers(), second.n)
        assert.strictEqual(new Set(numbers()).size, numbers().length)
      } finally {
        await client.end()
      }
    })

    it(`whose node is killed is ${kind === "ours" ? "recovered" : "told that it is not recovered"} (fact 13)`, async () => {
      const [home, other] = [cluster.nodes[0]!, cluster.nodes[1]!]
      const { client, numbers, tick } = await enter(home)
      try {
        const first = await tick(home)
        await eventually("the first event", () => numbers().includes(first.n))
        await home.kill()
        await eventually("the end", () => !client.connected)
        const second = await tick(other)
        client.relay.target = other.ready.port
        assert.strictEqual(await client.back(), kind === "ours")
        await client.call("sync")
        const third = await tick(other)
        await eventually("the last event", () => numbers().includes(third.n))
        assert.strictEqual(numbers().includes(second.n), kind === "ours")
        assert.strictEqual(new Set(numbers()).size, numbers().length)
      } finally {
        await client.end()
      }
    })
  })
})
