/**
 * Whatever comes from the bus: nothing is thrown, nothing has a wrong type, and nothing stays.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import type { ClusterAnswer, ClusterMessage, Sender } from "../../../src/adapter/ClusterMessage.ts"
import * as Envelope from "../../../src/adapter/Envelope.ts"
import type { Received } from "../../../src/adapter/Received.ts"
import type { LegacyRequest } from "../../../src/redis/internal/classicWire.ts"
import { decode, encode } from "../../../src/protocol/MessagePack.ts"
import { isProtocolError } from "../../../src/protocol/ProtocolError.ts"
import { isReservedEvent } from "../../../src/protocol/SocketPacket.ts"
import { count } from "../../support/extent.ts"
import { memoryInUse } from "../../support/memory.ts"
import * as arbitrary from "./arbitraries.ts"
import { makeOurs, NAMESPACE } from "./officialNode.ts"

type Result = Received | LegacyRequest

const settings = { seed: 20_261_128, numRuns: count(25_000, 1_000) } as const

// What a result may be, checked by hand.

const isText = (value: unknown): boolean => typeof value === "string"
const isNumber = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
const isMaybe = (check: (value: unknown) => boolean, value: unknown): boolean => value === undefined || check(value)
const isList = (check: (value: unknown) => boolean, value: unknown): boolean =>
  Array.isArray(value) && value.every(check)
const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value)

const isSelection = (value: any): boolean => isList(isText, value.rooms) && isList(isText, value.except)
const isFlags = (value: any): boolean => typeof value.volatile === "boolean" && typeof value.compress === "boolean"
const isEvent = (value: any): boolean => Array.isArray(value) && isText(value[0])
const isDelivered = (value: any): boolean =>
  isEvent(value.data) &&
  !isReservedEvent(value.data[0]) &&
  isSelection(value.selection) &&
  isFlags(value.flags) &&
  typeof value.mayHaveBinary === "boolean"

const isDetails = ({ data, handshake, id, rooms }: any): boolean =>
  isText(id) &&
  rooms instanceof Set &&
  rooms.has(id) &&
  isList(isText, [...rooms]) &&
  isObject(data) &&
  isObject(handshake.auth) &&
  isList(isText, Object.values(handshake.headers)) &&
  handshake.query instanceof Map &&
  isList(isText, [...handshake.query].flat()) &&
  [handshake.url, handshake.address, handshake.time].every(isText) &&
  [handshake.secure, handshake.xdomain].every((flag) => typeof flag === "boolean") &&
  Number.isFinite(handshake.issued)

const isQuestion = (question: any): boolean => {
  switch (question._tag) {
    case "Ask":
      return isDelivered(question) && isMaybe(Number.isFinite, question.timeout)
    case "Fetch":
    case "Count":
      return isSelection(question.selection)
    default:
      return question._tag === "ServerEvent" && isEvent(question.data)
  }
}

const isMessage = (message: ClusterMessage): boolean => {
  switch (message._tag) {
    case "Broadcast":
      return isDelivered(message)
    case "Question":
      return isText(message.requestId) && isQuestion(message.question)
    case "Join":
    case "Leave":
      return isSelection(message.selection) && isList(isText, message.rooms)
    case "Disconnect":
      return isSelection(message.selection) && typeof message.close === "boolean"
    case "ServerEvent":
      return isEvent(message.data)
    default:
      return ["Cancel", "Ping"].includes(message._tag) && isText(message.requestId)
  }
}

const isAnswer = (answer: ClusterAnswer): boolean => {
  if (!isText(answer.requestId)) return false
  switch (answer._tag) {
    case "Sockets":
      return isList(isDetails, answer.sockets)
    case "Counted":
    case "Recipients":
      return isNumber(answer.count)
    case "Acknowledged":
      return isMaybe(isText, answer.acknowledgement.sid) && Array.isArray(answer.acknowledgement.args)
    case "Answered":
      return isMaybe(Array.isArray, answer.args)
    default:
      return ["RecipientLeft", "Alive"].includes(answer._tag)
  }
}

const isSender = ({ native, uid }: Sender): boolean => isMaybe(isText, uid) && typeof native === "boolean"
const isNumbered = (number: unknown): boolean => isMaybe(isNumber, number) && number !== 0

const isResult = (result: Result): boolean => {
  if (result._tag === "Refused") return isText(result.problem) && result.problem.length < 300
  if (!isSender(result.from)) return false
  switch (result._tag) {
    case "Message":
      return isNumbered(result.number) && isMessage(result.message)
    case "Answer":
      return isNumbered(result.number) && isAnswer(result.answer)
    case "Beat":
      return isList(
        (lane: any) => Array.isArray(lane) && lane.length === 2 && isText(lane[0]) && isNumber(lane[1]),
        result.lanes
      )
    case "Presence":
      return (
        isNumbered(result.number) && isText(result.from.uid) && ["Started", "Here", "Closing"].includes(result.presence)
      )
    case "Ignored":
      return isNumbered(result.number)
    case "One":
      return isMaybe(isText, result.requestId) && isText(result.sid) && isMessage(result.message)
    case "SocketIds":
      return isText(result.requestId) && isList(isText, result.rooms)
    default:
      return result._tag === "AllRooms" && isText(result.requestId)
  }
}

// What comes: messages of every kind and format, and what can become of them.

const ours = makeOurs("classic", "reader")
const to = { uid: "reader", native: true }

const toBytes = (body: string | Uint8Array): Uint8Array => Buffer.from(body as Uint8Array)

const entryOf = (message: ClusterMessage): Uint8Array =>
  Buffer.from(JSON.stringify(makeOurs("streams", "sender").streams.encodeEntry(message, 3)))

/** One message or answer in each form. */
const bodies: ReadonlyArray<Uint8Array> = (() => {
  const samples = { seed: 7, numRuns: 150 }
  const messages = fc.sample(arbitrary.message, samples)
  const answers = fc.sample(arbitrary.answer, samples)
  const wires = (["classic", "sharded", "streams"] as const).map((format) => makeOurs(format, "sender").wire)
  return [
    ...wires.flatMap((wire) => messages.map((message) => toBytes(wire.encode(message, 3)))),
    ...wires.flatMap((wire) => answers.map((answer) => toBytes(wire.encodeAnswer(to, answer, 3)!))),
    ...wires.map((wire) => toBytes(wire.encodeBeat([["a", 1]]))),
    ...messages.map(entryOf),
    ...(["Started", "Here", "Closing"] as const).map((presence) =>
      encode(Envelope.presence({ uid: "sender", namespace: NAMESPACE }, presence))
    ),
    ...[
      { uid: "u", requestId: "q", type: 0, rooms: ["r"] },
      { uid: "u", requestId: "q", type: 1 },
      { uid: "u", requestId: "q", type: 2, sid: "s", room: "r" },
      { uid: "u", requestId: "q", type: 4, sid: "s", close: true },
      { requestId: "q", sockets: ["s"] }
    ].map((request) => toBytes(JSON.stringify(request)))
  ]
})()

/** Everything that reads, with the same bytes. */
const readers: ReadonlyArray<(body: Uint8Array) => Result | undefined> = [
  ours.classic.decodeBroadcast,
  ours.classic.decodeRequest,
  ours.classic.decodeResponse,
  ours.sharded.decode,
  ours.streams.decode,
  (body) => {
    const head = ours.classic.readHead(body)
    if (head !== undefined) assert.isTrue(isText(head.uid) && isNumbered(head.number))
    return undefined
  }
]

const check = (body: Uint8Array): void => {
  for (const read of readers) {
    const result = read(body)
    if (result !== undefined && !isResult(result)) assert.fail(JSON.stringify(result))
  }
}

const checkFields = (fields: Record<string, unknown>): void => {
  const result = ours.streams.decodeEntry(fields, "1-1")
  if (!isResult(result)) assert.fail(JSON.stringify(result))
}

const body = fc.constantFrom(...bodies)

/** What no field expects. */
const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    2 ** 53,
    NaN,
    Infinity,
    "",
    "__proto__",
    "connect",
    "reader",
    "emitter",
    "/chat",
    [],
    {},
    [[]],
    [null],
    [1, "a", {}],
    [["a", -1]],
    { __proto__: null, length: 5 },
    { length: 1e9 },
    { n: -1, c: "x", s: 5, a: {}, l: [[1, 2]], u: null },
    { rooms: {}, except: 5, flags: [] },
    { type: 2, data: ["connect"] },
    { type: 2, data: [7, 8] },
    { type: 2, data: [] },
    { type: "2", data: ["a"] },
    new Date(0)
  ),
  fc.nat(110),
  fc.uint8Array({ maxLength: 3 }),
  fc.anything({ maxDepth: 2, withTypedArray: false, withSparseArray: false })
)

/** The value with another one in a random place. */
const confused = (value: unknown, path: ReadonlyArray<number>, replacement: unknown): unknown => {
  if (path.length === 0 || typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return replacement
  const keys = Object.keys(value)
  if (keys.length === 0) return replacement
  const key = keys[path[0]! % keys.length]!
  const copy: any = Array.isArray(value) ? [...value] : { ...value }
  const inner = confused((value as any)[key], path.slice(1), replacement)
  if (inner === GONE) delete copy[key]
  else copy[key] = inner
  return copy
}
const GONE = Symbol("gone")

const valueOf = (body: Uint8Array): unknown => {
  if (body[0] === 0x7b) return JSON.parse(Buffer.from(body).toString())
  const decoded = decode(body, 100)
  return isProtocolError(decoded) ? undefined : decoded.value
}

const written = (value: unknown, asJson: boolean): Uint8Array | undefined => {
  try {
    return asJson ? toBytes(JSON.stringify(value) ?? "") : encode(value)
  } catch {
    return undefined
  }
}

const confusion = fc.tuple(body, fc.array(fc.nat(20), { maxLength: 5 }), fc.oneof(odd, fc.constant(GONE)), fc.boolean())

describe("messages from the bus", () => {
  it("are read or refused with flipped bits, without their end, and with bytes between", () => {
    const mutation = fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.nat(3)), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(body, mutation, (body, mutations) => {
        let mutated: Buffer = Buffer.from(body)
        for (const [place, byte, kind] of mutations) {
          if (mutated.length === 0) break
          const at = place % mutated.length
          if (kind === 0) mutated[at] = byte
          else if (kind === 1) mutated[at]! ^= 1 << (byte % 8)
          else if (kind === 2) mutated = mutated.subarray(0, at)
          else mutated = Buffer.concat([mutated.subarray(0, at), Buffer.from([byte]), mutated.subarray(at)])
        }
        check(mutated)
      }),
      settings
    )
  })

  it("are read or refused with a value of another type in any place", () => {
    fc.assert(
      fc.property(confusion, ([body, path, replacement, asJson]) => {
        const mutated = written(confused(valueOf(body), path, replacement), asJson)
        if (mutated !== undefined) check(mutated)
      }),
      settings
    )
  })

  it("are read or refused as entries of a stream, whatever their fields are", () => {
    const messages = fc.sample(arbitrary.message, { seed: 8, numRuns: 200 })
    const streams = makeOurs("streams", "sender").streams
    const entries = messages.map((message) => Object.entries(streams.encodeEntry(message, 3)))
    const field = fc.constantFrom("uid", "nsp", "type", "data", "x", "y")
    const content = fc.oneof(
      odd,
      fc.constant(undefined),
      fc.constantFrom(
        "{",
        "[]",
        '{"opts":{}}',
        "gqRvcHRz",
        "====",
        "3",
        "03",
        "-3",
        "3e1",
        "105",
        '{"l":1}',
        '{"n":0}'
      ),
      body.map((body) => Buffer.from(body).toString("base64")),
      body.map((body) => Buffer.from(body).toString()),
      body
    )
    fc.assert(
      fc.property(fc.constantFrom(...entries), fc.array(fc.tuple(field, content), { maxLength: 3 }), (entry, changes) =>
        checkFields(Object.fromEntries([...entry, ...changes]))
      ),
      settings
    )
  })

  it("are read or refused as values that never were bytes", () => {
    fc.assert(
      fc.property(confusion, odd, ([body, path, replacement], other) => {
        for (const value of [confused(valueOf(body), path, replacement), other]) {
          const result = Envelope.fromEnvelope(value, { uid: "reader", namespace: NAMESPACE }, true)
          if (!isResult(result)) assert.fail(JSON.stringify(result))
        }
      }),
      settings
    )
  })

  it("are refused where they are too deep, too long, or claim too much", () => {
    const deep = 200_000
    for (const body of [
      toBytes(`{"type":9,"uid":"u","nsp":"/chat","data":{"packet":["a",${"[".repeat(deep)}${"]".repeat(deep)}]}}`),
      toBytes(`{"a":`.repeat(deep)),
      Buffer.concat([Buffer.from([0x94, 0xa1, 0x61]), Buffer.alloc(deep, 0x91)]),
      Buffer.alloc(deep, 0x81),
      Buffer.from("94a161dfffffffff", "hex"),
      Buffer.from("ddffffffff", "hex"),
      Buffer.alloc(17_000_000, 0x20)
    ]) {
      for (const read of readers.slice(0, 5)) assert.strictEqual(read(body)!._tag, "Refused")
    }
  })

  it("do not touch prototypes", () => {
    const evil = (value: object) => JSON.stringify(value).replaceAll("PROTO", "__proto__")
    check(toBytes(evil({ type: 3, uid: "u", nsp: NAMESPACE, data: { PROTO: { opts: { rooms: [] } } } })))
    const sockets = [
      { id: "s", rooms: [], handshake: { headers: { PROTO: "x" }, query: { PROTO: "y" } }, PROTO: { z: 1 } }
    ]
    const body = evil({ type: 8, uid: "u", nsp: NAMESPACE, data: { requestId: "q", sockets } })
    const received = ours.sharded.decode(body) as any
    const { headers } = received.answer.sockets[0].handshake
    assert.strictEqual(Object.getPrototypeOf(headers), Object.prototype)
    assert.isTrue(Object.hasOwn(headers, "__proto__"))
    assert.isUndefined(({} as any).z)
  })

  it("leave nothing behind", () => {
    const hold = 200
    const pass = (times: number) => {
      for (let i = 0; i < times; i++) {
        const body = Buffer.from(bodies[i % bodies.length]!)
        body[(i * 7919) % body.length]! ^= 1 << (i % 8)
        check(body)
      }
    }
    pass(count(5_000, 2_000))
    const before = memoryInUse()
    pass(count(50_000, 5_000))
    assert.isBelow(memoryInUse() - before, hold * 1_024)
  })
})
