import * as Schema from "effect/Schema"

import { TypeId } from "../SocketIoError.ts"

const fields = { message: Schema.String, data: Schema.optionalKey(Schema.Unknown) }

/**
 * The base of the refusals that an application makes: `Schema.TaggedError` with `message` and
 * `data`, without a stack trace.
 */
export const TaggedRefusal =
  <Self>() =>
  <const Tag extends string>(tag: Tag) => {
    const Base = Schema.TaggedError<Self, { readonly [TypeId]: true }>()(tag, fields)
    // Untyped, as `Self` is not known here, and a class cannot extend what depends on it.
    const Untyped: new (...args: ReadonlyArray<any>) => object = Base as never
    class Refusal extends Untyped {
      constructor(...args: ReadonlyArray<any>) {
        const { stackTraceLimit } = Error
        // A refusal is no bug, and clients can cause any number of them. The stack would be a
        // quarter of its cost.
        Error.stackTraceLimit = 0
        try {
          super(...args)
        } finally {
          Error.stackTraceLimit = stackTraceLimit
        }
      }

      get [TypeId](): true {
        return true
      }
    }
    // It adds no member to the base, so it has the same type.
    return Refusal as unknown as typeof Base
  }
