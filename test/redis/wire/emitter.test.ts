/**
 * The official emitter, and ours in its place.
 */
import { assert, describe, it } from "@effect/vitest"
import { Emitter } from "@socket.io/redis-emitter"

import type { ClusterMessage } from "../../../src/adapter/ClusterMessage.ts"
import * as Classic from "../../../src/redis/internal/classicWire.ts"
import { operations } from "./messages.ts"
import { makeOurs, NAMESPACE, PREFIX, type Published } from "./officialNode.ts"

/** The operations of an emitter. */
const possible = operations.filter(
  ({ message, name }) => message._tag !== "Question" && name !== "a time limit without an acknowledgement"
)

describe("the official emitter", () => {
  for (const { differs, message, name, run } of possible) {
    it(`is read, and written with the same bytes: ${name}`, () => {
      const published: Array<Published> = []
      const publish = (channel: string, body: string | Buffer) => published.push({ channel, body: Buffer.from(body) })
      const emitter = new Emitter({ publish }).of(NAMESPACE)
      run(Object.assign(Object.create(emitter), { in: emitter.in.bind(emitter), to: emitter.to.bind(emitter) }))
      const [{ body, channel }] = published as [Published]
      const received = makeOurs("classic", "reader").read({ channel, body })
      if (received._tag !== "Message") assert.fail(JSON.stringify(received))
      const { mayHaveBinary: _, ...expected } = message as ClusterMessage & { mayHaveBinary?: boolean }
      assert.deepInclude(received.message as object, expected)
      assert.include(["emitter", undefined], received.from.uid)
      assert.isFalse(received.from.native)
      if (differs) return
      const ours = Classic.makeEmitter({ prefix: PREFIX, namespace: NAMESPACE })
      assert.strictEqual(ours.channelOf(message as Classic.EmitterMessage), channel)
      const written = Buffer.from(ours.encode(message as Classic.EmitterMessage) as Uint8Array)
      assert.strictEqual(written.toString("latin1"), body.toString("latin1"))
    })
  }
})

describe("requests of earlier versions", () => {
  const { classic } = makeOurs("classic", "reader")
  const read = (request: object) => classic.decodeRequest(JSON.stringify({ uid: "old", ...request }))
  const from = { uid: "old", native: false }

  it("are read: ids of sockets, all rooms", () => {
    assert.deepStrictEqual(read({ requestId: "q", type: 0, rooms: ["a", 1] }), {
      _tag: "SocketIds",
      from,
      requestId: "q",
      rooms: ["a", "1"]
    })
    assert.deepStrictEqual(read({ requestId: "q", type: 1 }), { _tag: "AllRooms", from, requestId: "q" })
  })

  it("are read: changes of one socket", () => {
    const selection = { rooms: ["s1"], except: [] }
    const one = { _tag: "One", from, requestId: "q", sid: "s1" }
    assert.deepStrictEqual(read({ requestId: "q", type: 2, sid: "s1", room: "r" }) as unknown, {
      ...one,
      message: { _tag: "Join", selection, rooms: ["r"] }
    })
    assert.deepStrictEqual(read({ requestId: "q", type: 4, sid: "s1", close: true }) as unknown, {
      ...one,
      message: { _tag: "Disconnect", selection, close: true }
    })
  })

  it("have answers that are not taken for answers to ours", () => {
    for (const answer of [{}, { sockets: ["s1"] }, { rooms: ["r"] }]) {
      assert.strictEqual(classic.decodeResponse(JSON.stringify({ requestId: "q", ...answer }))._tag, "Ignored")
    }
  })
})
