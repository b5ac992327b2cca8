import * as Duration from "effect/Duration"
import * as SchemaAST from "effect/SchemaAST"

import type * as Event from "../Event.ts"
import { type Declaration, undeclaredAuth } from "./compileContract.ts"
import { type WireNode, WireSchemas } from "./wireSchema.ts"

// The parts of a contract that clients may rely on, as JSON.

export interface RateForm {
  readonly limit: number
  readonly interval: number
  readonly burst: number
  readonly onExceeded: string
}

export interface EventForm {
  /** The arguments on the wire. */
  readonly args: ReadonlyArray<WireNode>
  /** The number of arguments at the end that may be missing. */
  readonly optional?: number
  readonly ack?: WireNode
  readonly error?: WireNode
  readonly rateLimit?: RateForm
  readonly concurrency?: number
  /** Where clients put the id of a message that is handled once. */
  readonly once?: "attribute" | "payload"
}

export interface NamespaceForm {
  readonly untyped?: true
  /** The auth payload has all of these forms. */
  readonly auth?: ReadonlyArray<WireNode>
  /** The failures of middlewares. */
  readonly refusals?: ReadonlyArray<WireNode>
  readonly params?: Readonly<Record<string, WireNode>>
  /** The events that the server receives, and those that it sends. */
  readonly receive: Readonly<Record<string, EventForm>>
  readonly send: Readonly<Record<string, EventForm>>
  readonly definitions: Readonly<Record<string, WireNode>>
}

type Declared = Pick<
  Declaration,
  "auth" | "clientToServer" | "concurrency" | "middlewares" | "params" | "serverToClient" | "untyped"
>

/** Returns the form of a namespace. It takes some milliseconds for a large contract. */
export const formOfNamespace = (contract: Declared): NamespaceForm => {
  const schemas = new WireSchemas()
  const node = (schema: Event.AnySchema) => schemas.node(schema)
  const { auth, concurrency, middlewares, params } = contract
  const events = (declared: ReadonlyMap<string, Event.Any>, isReceived: boolean) =>
    Object.fromEntries(
      sortedEntries(declared).map(([name, event]) => [name, eventForm(event, isReceived, concurrency, node)])
    )
  const auths = [
    ...(auth === undeclaredAuth ? [] : [node(auth)]),
    ...middlewares.flatMap(({ auth }) => (auth.ast._tag === "Unknown" ? [] : [node(auth)]))
  ]
  const refusals = middlewares.flatMap(({ error }) => (error.ast._tag === "Never" ? [] : [node(error)]))
  const form = {
    ...(contract.untyped ? { untyped: true as const } : {}),
    ...(auths.length > 0 ? { auth: auths } : {}),
    ...(refusals.length > 0 ? { refusals } : {}),
    ...(params === undefined
      ? {}
      : {
          params: Object.fromEntries(
            sortedEntries(new Map(Object.entries(params))).map(([name, schema]) => [name, node(schema)])
          )
        }),
    receive: events(contract.clientToServer, true),
    send: events(contract.serverToClient, false)
  }
  return { ...form, definitions: Object.fromEntries(schemas.definitions) }
}

const eventForm = (
  event: Event.Any,
  isReceived: boolean,
  concurrency: number | undefined,
  node: (schema: Event.AnySchema) => WireNode
): EventForm => {
  const { rateLimit } = event
  const own = event.concurrency ?? (isReceived ? concurrency : undefined)
  return {
    ...argumentsOf(event, node),
    ...(event.hasAck ? { ack: node(event.ack) } : {}),
    ...(event.hasError ? { error: node(event.error) } : {}),
    ...(rateLimit === undefined
      ? {}
      : {
          rateLimit: {
            limit: rateLimit.limit,
            interval: Duration.toMillis(rateLimit.interval ?? 1_000),
            burst: rateLimit.burst ?? Math.max(1, rateLimit.limit),
            onExceeded: rateLimit.onExceeded ?? "refuse"
          }
        }),
    ...(own === undefined ? {} : { concurrency: own }),
    ...(event.once === undefined || !isReceived ? {} : { once: event.once.key === undefined ? "attribute" : "payload" })
  }
}

const argumentsOf = (
  { arity, payload }: Event.Any,
  node: (schema: Event.AnySchema) => WireNode
): Pick<EventForm, "args" | "optional"> => {
  if (arity === "none") return { args: [] }
  if (arity === "one" || !SchemaAST.isArrays(payload.ast)) return { args: [node(payload)] }
  const list = node(payload)
  const args = (list["prefixItems"] ?? []) as ReadonlyArray<WireNode>
  const optional = args.length - ((list["minItems"] ?? 0) as number)
  return { args, ...(optional > 0 ? { optional } : {}) }
}

const sortedEntries = <A>(map: ReadonlyMap<string, A>): ReadonlyArray<readonly [string, A]> =>
  Array.from(map).toSorted(([one], [two]) => (one < two ? -1 : 1))

/** Returns the same JSON with its keys in alphabetical order. */
export const canonical = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).map(([key, value]): [string, unknown] => [key, canonical(value)])
  return Object.fromEntries(entries.toSorted(([one], [two]) => (one < two ? -1 : 1)))
}
