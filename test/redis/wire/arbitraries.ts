/**
 * Messages and answers of every kind.
 */
import * as fc from "fast-check"

import type { ClusterAnswer, ClusterMessage } from "../../../src/adapter/ClusterMessage.ts"
import type { SocketDetails } from "../../../src/adapter/Adapter.ts"
import { isReservedEvent } from "../../../src/protocol/SocketPacket.ts"
import { withBinary } from "../../protocol/arbitraries.ts"

const text = fc.string({ unit: "grapheme", maxLength: 12 })
const id = fc.stringMatching(/^[\w-]{6,20}$/)
const rooms = fc.oneof(
  { weight: 2, arbitrary: fc.array(text, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(id, { minLength: 1, maxLength: 1 }) }
)
const selection = fc.record({ rooms, except: rooms })
const flags = fc.record({ volatile: fc.boolean(), compress: fc.boolean() })
/** Both forms of bytes are the same to the reader. */
const value = withBinary
const args = fc.array(value, { maxLength: 3 })
const event = fc
  .tuple(
    text.filter((name) => !isReservedEvent(name)),
    args
  )
  .map(([name, args]) => [name as unknown].concat(args))

const named = fc.dictionary(
  text.filter((name) => name !== "__proto__"),
  text,
  { maxKeys: 3, noNullPrototype: true }
)
const object = fc.dictionary(text, value, { maxKeys: 3, noNullPrototype: true })

export const details: fc.Arbitrary<SocketDetails> = fc.record({
  id,
  handshake: fc.record({
    headers: named,
    query: named.map((record) => new Map(Object.entries(record))),
    url: text,
    address: text,
    secure: fc.boolean(),
    issued: fc.nat(2 ** 31 - 1).map((n) => n * 1_000),
    time: text,
    xdomain: fc.boolean(),
    auth: object
  }),
  rooms: fc.array(text, { maxLength: 4 }).map((rooms) => new Set(rooms)),
  data: object
})

const hex = (length: number) => fc.stringMatching(new RegExp(`^[1-9a-f][0-9a-f]{${length - 1}}$`))

/** The trace context of a broadcast, which most do not have. */
const trace = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(hex(32), hex(16), fc.option(fc.stringMatching(/^[a-z]{1,8}=[a-z0-9]{1,16}$/), { nil: undefined }))
      .map(([traceId, spanId, tracestate]) => ({
        trace: { traceparent: `00-${traceId}-${spanId}-01`, ...(tracestate !== undefined && { tracestate }) }
      }))
  }
)

/** The same, some of them with a trace context. */
const traced = <A extends object>(arbitrary: fc.Arbitrary<A>) =>
  fc.tuple(arbitrary, trace).map(([message, trace]) => Object.assign({}, message, trace))

const question = fc.oneof(
  traced(
    fc.record({
      _tag: fc.constant("Ask" as const),
      data: event,
      mayHaveBinary: fc.constant(true),
      selection,
      flags,
      timeout: fc.option(fc.nat(60_000), { nil: undefined })
    })
  ),
  fc.record({ _tag: fc.constantFrom("Fetch" as const, "Count" as const), selection }),
  traced(fc.record({ _tag: fc.constant("ServerEvent" as const), data: event }))
)

export const message = fc.oneof(
  traced(
    fc.record({
      _tag: fc.constant("Broadcast" as const),
      data: event,
      mayHaveBinary: fc.constant(true),
      selection,
      flags
    })
  ),
  fc.record({ _tag: fc.constant("Question" as const), requestId: id, question }),
  fc.record({ _tag: fc.constantFrom("Join" as const, "Leave" as const), selection, rooms }),
  fc.record({ _tag: fc.constant("Disconnect" as const), selection, close: fc.boolean() }),
  traced(fc.record({ _tag: fc.constant("ServerEvent" as const), data: event })),
  fc.record({ _tag: fc.constantFrom("Cancel" as const, "Ping" as const), requestId: id })
) as fc.Arbitrary<ClusterMessage>

/** Answers to a server of ours, `undefined` among their arguments not. */
export const answer = fc.oneof(
  fc.record({ _tag: fc.constant("Sockets" as const), requestId: id, sockets: fc.array(details, { maxLength: 3 }) }),
  fc.record({ _tag: fc.constantFrom("Counted" as const, "Recipients" as const), requestId: id, count: fc.nat() }),
  fc.record({
    _tag: fc.constant("Acknowledged" as const),
    requestId: id,
    acknowledgement: fc.record({ sid: fc.option(id, { nil: undefined }), args })
  }),
  fc.record({ _tag: fc.constantFrom("RecipientLeft" as const, "Alive" as const), requestId: id }),
  fc.record({ _tag: fc.constant("Answered" as const), requestId: id, args: fc.option(args, { nil: undefined }) })
) as fc.Arbitrary<ClusterAnswer>

export const number = fc.oneof(
  fc.constant(undefined),
  fc.integer({ min: 1 }),
  fc.maxSafeNat().filter((n) => n > 0)
)
