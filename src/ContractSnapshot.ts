/**
 * Snapshots of contracts: everything that clients may rely on, as JSON that is the same for the
 * same contract. `ContractDiff` compares them.
 *
 * @since 0.1.0
 */
import type { JsonSchema } from "effect/JsonSchema"

import { hashText } from "./internal/hashText.ts"
import { canonical, formOfNamespace } from "./internal/namespaceForm.ts"
import { requireUniqueNames } from "./internal/declarationChecks.ts"
import { uncomparedIn } from "./internal/wireFindings.ts"
import type * as Namespace from "./Namespace.ts"

/**
 * An event in a snapshot. `args` are its arguments on the wire, of which `optional` at the end may
 * be missing. `interval` is in milliseconds. `once` says where clients put the id of a message.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventSnapshot {
  readonly args: ReadonlyArray<JsonSchema>
  readonly optional?: number
  readonly ack?: JsonSchema
  readonly error?: JsonSchema
  readonly rateLimit?: {
    readonly limit: number
    readonly interval: number
    readonly burst: number
    readonly onExceeded: string
  }
  readonly concurrency?: number
  readonly once?: "attribute" | "payload"
}

/**
 * A namespace in a snapshot: the events that the server receives, and those that it sends.
 *
 * Schemas are JSON Schemas with references to `definitions`, without texts for people, and with
 * keywords of their own for what decoders do beyond them: `x-checks`, `x-then`, `x-any`,
 * `x-opaque`.
 *
 * @since 0.1.0
 * @category models
 */
export interface NamespaceSnapshot {
  readonly untyped?: true
  readonly auth?: ReadonlyArray<JsonSchema>
  readonly refusals?: ReadonlyArray<JsonSchema>
  readonly params?: Readonly<Record<string, JsonSchema>>
  readonly receive: Readonly<Record<string, EventSnapshot>>
  readonly send: Readonly<Record<string, EventSnapshot>>
  readonly definitions: Readonly<Record<string, JsonSchema>>
}

/**
 * A snapshot of contracts, by the names of their namespaces.
 *
 * @since 0.1.0
 * @category models
 */
export interface ContractSnapshot {
  readonly version: 1
  readonly namespaces: Readonly<Record<string, NamespaceSnapshot>>
}

/**
 * Returns the snapshot of contracts. Throws if two of them have the same name, and on a contract of
 * more than 50,000 parts, which schemas without identifiers have if they contain each other often.
 *
 * **Details**
 *
 * Descriptions, examples and other texts for people are not part of it. Neither are events between
 * servers and the data of sockets: clients do not see them.
 *
 * **Gotchas**
 *
 * The code of checks and transformations is not part of it. They are compared by their names: give
 * them an `identifier`, and another one when their meaning changes. A transformation without one is
 * compared by the text of its function. See {@link uncompared}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const snapshot = (namespaces: ReadonlyArray<Namespace.Any>): ContractSnapshot => {
  requireUniqueNames(namespaces)
  const forms = namespaces.map((namespace) => [namespace._tag, formOfNamespace(namespace)])
  return canonical({ version: 1, namespaces: Object.fromEntries(forms) }) as ContractSnapshot
}

/**
 * Returns the text of a snapshot, for a file: the same text for the same snapshot.
 *
 * @since 0.1.0
 * @category encoding
 */
export const stringify = (snapshot: ContractSnapshot): string =>
  `${JSON.stringify(canonical(snapshot), undefined, 2)}\n`

/**
 * Reads the text of a snapshot. Throws on another text.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (text: string): ContractSnapshot => {
  const value: unknown = JSON.parse(text)
  const { namespaces, version } = Object(value) as { readonly namespaces?: unknown; readonly version?: unknown }
  if (typeof version !== "number" || typeof namespaces !== "object" || namespaces === null) {
    throw new Error("it is no snapshot of contracts")
  }
  if (version !== 1) throw new Error(`it is a snapshot of version ${version}, and this program knows version 1`)
  return value as ContractSnapshot
}

/**
 * Returns a short text that changes with the snapshot of a contract. Two programs with the same
 * fingerprint have the same contract. Servers tell it to clients of this library with CONNECT.
 *
 * @since 0.1.0
 * @category fingerprints
 */
export const fingerprint = (namespace: Namespace.Any): string =>
  hashText(JSON.stringify(canonical(formOfNamespace(namespace))))

/**
 * Returns the number of checks and transformations in a snapshot that have no name, by event: a
 * change of their code is not noticed.
 *
 * @since 0.1.0
 * @category guards
 */
export const uncompared = (snapshot: ContractSnapshot): Readonly<Record<string, number>> => {
  const found: Record<string, number> = {}
  for (const [name, namespace] of Object.entries(snapshot.namespaces)) {
    const { definitions, receive, send, ...rest } = namespace
    const count = (where: string, value: unknown) => {
      const { length } = uncomparedIn(value)
      if (length > 0) found[where] = (found[where] ?? 0) + length
    }
    count(name, { definitions, rest })
    for (const events of [receive, send]) {
      for (const [event, form] of Object.entries(events)) count(`${name}:${event}`, form)
    }
  }
  return found
}
