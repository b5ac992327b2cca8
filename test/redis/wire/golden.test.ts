/**
 * The official adapters write and read what ours reads and writes, byte for byte.
 */
import { assert, describe, it } from "@effect/vitest"

import type { ClusterAnswer, ClusterMessage } from "../../../src/adapter/ClusterMessage.ts"
import * as RemoteDetails from "../../../src/adapter/RemoteDetails.ts"
import { operations, withId } from "./messages.ts"
import { formats, HANDSHAKE, makeOurs, NAMESPACE, type OfficialNode, officialNode, settled } from "./officialNode.ts"

/** Messages that an official node has published or added to its stream, as ours reads them. */
const heard = async (node: OfficialNode, ours: ReturnType<typeof makeOurs>) => {
  for (let turns = 0; turns < 10 && node.published.length + node.entries.length === 0; turns++) await settled()
  const [entry] = node.entries
  return entry === undefined ? ours.read(node.published[0]!) : ours.streams.decodeEntry(entry, "1-1")
}

const requestIdOf = (message: ClusterMessage) => (message._tag === "Question" ? message.requestId : "")

for (const format of formats) {
  describe(`messages of official servers, ${format}`, () => {
    for (const { differs, message, name, run } of operations) {
      it(`are read, and written with the same bytes: ${name}`, async () => {
        const node = await officialNode(format)
        const reader = makeOurs(format, "reader")
        run(node.io)
        const received = await heard(node, reader)
        if (received._tag !== "Message") assert.fail(JSON.stringify(received))
        assert.deepStrictEqual(received.from.uid, node.uid)
        assert.isFalse(received.from.native)
        assert.isUndefined(received.number)
        const requestId = requestIdOf(received.message)
        const expected = withId(message, requestId)
        assert.deepStrictEqual(normal(received.message), normal(expected))
        if (differs) return
        const writer = makeOurs(format, node.uid)
        const [entry] = node.entries
        if (entry !== undefined) {
          assert.deepStrictEqual(entries(writer.streams.encodeEntry(expected, undefined)), [
            ...entries(entry),
            ["x", "{}"]
          ])
          return
        }
        const [{ body, channel }] = node.published as [OfficialNode["published"][number]]
        assert.strictEqual(writer.wire.channelOf(expected), channel)
        assert.strictEqual(
          Buffer.from(writer.wire.encode(expected, undefined) as Uint8Array).toString("latin1"),
          withX(body, writer.classic.roomOf(channel) !== undefined && format === "classic").toString("latin1")
        )
      })
    }
  })

  describe(`messages of ours to official servers, ${format}`, () => {
    const setUp = async () => {
      const node = await officialNode(format)
      const ours = makeOurs(format, "OurUid")
      const ann = node.addSocket("aaaaaaaaaaaaaaaaaaaa")
      const bob = node.addSocket("bbbbbbbbbbbbbbbbbbbb")
      bob.socket.join(["r"])
      const send = (message: ClusterMessage) =>
        format === "streams" && ours.streams.goesByStream(message)
          ? node.deliverEntry(ours.streams.encodeEntry(message, 7), "5-0")
          : node.deliver(
              // The room's channel is one of its own at the node, which has members of it.
              format === "sharded" ? ours.sharded.common : ours.wire.channelOf(message),
              ours.wire.encode(message, 7)
            )
      return { node, ours, ann, bob, send }
    }
    const all = { rooms: [], except: [] }
    const flags = { volatile: false, compress: true }

    it("deliver broadcasts to the selected sockets", async () => {
      const { ann, bob, send } = await setUp()
      const data = ["hi", { b: Buffer.from([1]) }] as const
      await send({
        _tag: "Broadcast",
        data: data as never,
        mayHaveBinary: true,
        selection: { rooms: ["r"], except: [] },
        flags
      })
      assert.lengthOf(ann.heard, 0)
      assert.deepStrictEqual(bob.heard[0]!.packets as unknown, [
        `51-${NAMESPACE},["hi",{"b":{"_placeholder":true,"num":0}}]`,
        Buffer.from([1])
      ])
    })

    it("carry flags", async () => {
      const { ann, send } = await setUp()
      const message = { _tag: "Broadcast", data: ["hi"], mayHaveBinary: true, selection: all } as const
      await send({ ...message, flags: { volatile: true, compress: false } })
      await send({ ...message, flags })
      assert.deepInclude(ann.heard[0]!.options, { volatile: true, compress: false })
      assert.deepInclude(ann.heard[1]!.options, { volatile: undefined, compress: undefined })
    })

    it("are the same to them with a trace context", async () => {
      const { ann, node, ours, send } = await setUp()
      const trace = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, tracestate: "vendor=value" }
      const common = { data: ["hi", 1], mayHaveBinary: true, selection: all, flags } as const
      await send({ _tag: "Broadcast", ...common, trace })
      assert.deepStrictEqual(ann.heard[0]!.packets as unknown, [`2${NAMESPACE},["hi",1]`])
      const question = { _tag: "Ask", ...common, timeout: undefined, trace } as const
      await send({ _tag: "Question", requestId: "question1", question })
      assert.match(String(ann.heard[1]!.packets[0]), new RegExp(`^2${NAMESPACE},\\d+\\["hi",1\\]$`))
      // It answers as to any other question.
      const answers = node.published.map((published) => ours.read(published))
      assert.isTrue(
        answers.some((received) => received._tag === "Answer" && received.answer._tag === "Recipients"),
        JSON.stringify(answers)
      )
      const notes: Array<unknown> = []
      node.io.on("note" as never, (...args: Array<unknown>) => void notes.push(args))
      await send({ _tag: "ServerEvent", data: ["note", 1], trace })
      assert.deepStrictEqual(notes, [[1]])
    })

    it("make sockets join, leave and disconnect", async () => {
      const { ann, bob, node, send } = await setUp()
      await send({ _tag: "Join", selection: { rooms: ["r"], except: [] }, rooms: ["s", "t"] })
      assert.deepStrictEqual([...node.io.adapter.rooms.get("s")!], [bob.socket.id])
      await send({ _tag: "Leave", selection: all, rooms: ["s"] })
      assert.isFalse(node.io.adapter.rooms.has("s"))
      assert.isTrue(node.io.adapter.rooms.has("t"))
      await send({ _tag: "Disconnect", selection: { rooms: [], except: ["r"] }, close: true })
      assert.deepStrictEqual([ann.closed, bob.closed], [[true], []])
    })

    it("bring events between servers", async () => {
      const { node, send } = await setUp()
      const notes: Array<unknown> = []
      node.io.on("note" as never, (...args: Array<unknown>) => void notes.push(args))
      await send({ _tag: "ServerEvent", data: ["note", 1, Buffer.from([2])] })
      assert.deepStrictEqual(notes, [[1, Buffer.from([2])]])
    })

    it("are questions that it answers: sockets, acknowledgements, events", async () => {
      const { bob, node, ours, send } = await setUp()
      node.io.on("ask" as never, (text: string, reply: (answer: unknown) => void) => reply({ text }))
      const answers = () =>
        node.published.splice(0).map(({ body, channel }) => {
          const received = format === "classic" ? ours.classic.decodeResponse(body) : ours.read({ body, channel })
          if (received._tag !== "Answer") assert.fail(JSON.stringify(received))
          assert.isFalse(received.from.native)
          return received.answer
        })
      const selection = { rooms: ["r"], except: [] }

      for (const _tag of ["Fetch", "Count"] as const) {
        await send({ _tag: "Question", requestId: "f", question: { _tag, selection } })
        const [sockets] = answers() as [ClusterAnswer & { _tag: "Sockets" }]
        assert.strictEqual(sockets._tag, "Sockets")
        assert.deepStrictEqual({ ...sockets.sockets[0]!, rooms: [...sockets.sockets[0]!.rooms] }, {
          id: bob.socket.id,
          handshake: { ...HANDSHAKE, query: new Map(Object.entries(HANDSHAKE.query)) },
          rooms: [bob.socket.id, "r"],
          data: format === "streams" ? { name: "ann", avatar: null } : { name: "ann" }
        } as never)
      }

      const ask = { _tag: "Ask", data: ["q"], mayHaveBinary: false, selection, flags, timeout: 50 } as const
      await send({ _tag: "Question", requestId: "a", question: ask })
      const [ack] = bob.acks.values()
      ack!(Buffer.from([9]), "not passed on")
      await settled()
      assert.deepStrictEqual(answers(), [
        { _tag: "Recipients", requestId: "a", count: 1 },
        { _tag: "Acknowledged", requestId: "a", acknowledgement: { sid: undefined, args: [Buffer.from([9])] } }
      ])

      await send({ _tag: "Question", requestId: "s", question: { _tag: "ServerEvent", data: ["ask", "x"] } })
      assert.deepStrictEqual(answers(), [{ _tag: "Answered", requestId: "s", args: [{ text: "x" }] }])
    })

    it("are ignored if they are ours alone", async () => {
      const { ann, node, ours, send } = await setUp()
      await send({ _tag: "Cancel", requestId: "c" })
      await send({ _tag: "Ping", requestId: "p" })
      await node.deliver(ours.wire.channelOf({ _tag: "Ping", requestId: "p" }), ours.wire.encodeBeat([["", 3]]))
      assert.deepStrictEqual([node.published, ann.heard, ann.closed], [[], [], []])
    })
  })

  describe(`answers of ours to official servers, ${format}`, () => {
    const ask = async (run: (io: any) => Promise<unknown>, answers: ReadonlyArray<(id: string) => ClusterAnswer>) => {
      const node = await officialNode(format)
      const ours = makeOurs(format, "OurUid")
      const result = run(node.io)
      const received = await heard(node, ours)
      if (received._tag !== "Message") assert.fail(JSON.stringify(received))
      const to = received.from
      for (const make of answers) {
        const answer = make(requestIdOf(received.message))
        await node.deliver(ours.wire.answerChannelOf(to, answer), ours.wire.encodeAnswer(to, answer, 3)!)
      }
      return result
    }

    it("are taken: sockets", async () => {
      const details = RemoteDetails.fromRemote({ id: "s1", handshake: HANDSHAKE, rooms: ["r"], data: { n: 1 } })!
      const sockets: any = await ask(
        (io) => io.fetchSockets(),
        [(requestId) => ({ _tag: "Sockets", requestId, sockets: [details] })]
      )
      assert.strictEqual(sockets[0].id, "s1")
      assert.deepStrictEqual([...sockets[0].rooms], ["s1", "r"])
      assert.deepStrictEqual([sockets[0].handshake, sockets[0].data], [HANDSHAKE, { n: 1 }])
    })

    it("are taken: acknowledgements", async () => {
      const acknowledged = (args: ReadonlyArray<unknown>) => (requestId: string) =>
        ({ _tag: "Acknowledged", requestId, acknowledgement: { sid: "s1", args } }) as const
      const answers = await ask(
        (io) => io.timeout(1_000).emitWithAck("q"),
        [
          (requestId) => ({ _tag: "Recipients", requestId, count: 3 }),
          acknowledged([Buffer.from([1])]),
          acknowledged(["one", "two"]),
          acknowledged([{ a: 1 }])
        ]
      )
      assert.deepStrictEqual(answers, [Buffer.from([1]), "one", { a: 1 }])
    })

    it("are taken: answers to events", async () => {
      const answers = await ask(
        (io) => io.serverSideEmitWithAck("q"),
        [(requestId) => ({ _tag: "Answered", requestId, args: [Buffer.from([1]), "two"] })]
      )
      assert.deepStrictEqual(answers, [Buffer.from([1])])
    })

    it("do not exist for what only ours understands", () => {
      const { wire } = makeOurs(format, "OurUid")
      const to = { uid: "u", native: false }
      for (const answer of [
        { _tag: "Counted", requestId: "q", count: 1 },
        { _tag: "RecipientLeft", requestId: "q" },
        { _tag: "Alive", requestId: "q" },
        { _tag: "Answered", requestId: "q", args: undefined }
      ] as const) {
        assert.isUndefined(wire.encodeAnswer(to, answer, 1))
      }
    })
  })
}

const entries = (fields: object) => Object.entries(fields)

/** JSON cannot tell that no bytes are in it, and arrays of official servers are Buffers in Node. */
const normal = (message: ClusterMessage): unknown => {
  const { mayHaveBinary: _, ...rest } = message as any
  if (rest.question) rest.question = normal(rest.question)
  return rest
}

/** An official body with the fields of ours, when they say nothing. */
const withX = (body: Buffer, isBroadcast: boolean): Buffer => {
  if (body[0] === 0x7b) return Buffer.concat([body.subarray(0, -1), Buffer.from(',"x":{}}')])
  const head = Buffer.from([body[0]! + 1])
  const tail = Buffer.from(isBroadcast ? "cf0000000000000000" : "a17880", "hex")
  return Buffer.concat([head, body.subarray(1), tail])
}
