/**
 * Messages that may come from the bus: of every kind and format, whole or damaged.
 */
import * as fc from "fast-check"

import type { ClusterMessage } from "../../../src/adapter/ClusterMessage.ts"
import * as Envelope from "../../../src/adapter/Envelope.ts"
import { decode, encode } from "../../../src/protocol/MessagePack.ts"
import { isProtocolError } from "../../../src/protocol/ProtocolError.ts"
import * as arbitrary from "./arbitraries.ts"
import { makeOurs, NAMESPACE } from "./officialNode.ts"

const to = { uid: "reader", native: true }

export const toBytes = (body: string | Uint8Array): Uint8Array => Buffer.from(body as Uint8Array)

const entryOf = (message: ClusterMessage): Uint8Array =>
  Buffer.from(JSON.stringify(makeOurs("streams", "sender").streams.encodeEntry(message, 3)))

/** One message or answer in each form. */
export const bodies: ReadonlyArray<Uint8Array> = (() => {
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

export const body = fc.constantFrom(...bodies)

/** Values that no field expects. */
export const odd: fc.Arbitrary<unknown> = fc.oneof(
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
export const confused = (value: unknown, path: ReadonlyArray<number>, replacement: unknown): unknown => {
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

export const valueOf = (body: Uint8Array): unknown => {
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

export const confusion = fc.tuple(
  body,
  fc.array(fc.nat(20), { maxLength: 5 }),
  fc.oneof(odd, fc.constant(GONE)),
  fc.boolean()
)

const mutation = fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.nat(3)), { minLength: 1, maxLength: 4 })

/** Flipped bits, other bytes, bytes between, and a missing end. */
export const damaged: fc.Arbitrary<Buffer> = fc.tuple(body, mutation).map(([body, mutations]) => {
  let mutated: Buffer = Buffer.from(body)
  for (const [place, byte, kind] of mutations) {
    if (mutated.length === 0) break
    const at = place % mutated.length
    if (kind === 0) mutated[at] = byte
    else if (kind === 1) mutated[at]! ^= 1 << (byte % 8)
    else if (kind === 2) mutated = mutated.subarray(0, at)
    else mutated = Buffer.concat([mutated.subarray(0, at), Buffer.from([byte]), mutated.subarray(at)])
  }
  return mutated
})

/** A value of another type in any place. `undefined` if it cannot be written. */
export const mistaken: fc.Arbitrary<Uint8Array | undefined> = confusion.map(([body, path, replacement, asJson]) =>
  written(confused(valueOf(body), path, replacement), asJson)
)

const samples = fc.sample(arbitrary.message, { seed: 8, numRuns: 200 })
const streams = makeOurs("streams", "sender").streams
const entries = samples.map((message) => Object.entries(streams.encodeEntry(message, 3)))
const field = fc.constantFrom("uid", "nsp", "type", "data", "x", "y")
const content = fc.oneof(
  odd,
  fc.constant(undefined),
  fc.constantFrom("{", "[]", '{"opts":{}}', "gqRvcHRz", "====", "3", "03", "-3", "3e1", "105", '{"l":1}', '{"n":0}'),
  body.map((body) => Buffer.from(body).toString("base64")),
  body.map((body) => Buffer.from(body).toString()),
  body
)

/** The fields of an entry of a stream, some of them wrong. */
export const fields: fc.Arbitrary<Record<string, unknown>> = fc
  .tuple(fc.constantFrom(...entries), fc.array(fc.tuple(field, content), { maxLength: 3 }))
  .map(([entry, changes]) => Object.fromEntries([...entry, ...changes]))
