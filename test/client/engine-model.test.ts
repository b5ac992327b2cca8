/**
 * A client's session under everything that may happen, in any order: what is sent and received is neither lost, doubled nor reordered.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"

import { openPolling, type TestClient, upgradable } from "../support/engineClient.ts"

/** The possible events; one that cannot happen as things stand does nothing. */
const usual = [
  "send",
  "send with bytes",
  "turn",
  "answer the poll",
  "ping",
  "release the poll",
  "answer the post",
  "open the WebSocket",
  "answer the probe",
  "speak over the WebSocket"
] as const

type Step = (typeof usual)[number] | "break the upgrade"

/** Most upgrades come about, and some do not. */
const steps = fc.array(
  fc.oneof<[fc.WeightedArbitrary<Step>, fc.WeightedArbitrary<Step>]>(
    { arbitrary: fc.constantFrom(...usual), weight: 30 },
    { arbitrary: fc.constant("break the upgrade"), weight: 1 }
  ),
  { minLength: 20, maxLength: 60 }
)

class Model {
  readonly test: TestClient
  readonly sent: Array<string> = []
  readonly said: Array<string> = []
  /** The packets that the server has got. */
  readonly received: Array<string> = []
  private readonly answered: Set<unknown>
  private ws: "connecting" | "open" | "answered" | "gone" = "connecting"

  constructor(test: TestClient) {
    this.test = test
    // The handshake.
    this.answered = new Set([test.platform.polls[0]])
  }

  get upgraded(): boolean {
    return this.test.client.transportName === "websocket"
  }

  /** The request of a method that waits; there is never more than one. */
  private pending(method: "GET" | "POST") {
    const polls = this.test.platform.polls.filter(
      (poll) => poll.request.method === method && !this.answered.has(poll) && !poll.isAborted()
    )
    assert.isAtMost(polls.length, 1, `${method} requests at once`)
    return polls[0]
  }

  private respond(method: "GET" | "POST", body: () => string): void {
    const poll = this.pending(method)
    if (poll === undefined) return
    this.answered.add(poll)
    // The server is as slow with a post as it may be, and takes frames at once.
    if (method === "POST") this.received.push(...poll.request.body!.split("\x1e"))
    poll.respond(body())
  }

  private say(): string {
    this.said.push(`4${this.said.length}`)
    return this.said.at(-1)!
  }

  send(attachments?: ReadonlyArray<Uint8Array>): void {
    const packet = `4${this.sent.length}`
    this.sent.push(packet, ...(attachments ?? []).map((bytes) => `b${Buffer.from(bytes).toString("base64")}`))
    this.test.client.send(packet, attachments)
  }

  step(step: Step): void {
    this.takeFrames()
    const { ws } = this.test
    switch (step) {
      case "send":
        return this.send()
      case "send with bytes":
        return this.send([new Uint8Array([this.sent.length, 0xff])])
      case "turn":
        return
      case "answer the poll":
        return this.respond("GET", () => `${this.say()}\x1e${this.say()}`)
      case "ping":
        return this.upgraded ? ws().events.onText("2") : this.respond("GET", () => "2")
      case "release the poll":
        return this.respond("GET", () => "6")
      case "answer the post":
        return this.respond("POST", () => "ok")
      case "open the WebSocket":
        if (this.ws !== "connecting") return
        this.ws = "open"
        return ws().events.onOpen()
      case "answer the probe":
        if (this.ws !== "open") return
        this.ws = "answered"
        return ws().events.onText("3probe")
      case "speak over the WebSocket":
        if (this.upgraded) ws().events.onText(this.say())
        return
      case "break the upgrade":
        if (this.upgraded || this.ws === "gone") return
        this.ws = "gone"
        return ws().fail()
    }
  }

  /** Lets everything come to its end. */
  get finish(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      do {
        this.step("answer the post")
        yield* this.turn
      } while (this.pending("POST") !== undefined)
    })
  }

  /** The actions of the client until the end of this turn. */
  get turn(): Effect.Effect<void> {
    return Effect.andThen(
      Effect.yieldNow,
      Effect.sync(() => this.takeFrames())
    )
  }

  private takeFrames(): void {
    for (const frame of this.test.ws().take()) {
      this.received.push(typeof frame === "string" ? frame : `b${Buffer.from(frame).toString("base64")}`)
    }
  }
}

describe("a session", () => {
  for (const maxPayload of [1_000_000, 8]) {
    it(`keeps everything in order, with payloads of up to ${maxPayload} bytes`, () =>
      fc.assert(
        fc.asyncProperty(steps, (sequence) =>
          Effect.gen(function* () {
            const test = yield* openPolling({ ...upgradable, maxPayload })
            const model = new Model(test)
            for (const step of sequence) {
              model.step(step)
              if (step === "turn") yield* model.turn
            }
            yield* model.finish
            // An upgrade that hangs holds what is sent: it comes to its end one way or the other.
            if (!test.client.writable) model.step("release the poll")
            yield* model.finish
            test.assertAlive()
            assert.isTrue(test.client.writable)
            const { received } = model
            assert.deepStrictEqual(
              received.filter((packet) => /^4|^b/.test(packet)),
              model.sent
            )
            assert.deepStrictEqual(
              test.told.filter((packet) => typeof packet === "string" && packet.startsWith("4")),
              model.said
            )
            assert.strictEqual(received.filter((packet) => packet === "5").length, model.upgraded ? 1 : 0)
            assert.strictEqual(test.told.filter((packet) => packet === "upgrade").length, model.upgraded ? 1 : 0)
            test.client.close()
            yield* model.finish
            test.assertOver("forced close")
          }).pipe(Effect.scoped, Effect.runPromise)
        ),
        { seed: 4, numRuns: 500 }
      ))
  }
})
