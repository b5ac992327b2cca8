/**
 * Any message from the bus: nothing is thrown, nothing has a wrong type, and nothing stays.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import type { ClusterAnswer, ClusterMessage, Sender } from "../../../src/adapter/ClusterMessage.ts"
import * as Envelope from "../../../src/adapter/Envelope.ts"
import type { Received } from "../../../src/adapter/Received.ts"
import type { LegacyRequest } from "../../../src/redis/internal/classicWire.ts"
import { isReservedEvent } from "../../../src/protocol/SocketPacket.ts"
import { count } from "../../support/extent.ts"
import { memoryInUse } from "../../support/memory.ts"
import { bodies, confused, confusion, damaged, fields, mistaken, odd, toBytes, valueOf } from "./generated.ts"
import { makeOurs, NAMESPACE } from "./officialNode.ts"

type Result = Received | LegacyRequest

const settings = { seed: 20_261_128, numRuns: count(25_000, 1_000) } as const

// The possible results, checked by hand.

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
    case "Enter":
    case "Exit":
      return isText(message.sid) && isList(isText, message.rooms)
    case "Taken":
      return isText(message.sid) && isText(message.by)
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

const ours = makeOurs("classic", "reader")

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

describe("messages from the bus", () => {
  it("are read or refused with flipped bits, without their end, and with bytes between", () => {
    fc.assert(fc.property(damaged, check), settings)
  })

  it("are read or refused with a value of another type in any place", () => {
    fc.assert(
      fc.property(mistaken, (mutated) => {
        if (mutated !== undefined) check(mutated)
      }),
      settings
    )
  })

  it("are read or refused as entries of a stream, whatever their fields are", () => {
    fc.assert(fc.property(fields, checkFields), settings)
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
