import * as Effect from "effect/Effect"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaTransformation from "effect/SchemaTransformation"

import type { AnySchema } from "../Event.ts"
import { hashText } from "./hashText.ts"

// The names of what decoders do: code cannot be compared, but names can.

/** Declarations whose decoder takes every value of their form on the wire. */
export const TOTAL: ReadonlySet<string> = new Set(
  ["Cause", "CauseReason", "Chunk", "Error", "Exit", "HashMap", "HashSet", "Option", "ReadonlyMap", "ReadonlySet"]
    .concat(["Redacted", "Result"])
    .map((name) => `effect/schema/${name}`)
)

export const PREFIX = "effect/schema/"

/** The names of transformations that Effect has. */
const transformations = new Map<unknown, string>(
  Object.entries(SchemaTransformation).flatMap(([name, value]) =>
    SchemaTransformation.isTransformation(value) ? [[value, name]] : []
  )
)
transformations.set(SchemaTransformation.passthrough(), "passthrough")

/**
 * The function of a getter. Those that Effect makes anew each time have the same one, or the same
 * text.
 */
const functionOf = (transformation: unknown): unknown =>
  (transformation as { readonly decode?: { readonly transform?: unknown } }).decode?.transform

const { capitalize, snakeToCamel, toLowerCase, toUpperCase, trim, uncapitalize } = SchemaTransformation

const functions = new Map<unknown, string>(
  Object.entries({ capitalize, snakeToCamel, toLowerCase, toUpperCase, trim, uncapitalize }).flatMap(([name, make]) => {
    const made = functionOf(make())
    return made === undefined ? [] : [[made, name]]
  })
)

const withDefault: unknown = (
  SchemaGetter.withDefault(Effect.succeed(undefined)) as unknown as { readonly transform?: unknown }
).transform

export const isDefault = (transformation: unknown): boolean => {
  const made = functionOf(transformation)
  return typeof made === "function" && String(made) === String(withDefault)
}

export type Annotations = Readonly<Record<string, unknown>> | undefined

interface Representation {
  readonly id: string
  readonly payload?: unknown
  readonly schemas?: ReadonlyArray<AnySchema>
}

export const representationOf = (annotations: Annotations): Representation | undefined =>
  annotations?.["representation"] as Representation | undefined

/** The name that a user has given to a check or a schema. */
export const givenName = (annotations: Annotations): string | undefined => {
  for (const key of ["identifier", "title", "expected", "description"]) {
    const name = annotations?.[key]
    if (typeof name === "string") return name
  }
  return undefined
}

/** The description that a check gives of itself: its arguments, or its JSON Schema. */
export const detailsOf = (annotations: Annotations): unknown => {
  const representation = representationOf(annotations)
  const toJsonSchema = annotations?.["toJsonSchema"]
  if (representation !== undefined || typeof toJsonSchema !== "function") return representation?.payload
  try {
    return JSON.parse(JSON.stringify(toJsonSchema({ type: undefined, schemas: [] })))
  } catch {
    return undefined
  }
}

/** The name of a check without a name: it cannot be compared with another one. */
export const UNNAMED = "unnamed"

export const viaOf = (transformation: unknown, target: SchemaAST.AST): string => {
  const known = transformations.get(transformation) ?? functions.get(functionOf(transformation))
  if (known !== undefined) return known
  // The identifier of a class says nothing about the way to its instances.
  const isClass = typeof target.annotations?.["~constructor"] === "function"
  const identifier = isClass ? undefined : SchemaAST.resolveIdentifier(target)
  if (identifier !== undefined) return `custom ${identifier}`
  const made = functionOf(transformation)
  return typeof made === "function" ? `code ${hashText(String(made))}` : `custom ${UNNAMED}`
}
