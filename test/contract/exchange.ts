/**
 * Old clients at a new server, without a network: everything that the old contract lets clients send, and all that the new contract lets
 * the server send, with generated values, by the codecs that clients and servers use.
 */
import { Arbitrary, Effect, Exit, type Schema } from "effect"

import type * as Event from "../../src/Event.ts"
import { compileContract, undeclaredAuth } from "../../src/internal/compileContract.ts"
import {
  decodePayload,
  encodeFailure,
  encodePayload,
  encodeSuccess,
  type EventCodec,
  formatName
} from "../../src/internal/contractCodec.ts"
import { decodeAck } from "../../src/internal/decodeAck.ts"
import type * as Namespace from "../../src/Namespace.ts"

/** A message that the other side does not understand. */
export interface Counterexample {
  readonly where: string
  readonly value: unknown
  readonly problem: string
}

/** The value as it arrives: JSON, with bytes as attachments. */
const toWire = (value: unknown): any => {
  if (value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map((each) => toWire(each === undefined ? null : each))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, value]) => (value === undefined ? [] : [[key, toWire(value)]]))
  )
}

/** Generated values of a schema's type. */
export const valuesOf = (schema: Schema.Constraint, count: number, seed: number): ReadonlyArray<any> =>
  Effect.runSync(Arbitrary.sampleEffect(Arbitrary.schema(schema), { count, seed, size: 6, maxDiscards: 100 * count }))

const payloads = (event: Event.Any, count: number, seed: number): ReadonlyArray<any> =>
  event.arity === "none" ? [undefined] : valuesOf(event.payload, count, seed)

const attempt = (work: () => Exit.Exit<any, any>): string | undefined => {
  try {
    const exit = work()
    return Exit.isSuccess(exit) ? undefined : String(exit.cause)
  } catch (error) {
    return String(error)
  }
}

/** The messages that are not understood; at most one of each event and part. */
export const exchange = (
  before: Namespace.Any,
  after: Namespace.Any,
  count: number,
  seed: number
): ReadonlyArray<Counterexample> => {
  const [old, fresh] = [before.compiled(compileContract), after.compiled(compileContract)]
  const found: Array<Counterexample> = []
  const search = (where: string, values: ReadonlyArray<any>, problemOf: (value: any) => string | undefined) => {
    for (const value of values) {
      const problem = problemOf(value)
      if (problem !== undefined) return void found.push({ where, value, problem })
    }
  }
  const carried = (where: string, sender: EventCodec, receiver: EventCodec) => {
    search(where, payloads(sender.event, count, seed), (value) => {
      const data = toWire(encodePayload(sender, value))
      // A value that its own side does not understand did not work before either.
      if (attempt(() => decodePayload(sender, data)) !== undefined) return undefined
      if (data.length - 1 > receiver.length) return "an argument gets lost"
      return attempt(() => decodePayload(receiver, data))
    })
  }
  const answered = (where: string, answerer: EventCodec, asker: EventCodec) => {
    const { event } = answerer
    const values = answerer.ackIsVoid ? [undefined] : valuesOf(event.ack, count, seed)
    search(`${where} ack`, values, (value) => {
      const args = toWire(encodeSuccess(answerer, value))
      if (attempt(() => Effect.runSyncExit(decodeAck(answerer, args))) !== undefined) return undefined
      return attempt(() => Effect.runSyncExit(decodeAck(asker, args)))
    })
    if (!event.hasError) return
    search(`${where} error`, valuesOf(event.error, count, seed), (error) => {
      const exit = Effect.runSyncExit(decodeAck(asker, toWire(encodeFailure(answerer, error))))
      if (Exit.isSuccess(exit)) return "a failure is taken for a success"
      const failed = exit.cause.reasons.find((reason) => reason._tag === "Fail")
      return failed === undefined || failed.error?._tag === "AckError" ? String(exit.cause) : undefined
    })
  }
  for (const [name, codec] of old.incoming) {
    const other = fresh.incoming.get(name)
    if (other === undefined) found.push({ where: `receive ${name}`, value: undefined, problem: "nobody handles it" })
    else {
      carried(`receive ${name}`, codec, other)
      const needsId = (event: Event.Any) => event.once !== undefined && event.once.key === undefined
      if (needsId(other.event) && !needsId(codec.event)) {
        found.push({ where: `receive ${name}`, value: undefined, problem: "it has no id" })
      }
      answered(`receive ${name}`, other, codec)
    }
  }
  for (const [name, codec] of old.outgoing) {
    const other = fresh.outgoing.get(name)
    if (other !== undefined) {
      carried(`send ${name}`, other, codec)
      if (other.event.hasAck || other.event.hasError) answered(`send ${name}`, codec, other)
    } else if (codec.event.hasAck || codec.event.hasError) {
      found.push({ where: `send ${name}`, value: undefined, problem: "clients wait for it" })
    }
  }
  const auths = [before.auth, ...before.middlewares.map(({ auth }) => auth)].filter(
    (auth) => auth !== undeclaredAuth && auth.ast._tag !== "Unknown"
  )
  const given = auths.map((auth) => valuesOf(auth, count, seed))
  const all =
    auths.length === 0
      ? [{}, { token: 1 }]
      : given[0]!.map((_, i) => Object.assign({}, ...given.map((list) => list[i])))
  const client = before.forClient()
  search("auth", all, (value) => {
    let auth: unknown
    try {
      auth = auths.length === 0 ? value : toWire(client.encodeAuth(value))
    } catch {
      return undefined
    }
    for (const codec of [fresh.auth, ...fresh.middlewares.map(({ auth }) => auth)]) {
      const problem = attempt(() => codec.decode(auth))
      if (problem !== undefined) return problem
    }
    return undefined
  })
  if (before.params !== undefined && fresh.pattern !== undefined) {
    const lists = Object.entries(before.params).map(([name, schema]) => [name, valuesOf(schema, count, seed)] as const)
    const params = Array.from({ length: count }, (_, i) =>
      Object.fromEntries(lists.map(([name, list]) => [name, list[i]]))
    )
    search("params", params, (value) => {
      let name: string
      try {
        name = formatName(old, value)
      } catch {
        return undefined
      }
      const raw = fresh.pattern!.match(name)
      if (raw === undefined) return "the name does not match"
      for (const [key, codec] of fresh.params) {
        const problem = attempt(() => codec.decode(raw[key]))
        if (problem !== undefined) return problem
      }
      return undefined
    })
  }
  return found
}
