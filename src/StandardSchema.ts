/**
 * Schemas of other libraries, such as zod, valibot or ArkType, for the values of events.
 *
 * Users meet it as `Event.standard`.
 *
 * @since 0.1.0
 */
import type * as JsonSchema from "effect/JsonSchema"
import type * as Schema from "effect/Schema"
import type { StandardSchemaV1 } from "effect/StandardSchema"

import type { Attachment } from "./Binary.ts"
import { standardCodec } from "./internal/standardSchema.ts"

/**
 * The schema of a Standard Schema, as {@link standard} makes it.
 *
 * @since 0.1.0
 * @category models
 */
export type Standard<S extends StandardSchemaV1> = Schema.Codec<
  StandardSchemaV1.InferOutput<S>,
  WithAttachments<StandardSchemaV1.InferInput<S>>
>

/** Bytes travel as attachments, whatever schema they have. */
type WithAttachments<A> = unknown extends A
  ? A
  : A extends Uint8Array | ArrayBuffer | Blob
    ? Attachment
    : A extends Date | ((...args: never) => unknown)
      ? A
      : A extends object
        ? { [K in keyof A]: WithAttachments<A[K]> }
        : A

/**
 * Appears in an error message where {@link standard} gets a schema that is asynchronous.
 *
 * @since 0.1.0
 * @category utility types
 */
export interface MustBeSynchronous {
  readonly "the schema is asynchronous; a message is validated at once": never
}

/**
 * Takes a schema of another library, such as zod, valibot or ArkType, for a payload, an
 * acknowledgement, a failure or an auth payload: anything with the interface of
 * [Standard Schema](https://standardschema.dev).
 *
 * Throws on a schema that says it is asynchronous, as those of valibot do. An asynchronous schema
 * of zod does not say so: its first value is a defect, which answers `InternalError`.
 *
 * **Details**
 *
 * - Values that come in are validated, and their handlers get the result. A value that the schema
 *   refuses is answered as any other: at most five of its issues are told, each cut at 200
 *   characters.
 * - Values that go out are validated, too, and the result is sent: fields that the schema drops do
 *   not leave. The packet's encoder makes JSON of it, and attachments of bytes.
 * - `jsonSchema` describes the value on the wire, for documentation. Default: what the schema says
 *   itself (`~standard.jsonSchema`), otherwise anything.
 *
 * **Gotchas**
 *
 * A schema whose result it would refuse, such as zod's `z.string().transform(Number)`, serves for
 * values that only come in. Dates are strings on the wire: `z.coerce.date()` reads them, `z.date()`
 * does not.
 *
 * **Example** (A payload of zod)
 *
 * ```ts
 * import * as z from "zod"
 *
 * const Say = Event.make("say", {
 *   payload: Event.standard(z.object({ text: z.string().max(2_000), at: z.coerce.date() })),
 *   ack: Schema.Int
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard = <S extends StandardSchemaV1>(
  schema: S & (S extends { readonly async: true } ? MustBeSynchronous : unknown),
  options: { readonly jsonSchema?: JsonSchema.JsonSchema } = {}
): Standard<S> => standardCodec(schema, options.jsonSchema) as Standard<S>
