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
    SchemaRepresentation.toJsonSchemaMultiDocument(representations, OPTIONS)
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
  const { definitions, schema: root } = JsonSchema.toDocumentDraft07(Schema.toJsonSchemaDocument(schema, OPTIONS))
  return {
    $schema: JsonSchema.META_SCHEMA_URI_DRAFT_07,
    // In draft 7 nothing counts beside a reference.
    ...("$ref" in root ? { allOf: [root] } : root),
    ...(Object.keys(definitions).length === 0 ? {} : { definitions })
  }
}
