/**
 * The behaviour of official peers around connection state recovery, and that of this library: the same situations at both servers, in the
 * numbers of a list of facts. See also `pong.test.ts` and `resumption.test.ts`.
 */
import { afterEach, assert, describe, it } from "@effect/vitest"
import { io, type Socket } from "socket.io-client"

import { engineUrl, request } from "../support/RawClient.ts"
import { type CutClient, eventually, startClient } from "./clients.ts"
import { startFakeServer } from "./fakeServer.ts"
import { connectRaw } from "./rawPeer.ts"
import { type Kind, kinds, startSubject, type Subject, type SubjectOptions } from "./servers.ts"

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** The resources to end after a test, the latest first. */
const ends: Array<() => unknown> = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

const ending = <A>(value: A, end: (value: A) => unknown): A => {
  ends.push(() => end(value))
  return value
}

const serve = async (kind: Kind, options?: SubjectOptions): Promise<Subject> =>
  ending(await startSubject(kind, options), (subject) => subject.stop())

/** An official client in a room, which has heard that it is there. */
const enter = async ({ port }: Subject, rooms: ReadonlyArray<string> = ["room"], auth = {}): Promise<CutClient> => {
  const client = ending(await startClient("official", port, { rooms, auth }), (client) => client.end())
  for (const room of rooms) await client.call("join", room)
  return client
}

const numbers = ({ heard }: { readonly heard: ReadonlyArray<ReadonlyArray<unknown>> }): ReadonlyArray<unknown> =>
  heard.map(([, n]) => n)

/** Resets the connection, and waits until the server has noticed. */
const lose = async (subject: Subject, client: CutClient): Promise<void> => {
  const { id } = client
  const gone = () => subject.departures.filter((departure) => departure.id === id).length
  const before = gone()
  await client.cut("reset")
  await eventually("the end of a socket", () => gone() > before)
}

const to = ["room"]

/** Emits to the room, and waits until the client has heard it. */
const say = async (subject: Subject, client: CutClient, n: number): Promise<void> => {
  const before = client.heard.length
  await subject.emit({ to }, "e", n)
  await eventually(`event ${n}`, () => client.heard.length > before)
}

describe("the official client", () => {
  /** Lets a client come back to each turn of a fake server; gives what it has asked with. */
  const play = async (...turns: ReadonlyArray<ReadonlyArray<string>>) => {
    const fake = ending(await startFakeServer(turns), (fake) => fake.close())
    const options = { transports: ["websocket"], forceNew: true, reconnectionDelay: 5, randomizationFactor: 0 }
    const socket: Socket = ending(io(`http://127.0.0.1:${fake.port}`, options), (socket) => socket.disconnect())
    const seen: Array<unknown> = []
    socket.onAny((...event) => seen.push(event.filter((part) => typeof part !== "function")))
    socket.on("connect", () => seen.push(socket.recovered ? "recovered" : "connected"))
    await eventually("all connections", () => fake.asked.length === turns.length)
    await pause(10)
    const asked = fake.asked.map((auth) => (auth === "" ? undefined : JSON.parse(auth)))
    return { asked, fake, seen, socket }
  }
  const connected = (pid: string, more: object = {}) => `40${JSON.stringify({ sid: "s", pid, ...more })}`

  it("asks without an offset when it has had no event (1)", async () => {
    const { asked } = await play([connected("P")], [])
    assert.deepStrictEqual(asked, [undefined, { pid: "P" }])
  })

  it("takes the last argument of any event for an offset if it is a text, and not that of one that asks for an answer (2)", async () => {
    const { asked } = await play(
      [connected("P"), '42["volatile","hello"]'],
      [connected("P"), '4217["ask","x","P-9"]'],
      [connected("P"), '42["name-alone"]'],
      []
    )
    const offsets = asked.map((auth) => auth?.offset)
    assert.deepStrictEqual(offsets, [undefined, "hello", "hello", "name-alone"])
  })

  it("never forgets an offset (3)", async () => {
    const { asked } = await play([connected("P"), '42["e",1,"P-1"]'], [connected("other")], [])
    assert.deepStrictEqual(asked, [undefined, { pid: "P", offset: "P-1" }, { pid: "other", offset: "P-1" }])
  })

  it("is recovered if it gets the same private id, ignores further members, and keeps events until CONNECT (4)", async () => {
    const { asked, seen } = await play(
      [connected("P")],
      ['42["early",1,"P-5"]', connected("P", { recovery: { reason: "none" } })],
      [connected("other", { recovered: true })],
      []
    )
    assert.deepStrictEqual(seen, ["connected", ["early", 1, "P-5"], "recovered", "connected"])
    assert.deepStrictEqual(asked.at(-1), { pid: "other", offset: "P-5" })
  })

  it("numbers its acknowledgements on across connections, and fails those that wait (6)", async () => {
    const { fake, socket } = await play([connected("P")])
    const first = socket
      .timeout(5_000)
      .emitWithAck("ask")
      .catch((error: Error) => error.message)
    await eventually("the question", () => fake.said.includes('420["ask"]'))
    socket.io.engine.close()
    assert.strictEqual(await first, "socket has been disconnected")
    await eventually("the return", () => fake.asked.length === 2)
    assert.strictEqual(fake.asked[1], '{"pid":"P"}')
    void socket
      .timeout(100)
      .emitWithAck("ask")
      .catch(() => {})
    assert.strictEqual((socket as any).ids, 2)
  })
})

describe.each(kinds)("at the %s server, a client", (kind) => {
  const isOurs = kind === "ours"

  it(`that has heard nothing ${isOurs ? "gets what it misses" : "is refused, and loses all"} (1, 11)`, async () => {
    const subject = await serve(kind)
    const client = await enter(subject)
    await lose(subject, client)
    await subject.emit({ to }, "e", 1)
    assert.strictEqual(await client.back(), isOurs)
    await client.call("join", "room")
    await say(subject, client, 2)
    assert.deepStrictEqual(numbers(client), isOurs ? [1, 2] : [2])
  })

  it(`${isOurs ? "is recovered" : "is refused"} if the last event was volatile and ended in a text (2)`, async () => {
    const subject = await serve(kind)
    const client = await enter(subject)
    await say(subject, client, 1)
    await subject.emit({ volatile: true }, "poison", "hello")
    await eventually("the volatile event", () => client.heard.length === 2)
    await lose(subject, client)
    await subject.emit({ to }, "e", 2)
    assert.strictEqual(await client.back(), isOurs)
    await client.call("join", "room")
    await say(subject, client, 3)
    assert.deepStrictEqual(numbers(client), isOurs ? [1, "hello", 2, 3] : [1, "hello", 3])
  })

  it(`that was refused, and is cut again before it has heard anything, ${isOurs ? "gets nothing from before" : "gets events of the gap, late"} (3)`, async () => {
    const subject = await serve(kind, { maxDisconnection: 100 })
    const client = await enter(subject)
    await say(subject, client, 1)
    await lose(subject, client)
    await subject.emit({ to }, "e", 2)
    await pause(150)
    assert.isFalse(await client.back())
    // It knows that events are missing, and asks the application for the present state.
    await client.call("join", "room")
    await lose(subject, client)
    await subject.emit({ to }, "e", 3)
    assert.isTrue(await client.back())
    await say(subject, client, 4)
    assert.deepStrictEqual(numbers(client), isOurs ? [1, 3, 4] : [1, 2, 3, 4])
  })

  it(`is told that it is connected ${isOurs ? "before" : "after"} it gets what it has missed (4)`, async () => {
    const subject = await serve(kind)
    const peer = await connectRaw(subject.url)
    await subject.emit({ to: [peer.sid] }, "e", 1, "")
    await eventually("the event", () => peer.heard.length === 1)
    peer.reset()
    await eventually("the end", () => subject.departures.some(({ id }) => id === peer.sid))
    await subject.emit({ to: [peer.sid] }, "e", 2, "")
    const back = await connectRaw(subject.url, { pid: peer.pid, offset: peer.offset! })
    assert.strictEqual(back.early, isOurs ? 0 : 1)
    await eventually("what was missed", () => back.heard.length === 1)
    back.reset()
  })

  it("over polling gets no event in the payload that closes its session (5)", async () => {
    const subject = await serve(kind)
    const query = { EIO: "4", transport: "polling" }
    const { sid } = JSON.parse((await request(engineUrl(subject.url, query))).body.slice(1))
    const url = engineUrl(subject.url, { ...query, sid })
    await request(url, { method: "POST", body: "40" })
    const { pid } = JSON.parse((await request(url)).body.slice(2))
    await subject.emit({}, "e", 1)
    if (isOurs) await connectRaw(subject.url, { pid })
    // At the official server nothing ends a session that may be recovered and has something to say.
    else assert.isFalse((await connectRaw(subject.url, { pid })).pid === pid)
    assert.match((await request(url)).body, /^42\["e",1,"[^"]+"\]$/)
    if (isOurs) assert.strictEqual((await request(url)).body, "1")
  })

  it(`is not asked again for an answer that it owes, ${isOurs ? "which fails at once" : "for which the server waits in vain"} (6)`, async () => {
    const subject = await serve(kind)
    const peer = await connectRaw(subject.url)
    await subject.emit({ to: [peer.sid] }, "e", 1)
    const begun = performance.now()
    const answer = subject.question(peer.sid, "question", "?")
    await eventually("the question", () => peer.questions.length === 1)
    peer.reset()
    assert.isUndefined(await answer)
    assert.strictEqual(performance.now() - begun < 900, isOurs)
    const back = await connectRaw(subject.url, { pid: peer.pid, offset: peer.offset! })
    assert.strictEqual(back.pid, peer.pid)
    // An answer that comes late is not taken for that of the next question.
    const next = subject.question(back.sid, "question", "!")
    await eventually("the next question", () => back.questions.length === 1)
    assert.notStrictEqual(back.questions[0], peer.questions[0])
    back.send(`43${peer.questions[0]}["late"]`)
    back.send(`43${back.questions[0]}["right"]`)
    assert.strictEqual(await next, "right")
    assert.deepStrictEqual(back.heard, [])
    back.reset()
  })

  it(`whose end the server has not noticed ${isOurs ? "is recovered, and is the only one" : "is refused"} (7)`, async () => {
    const subject = await serve(kind)
    const client = await enter(subject)
    await say(subject, client, 1)
    const { id } = client
    const finish = await client.cut("stall")
    await subject.emit({ to }, "e", 2)
    assert.strictEqual(await client.back(), isOurs)
    finish()
    if (isOurs) assert.deepStrictEqual(subject.departures, [{ id: id!, reason: "session resumed" }])
    await client.call("join", "room")
    await say(subject, client, 3)
    assert.deepStrictEqual(numbers(client), isOurs ? [1, 2, 3] : [1, 3])
  })

  it(`that shares its private id with another ${isOurs ? "gives it up to the later one" : "goes on, and one of them hears nothing"} (8)`, async () => {
    const subject = await serve(kind)
    const first = await connectRaw(subject.url)
    await subject.emit({}, "e", 1)
    await eventually("the event", () => first.heard.length === 1)
    first.reset()
    await eventually("the end", () => subject.departures.length === 1)
    const auth = { pid: first.pid, offset: first.offset! }
    const one = await connectRaw(subject.url, auth)
    const two = await connectRaw(subject.url, auth)
    assert.deepStrictEqual([one.sid, two.sid], [first.sid, first.sid])
    await subject.emit({}, "e", 2)
    await eventually("the next event", () => two.heard.length === 1)
    assert.deepStrictEqual(one.heard, [])
    // A client notices the end of its connection; it does not notice that it hears nothing.
    if (isOurs) await eventually("the end of the first", () => one.isClosed)
    else {
      await pause(50)
      assert.isFalse(one.isClosed)
    }
    one.reset()
    two.reset()
  })

  it(`that has been banned meanwhile gets ${isOurs ? "nothing" : "what it has missed, and then the refusal"} (9)`, async () => {
    const subject = await serve(kind)
    const peer = await connectRaw(subject.url, { rooms: ["secret"] })
    await eventually("the room", () => subject.arrivals.length === 1)
    await subject.emit({ to: ["secret"] }, "e", 1)
    await eventually("the first event", () => peer.heard.length === 1)
    peer.reset()
    await eventually("the end", () => subject.departures.length === 1)
    await subject.emit({ to: ["secret"] }, "classified", 2)
    subject.isBanning = true
    const auth = { pid: peer.pid, offset: peer.offset! }
    const banned = await connectRaw(subject.url, auth)
    assert.strictEqual(banned.refusal, "banned")
    assert.deepStrictEqual(banned.heard, isOurs ? [] : [["classified", 2]])
    banned.reset()
    subject.isBanning = false
    // And that was its only chance.
    const back = await connectRaw(subject.url, auth)
    assert.strictEqual(back.pid === peer.pid, !isOurs)
    back.reset()
  })

  it(`that joins a room gets ${isOurs ? "only what was sent there since" : "what was sent there before, too"} (10)`, async () => {
    const subject = await serve(kind)
    const client = await enter(subject)
    await say(subject, client, 1)
    await subject.emit({ to: ["late"] }, "e", 2)
    await client.call("join", "late")
    await lose(subject, client)
    await subject.emit({ to: ["late"] }, "e", 3)
    assert.isTrue(await client.back())
    await say(subject, client, 4)
    assert.deepStrictEqual(numbers(client), isOurs ? [1, 3, 4] : [1, 2, 3, 4])
  })

  it(`that leaves a room gets ${isOurs ? "what was sent there before, as it was a member" : "nothing of what it has missed as a member"} (10)`, async () => {
    const subject = await serve(kind)
    const client = await enter(subject, ["room", "left"])
    await say(subject, client, 1)
    const { id } = client
    const finish = await client.cut("stall")
    await subject.emit({ to: ["left"] }, "e", 2)
    await subject.leave(id!, "left")
    await subject.emit({ to: ["left"] }, "e", 3)
    finish()
    await eventually("the end", () => subject.departures.length === 1)
    assert.isTrue(await client.back())
    await say(subject, client, 4)
    assert.deepStrictEqual(numbers(client), isOurs ? [1, 2, 4] : [1, 4])
  })

  describe("for which events are kept for a while", () => {
    /** The official server looks once a minute for what is too old: this looks now. */
    let sweep = () => {}
    const serveBriefly = async (maxDisconnection: number, pingTimeout: number) => {
      const original = globalThis.setInterval
      globalThis.setInterval = ((callback: () => void, milliseconds: number, ...rest: Array<any>) => {
        if (milliseconds === 60_000) sweep = callback
        return original(callback, milliseconds, ...rest)
      }) as typeof setInterval
      try {
        return await serve(kind, { maxDisconnection, pingInterval: 50, pingTimeout })
      } finally {
        globalThis.setInterval = original
      }
    }

    it(`${isOurs ? "is recovered" : "is refused"} if the last event was long ago (12)`, async () => {
      const subject = await serveBriefly(500, 250)
      const client = await enter(subject)
      await say(subject, client, 1)
      await pause(1_000)
      sweep()
      await lose(subject, client)
      await subject.emit({ to }, "e", 2)
      assert.strictEqual(await client.back(), isOurs)
      await client.call("join", "room")
      await say(subject, client, 3)
      assert.deepStrictEqual(numbers(client), isOurs ? [1, 2, 3] : [1, 3])
    })

    it(`${isOurs ? "is recovered" : "is refused"} if its end was noticed late (12)`, async () => {
      // By then the event is older than the longest outage, which has just begun.
      const subject = await serveBriefly(800, 1_000)
      const client = await enter(subject)
      await say(subject, client, 1)
      await client.cut("stall")
      await subject.emit({ to }, "e", 2)
      await eventually("the end", () => subject.departures.length === 1)
      assert.strictEqual(subject.departures[0]!.reason, "ping timeout")
      sweep()
      assert.strictEqual(await client.back(), isOurs)
      await client.call("join", "room")
      await say(subject, client, 3)
      assert.deepStrictEqual(numbers(client), isOurs ? [1, 2, 3] : [1, 3])
    })
  })

  it(`that has answered a ping ${isOurs ? "is believed: nothing from before is sent again" : "gets again what it had, if its offset is older"} (14)`, async () => {
    const subject = await serve(kind, { pingInterval: 100 })
    const peer = await connectRaw(subject.url)
    await subject.direct(peer.sid, "e", 1)
    await eventually("the first event", () => peer.heard.length === 1)
    const offset = peer.offset!
    await subject.direct(peer.sid, "e", 2)
    await subject.emit({}, "e", 3)
    const { pings } = peer
    // The second one was sent after both events.
    await eventually("a pong", () => peer.pings >= pings + 2)
    await pause(20)
    peer.reset()
    await eventually("the end", () => subject.departures.length === 1)
    await subject.emit({}, "e", 4)
    const back = await connectRaw(subject.url, { pid: peer.pid, offset })
    assert.strictEqual(back.pid, peer.pid)
    await eventually("what was missed", () => back.heard.some(([, n]) => n === 4))
    assert.deepStrictEqual(numbers(back), isOurs ? [4] : [2, 3, 4])
    back.reset()
  })
})
