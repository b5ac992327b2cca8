import * as Duration from "effect/Duration"
import * as Base64 from "effect/encoding/Base64"
import type { JsonSchema } from "effect/JsonSchema"
import * as Schema from "effect/Schema"

import type * as AsyncApi from "../AsyncApiDocument.ts"
import type * as Event from "../Event.ts"
import { Refusal } from "../EventAnswer.ts"
import type * as Namespace from "../Namespace.ts"
import type { EventRateLimit } from "../RateLimit.ts"
import { FAILURE, SUCCESS } from "./answers.ts"
import { compileContract, undeclaredAuth } from "./compileContract.ts"
import { type Codec, encodePayload, getOrThrow } from "./contractCodec.ts"
import { jsonSchemaOf, type JsonSchemas, makeJsonSchemas } from "./jsonSchemas.ts"
import { requireUniqueNames } from "./declarationChecks.ts"

const AnyRefusal: Event.AnySchema = Refusal.annotate({
  identifier: "Refusal",
  description: "The failures that may answer every event, whatever it declares."
})

const Refused: Event.AnySchema = Schema.TaggedStruct(FAILURE, { error: AnyRefusal }).annotate({
  identifier: "Refused",
  description: "The answer to an event that no handler has answered."
})

/** The two directions of a contract's events, as AsyncAPI sees them: from the server. */
const directions = (namespace: Namespace.Any) =>
  [
    ["receive", namespace.clientToServer],
    ["send", namespace.serverToClient]
  ] as const

type Direction = "receive" | "send"

/** The schemas of the auth payload: that of the contract, and those of its middlewares. */
export const authSchemas = ({ auth, middlewares }: Namespace.Any): ReadonlyArray<Event.AnySchema> => [
  ...(auth === undeclaredAuth ? [] : [auth]),
  ...middlewares.flatMap(({ auth }) => (auth.ast._tag === "Unknown" ? [] : [auth]))
]

const refusalSchemas = ({ middlewares }: Namespace.Any): ReadonlyArray<Event.AnySchema> =>
  middlewares.flatMap(({ error }) => (error.ast._tag === "Never" ? [] : [error]))

const eventSchemas = (event: Event.Any): ReadonlyArray<Event.AnySchema> => [
  ...(event.arity === "none" ? [] : [event.payload]),
  ...(event.hasAck ? [event.ack] : []),
  ...(event.hasError ? [event.error] : []),
  ...(event.hasAck || event.hasError ? [AnyRefusal, Refused] : [])
]

const allSchemas = (namespaces: ReadonlyArray<Namespace.Any>): ReadonlyArray<Event.AnySchema> =>
  namespaces.flatMap((namespace) => [
    ...Object.values(namespace.params ?? {}),
    ...authSchemas(namespace),
    ...refusalSchemas(namespace),
    ...directions(namespace).flatMap(([, events]) => Array.from(events.values()).flatMap(eventSchemas))
  ])

/** Gives names that are valid as keys of AsyncAPI, each once. */
const makeKeys = (): ((name: string, otherwise: string) => string) => {
  const used = new Set<string>()
  return (name, otherwise) => {
    const base = name.replaceAll(/[^a-zA-Z0-9._-]+/g, "_").replaceAll(/^_+|_+$/g, "") || otherwise
    let key = base
    for (let i = 1; used.has(key); i++) key = `${base}_${i}`
    used.add(key)
    return key
  }
}

const isVoid = (schema: Event.AnySchema): boolean => schema.ast._tag === "Void"

const list = (...items: ReadonlyArray<JsonSchema>): JsonSchema =>
  items.length === 0
    ? { type: "array", maxItems: 0 }
    : { type: "array", items, minItems: items.length, maxItems: items.length }

const payloadOf = (event: Event.Any, json: JsonSchemas["of"]): JsonSchema => {
  if (event.arity === "none") return list()
  const schema = json(event.payload)
  if (event.arity === "one") return list(schema)
  return Array.isArray(schema.items) ? schema : list()
}

const tagged = (tag: string, field: string, schema: JsonSchema | undefined): JsonSchema => ({
  type: "object",
  properties: { _tag: { type: "string", enum: [tag] }, ...(schema === undefined ? {} : { [field]: schema }) },
  required: schema === undefined ? ["_tag"] : ["_tag", field]
})

/** The arguments of an acknowledgement. */
const answerOf = (event: Event.Any, direction: Direction, json: JsonSchemas["of"]): JsonSchema => {
  const value = event.hasAck && !isVoid(event.ack) ? json(event.ack) : undefined
  if (event.hasError) {
    const error = { anyOf: [json(event.error), json(AnyRefusal)] }
    return list({ anyOf: [tagged(SUCCESS, "value", value), tagged(FAILURE, "error", error)] })
  }
  // Clients have no refusals.
  if (direction === "send") return value === undefined ? list() : list(value)
  const refused = json(Refused)
  return value === undefined ? { type: "array", items: [refused], maxItems: 1 } : list({ anyOf: [value, refused] })
}

/** Bytes have no form in JSON: they become `{ "$bytes": base64 }`, which the page understands. */
const withoutBytes = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return { $bytes: Base64.encode(value) }
  if (Array.isArray(value)) return value.map(withoutBytes)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, value]) => [key, withoutBytes(value)]))
}

/** Encodes an example. Throws if it is not of the declared type. */
const exampleOf = (codec: Codec, value: unknown, what: string): unknown =>
  withoutBytes(getOrThrow(codec.encode(value), what))

const rateOf = ({ burst, interval = 1_000, limit, onExceeded = "refuse" }: EventRateLimit): AsyncApi.RateLimit => ({
  limit,
  interval: Duration.toMillis(interval),
  burst: burst ?? Math.max(1, limit),
  onExceeded
})

const given = <A extends object>(fields: A): Partial<A> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<A>

/** The fields of an object that is not empty. */
const extension = (fields: object): { readonly "x-socket.io"?: any } => {
  const some = given(fields)
  return Object.keys(some).length === 0 ? {} : { "x-socket.io": some }
}

const messageOf = (
  namespace: Namespace.Any,
  event: Event.Any,
  direction: Direction,
  json: JsonSchemas["of"]
): AsyncApi.Message => {
  const codecs = namespace.compiled(compileContract)
  const codec = (direction === "receive" ? codecs.incoming : codecs.outgoing).get(event._tag)!
  const examples = event.examples.map((example, i) => {
    const [, ...args] = encodePayload(codec, example) // throws on a payload of another type
    return { name: `example ${i + 1}`, payload: withoutBytes(args) }
  })
  const byDirection =
    direction === "receive"
      ? {
          rateLimit: event.rateLimit && rateOf(event.rateLimit),
          concurrency: event.concurrency ?? namespace.concurrency,
          once: event.once && {
            id: event.once.key === undefined ? "attribute" : "payload",
            window: Duration.toMillis(event.once.window ?? "10 minutes")
          }
        }
      : { recover: event.recover ? undefined : false }
  return {
    name: event._tag,
    title: event._tag,
    ...given({ description: event.description, deprecated: event.deprecated || undefined }),
    contentType: "application/json",
    payload: payloadOf(event, json),
    ...(examples.length === 0 ? {} : { examples }),
    ...extension(byDirection)
  } as AsyncApi.Message
}

/** A name with `{parameter}` for `:parameter`; `null` for one that AsyncAPI cannot express. */
const addressOf = ({ _tag: name, params }: Namespace.Any): string | null => {
  if (/[{}]/.test(name) || (params !== undefined && Object.keys(params).length === 0)) return null
  return params === undefined ? name : name.replaceAll(/:([A-Za-z_][A-Za-z0-9_]*)/g, "{$1}")
}

const strings = (list: unknown): ReadonlyArray<string> | undefined =>
  Array.isArray(list) && list.every((value) => typeof value === "string") ? list : undefined

const parametersOf = ({ params = {} }: Namespace.Any, json: JsonSchemas["of"]) => {
  const names = Object.keys(params)
  if (names.length === 0) return undefined
  return Object.fromEntries(
    names.map((name) => {
      const { description, enum: values, examples } = json(params[name]!)
      return [name, given({ description, enum: strings(values), examples: strings(examples) })]
    })
  )
}

/** The names of fields whose value stands for the user. */
const TOKEN = /^(access|auth|bearer|id|session)?[-_]?(token|api[-_]?key|jwt|password|secret|authorization)$/i

/** The fields of an auth payload that look like a token. */
const tokenFields = (schemas: ReadonlyArray<JsonSchema>, { definitions }: JsonSchemas): ReadonlyArray<string> => {
  const names = new Set<string>()
  for (let schema of schemas) {
    const key = typeof schema.$ref === "string" ? schema.$ref.replace("#/components/schemas/", "") : undefined
    if (key !== undefined) schema = definitions[key] ?? {}
    for (const name of Object.keys(schema.properties ?? {})) if (TOKEN.test(name)) names.add(name)
  }
  return Array.from(names)
}

const serverOf = ({ description, url }: AsyncApi.ServerOptions): AsyncApi.Server => {
  const { host, pathname, protocol } = new URL(url)
  const isSecure = protocol === "https:" || protocol === "wss:"
  return {
    host,
    pathname: pathname === "/" ? "/socket.io" : pathname,
    protocol: isSecure ? "wss" : "ws",
    ...(description === undefined ? {} : { description })
  }
}

export const makeDocument = (
  namespaces: ReadonlyArray<Namespace.Any>,
  options: AsyncApi.Options
): AsyncApi.Document => {
  requireUniqueNames(namespaces)
  const schemas = makeJsonSchemas(allSchemas(namespaces))
  const { definitions, of: json } = schemas
  const channels: Record<string, AsyncApi.Channel> = {}
  const operations: Record<string, AsyncApi.Operation> = {}
  const securitySchemes: Record<string, AsyncApi.SecurityScheme> = {}
  const channelKey = makeKeys()
  for (const namespace of namespaces) {
    const id = channelKey(namespace._tag, "root")
    const channel = { $ref: `#/channels/${id}` }
    const auths = authSchemas(namespace).map(json)
    const refusals = refusalSchemas(namespace).map(json)
    const tokens = tokenFields(auths, schemas)
    if (tokens.length === 1) {
      securitySchemes[id] = {
        type: "apiKey",
        in: "password",
        description: `The field "${tokens[0]}" of the auth payload that a client sends with CONNECT.`
      }
    }
    const security = tokens.length === 1 ? { security: [{ $ref: `#/components/securitySchemes/${id}` }] } : {}
    const messages: Record<string, AsyncApi.Message> = {}
    const messageKey = makeKeys()
    for (const [direction, events] of directions(namespace)) {
      for (const event of events.values()) {
        const key = messageKey(`${direction}.${event._tag}`, direction)
        messages[key] = messageOf(namespace, event, direction, json)
        const reference = (key: string) => ({ $ref: `#/channels/${id}/messages/${key}` })
        const operation = { action: direction, channel, messages: [reference(key)], ...security }
        if (!event.hasAck && !event.hasError) {
          operations[`${id}.${key}`] = operation
          continue
        }
        const ack = messageKey(`${key}.ack`, "ack")
        messages[ack] = {
          name: `${event._tag} (acknowledgement)`,
          title: `${event._tag} (acknowledgement)`,
          contentType: "application/json",
          payload: answerOf(event, direction, json)
        }
        operations[`${id}.${key}`] = { ...operation, reply: { channel, messages: [reference(ack)] } }
      }
    }
    const parameters = parametersOf(namespace, json)
    channels[id] = {
      address: addressOf(namespace),
      title: namespace._tag,
      ...given({ description: namespace.description }),
      messages,
      ...(parameters === undefined ? {} : { parameters }),
      ...extension({
        namespace: namespace._tag,
        untyped: namespace.untyped || undefined,
        deprecated: namespace.deprecated || undefined,
        auth: all(auths),
        authExamples: authExamples(namespace),
        refusals: refusals.length === 0 ? undefined : refusals
      })
    } as AsyncApi.Channel
  }
  return {
    asyncapi: options.specification ?? "3.1.0",
    info: { title: options.title, version: options.version, ...given({ description: options.description }) },
    defaultContentType: "application/json",
    ...(options.servers === undefined
      ? {}
      : {
          servers: Object.fromEntries(Object.entries(options.servers).map(([name, server]) => [name, serverOf(server)]))
        }),
    channels,
    operations,
    components: { schemas: definitions, ...(Object.keys(securitySchemes).length === 0 ? {} : { securitySchemes }) }
  }
}

const all = ([first, ...rest]: ReadonlyArray<JsonSchema>): JsonSchema | undefined =>
  first === undefined || rest.length === 0 ? first : { allOf: [first, ...rest] }

const authExamples = (namespace: Namespace.Any): ReadonlyArray<unknown> | undefined => {
  if (namespace.examples.length === 0) return undefined
  const { auth } = namespace.compiled(compileContract)
  return namespace.examples.map((example) => exampleOf(auth, example, `auth example of "${namespace._tag}"`))
}

export const namespaceSchemas = (namespace: Namespace.Any): Readonly<Record<string, JsonSchema>> => {
  const auths = authSchemas(namespace)
  const found: Record<string, JsonSchema> = {}
  if (auths.length === 1) found["auth"] = jsonSchemaOf(auths[0]!)
  if (auths.length > 1) {
    // As one schema, so that they share their definitions.
    const { items, maxItems: _, minItems: __, type: ___, ...rest } = jsonSchemaOf(Schema.Tuple(auths))
    found["auth"] = { ...rest, allOf: items }
  }
  for (const [name, schema] of Object.entries(namespace.params ?? {})) found[`params.${name}`] = jsonSchemaOf(schema)
  for (const [direction, events] of directions(namespace)) {
    for (const event of events.values()) {
      const key = `${direction}.${event._tag}`
      if (event.arity !== "none") found[key] = jsonSchemaOf(event.payload)
      if (event.hasAck) found[`${key}.ack`] = jsonSchemaOf(event.ack)
      if (event.hasError) found[`${key}.error`] = jsonSchemaOf(event.error)
    }
  }
  return found
}
