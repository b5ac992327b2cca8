import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaRepresentation from "effect/SchemaRepresentation"

import type { AnySchema } from "../Event.ts"

/** JSON Schemas of values on the wire, which share their definitions. */
export interface JsonSchemas {
  /** Returns the schema of one of the collected schemas. */
  readonly of: (schema: AnySchema) => JsonSchema.JsonSchema
  /** The definitions, by the name in references `#/components/schemas/…`. */
  readonly definitions: Readonly<Record<string, JsonSchema.JsonSchema>>
}

/** The annotations that become keywords, beside those that JSON Schema defines. */
const OPTIONS: Schema.ToJsonSchemaOptions = {
  includeAnnotationKey: (key) => key === "deprecated" || key.startsWith("x-")
}

/**
 * Returns the JSON Schemas (draft 7) of schemas on the wire. All of them are made at once, so that
 * two definitions of one name get different names.
 */
export const makeJsonSchemas = (schemas: ReadonlyArray<AnySchema>): JsonSchemas => {
  const indexes = new Map<AnySchema, number>()
  for (const schema of schemas) if (!indexes.has(schema)) indexes.set(schema, indexes.size)
  const [first, ...rest] = Array.from(indexes.keys(), (schema) => Schema.toCodecJson(schema).ast)
  if (first === undefined) return { of: notCollected, definitions: {} }
  const representations = SchemaRepresentation.toRepresentations([first, ...rest])
  const { definitions, schemas: roots } = JsonSchema.toMultiDocumentOpenApi3_1(
    withOwnDefinitions(SchemaRepresentation.toJsonSchemaMultiDocument(representations, OPTIONS))
  )
  const converted = JsonSchema.toDocumentDraft07({
    dialect: "draft-2020-12",
    // One document for all of them, so that the definitions are converted once.
    schema: { properties: Object.fromEntries(roots.entries()) },
    definitions
  })
  const properties = converted.schema.properties as Readonly<Record<number, JsonSchema.JsonSchema>>
  return {
    of: (schema) => {
      const index = indexes.get(schema)
      return index === undefined ? notCollected() : properties[index]!
    },
    definitions: converted.definitions
  }
}

const notCollected = (): never => {
  throw new Error("the schema was not collected")
}

/** Returns the JSON Schema (draft 7) of a schema on the wire, with its own definitions. */
export const jsonSchemaOf = (schema: AnySchema): JsonSchema.JsonSchema => {
  const made = Schema.toJsonSchemaDocument(schema, OPTIONS)
  const { definitions: given, schemas } = withOwnDefinitions({ ...made, schemas: [made.schema] })
  const { definitions, schema: root } = JsonSchema.toDocumentDraft07({
    ...made,
    schema: schemas[0],
    definitions: given
  })
  return {
    $schema: JsonSchema.META_SCHEMA_URI_DRAFT_07,
    // In draft 7 nothing counts beside a reference.
    ...("$ref" in root ? { allOf: [root] } : root),
    ...(Object.keys(definitions).length === 0 ? {} : { definitions })
  }
}

type Multi = JsonSchema.MultiDocument<"draft-2020-12">

/**
 * Moves the definitions of schemas of other libraries to those of the document. Such a schema
 * describes itself as a document of its own, with references to itself (`#`) and to its parts.
 */
const withOwnDefinitions = (document: Multi): Multi => {
  const definitions: Record<string, JsonSchema.JsonSchema> = { ...document.definitions }
  const newName = (base: string): string => {
    let name = base
    for (let i = 1; Object.hasOwn(definitions, name); i++) name = `${base}_${i}`
    definitions[name] = {}
    return name
  }
  const settled = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema => {
    const { "x-standard": _, $defs, definitions: older, ...own } = schema
    const parts = Object.entries({ ...(older as object | undefined), ...($defs as object | undefined) })
    if (parts.length === 0 && !JSON.stringify(own).includes('"$ref"')) return own
    const title = typeof own["title"] === "string" ? own["title"] : "Standard"
    const self = newName(title)
    const names = new Map(parts.map(([name]) => [name, newName(name)]))
    const moved = (reference: string): string => {
      if (reference === "#") return referenceTo(self)
      const [, name, rest = ""] = /^#\/(?:\$defs|definitions)\/([^/]+)(\/.*)?$/.exec(reference) ?? []
      const known = name === undefined ? undefined : names.get(decoded(name))
      return known === undefined ? reference : referenceTo(known) + rest
    }
    const rewritten = (part: JsonSchema.JsonSchema) => mapSchemas(part, (node) => ({ ...node, ...refs(node, moved) }))
    for (const [name, part] of parts) definitions[names.get(name)!] = rewritten(part as JsonSchema.JsonSchema)
    definitions[self] = rewritten(own)
    return { $ref: referenceTo(self) }
  }
  const all = (schema: JsonSchema.JsonSchema) =>
    mapSchemas(schema, (node) => (node["x-standard"] === true ? settled(node) : node))
  const [first, ...rest] = document.schemas
  for (const [name, schema] of Object.entries(document.definitions)) definitions[name] = all(schema)
  return { dialect: document.dialect, schemas: [all(first), ...rest.map(all)], definitions }
}

const refs = (node: JsonSchema.JsonSchema, move: (reference: string) => string) =>
  typeof node["$ref"] === "string" ? { $ref: move(node["$ref"]) } : {}

const referenceTo = (name: string): string =>
  `#/$defs/${encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"))}`

const decoded = (token: string): string => decodeURIComponent(token).replaceAll("~1", "/").replaceAll("~0", "~")

/** The keywords that hold a schema, a list of schemas, or schemas by name. */
const ONE = new Set([
  "additionalProperties",
  "contains",
  "contentSchema",
  "else",
  "if",
  "items",
  "not",
  "propertyNames",
  "then"
])
const MANY = new Set(["allOf", "anyOf", "items", "oneOf", "prefixItems"])
const NAMED = new Set(["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"])

/** Replaces every schema in a schema, the inner ones first; values in examples are no schemas. */
const mapSchemas = (
  schema: JsonSchema.JsonSchema,
  replace: (schema: JsonSchema.JsonSchema) => JsonSchema.JsonSchema
): JsonSchema.JsonSchema => {
  const inner = (value: unknown): unknown => (isObject(value) ? mapSchemas(value, replace) : value)
  const entries = Object.entries(schema).map(([key, value]): [string, unknown] => {
    if (MANY.has(key) && Array.isArray(value)) return [key, value.map(inner)]
    if (NAMED.has(key) && isObject(value)) {
      return [key, Object.fromEntries(Object.entries(value).map(([name, part]) => [name, inner(part)]))]
    }
    return [key, ONE.has(key) ? inner(value) : value]
  })
  return replace(Object.fromEntries(entries))
}

const isObject = (value: unknown): value is JsonSchema.JsonSchema =>
  typeof value === "object" && value !== null && !Array.isArray(value)
