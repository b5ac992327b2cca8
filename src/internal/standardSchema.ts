import * as Effect from "effect/Effect"
import type * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as SchemaRepresentation from "effect/SchemaRepresentation"
import type { StandardSchemaV1 } from "effect/StandardSchema"

// Clients choose the values, so they choose the number of issues, and the keys in their paths.
const MAX_ISSUES = 5
const MAX_MESSAGE = 200
const MAX_PATH = 16
const MAX_KEY = 64

/** Makes a codec of a Standard Schema. Throws on one that is known to be asynchronous. */
export const standardCodec = (
  schema: StandardSchemaV1,
  jsonSchema: JsonSchema.JsonSchema | undefined
): Schema.Codec<unknown> => {
  const { jsonSchema: own, validate, vendor } = schema["~standard"] as Standard
  // A schema that was asynchronous once is asked no more.
  let isAsynchronous = false
  const refuseAsynchronous = (): never => {
    isAsynchronous = true
    throw new Error(
      `a schema of "${vendor}" is asynchronous; a message is validated at once, so validate it in its handler`
    )
  }
  if ((schema as { readonly async?: unknown }).async === true) refuseAsynchronous()

  const resultOf = (value: unknown): StandardSchemaV1.Result<unknown> => {
    if (isAsynchronous) return refuseAsynchronous()
    const result = validate(value)
    if (!isPromise(result)) return result
    // Nobody waits for it.
    result.then(undefined, () => {})
    return refuseAsynchronous()
  }

  const declared = Schema.declareConstructor<unknown>()(
    [],
    () => (value, ast) => {
      const result = resultOf(value)
      if (!result.issues) return Effect.succeed(result.value)
      // `null` stands for `undefined` on the wire.
      const left = value === null ? resultOf(undefined) : result
      return left.issues ? Effect.fail(issueOf(ast, result.issues)) : Effect.succeed(left.value)
    },
    // The encoder of packets makes JSON and attachments of the value.
    { expected: `a value of the ${vendor} schema`, toCodecJson: () => undefined }
  )
  if (jsonSchema === undefined && own === undefined) return declared
  return declared.check(
    // Its references are relative to itself.
    Schema.makeFilter(() => true, { "x-standard": true, toJsonSchema: () => jsonSchema ?? documented(own!) })
  )
}

const isPromise = (result: object): result is Promise<unknown> => "then" in result && typeof result.then === "function"

/** The JSON Schema that a schema gives of itself. It throws if JSON Schema has no words for it. */
const documented = (own: Converter): SchemaRepresentation.ToJsonSchema.CheckOutput => {
  try {
    const { $schema: _, ...described } = own.input({ target: "draft-2020-12" })
    return described
  } catch {
    return [{}, true]
  }
}

interface Converter {
  readonly input: (options: { readonly target: string }) => Record<string, unknown>
}

/** The properties of a Standard Schema, with the converter to JSON Schema that some have. */
type Standard = StandardSchemaV1["~standard"] & { readonly jsonSchema?: Converter }

const issueOf = (ast: SchemaAST.AST, issues: ReadonlyArray<StandardSchemaV1.Issue>): SchemaIssue.Issue => {
  const shown = issues.slice(0, MAX_ISSUES).map(({ message, path = [] }) => {
    const issue = new SchemaIssue.InvalidValue({ message: cut(message, MAX_MESSAGE) })
    return path.length === 0 ? issue : new SchemaIssue.Pointer(path.slice(0, MAX_PATH).map(keyOf), issue)
  })
  const more = issues.length - shown.length
  if (more > 0) shown.push(new SchemaIssue.InvalidValue({ message: `and ${more} more` }))
  const [first = new SchemaIssue.InvalidValue({ message: "invalid" }), ...rest] = shown
  return new SchemaIssue.Composite(ast, [first, ...rest])
}

const keyOf = (segment: PropertyKey | StandardSchemaV1.PathSegment): PropertyKey => {
  const key = typeof segment === "object" ? segment.key : segment
  return typeof key === "string" ? cut(key, MAX_KEY) : key
}

const cut = (text: string, length: number): string => (text.length <= length ? text : `${text.slice(0, length)}…`)
