/**
 * The names of namespaces, and the parameters in those of dynamic ones.
 *
 * Users meet all of it as a part of `Namespace`.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"

/**
 * The schema of a parameter, which is a string in the namespace's name.
 *
 * @since 0.1.0
 * @category models
 */
export type ParameterSchema = Schema.Codec<any, string, never, never>

/**
 * The names of a pattern's parameters.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ParameterNames<Pattern extends string> = Pattern extends `${string}:${infer Rest}`
  ? TakeName<Rest> extends infer Name extends string
    ? Name | ParameterNames<Rest>
    : never
  : never

type TakeName<S extends string, Name extends string = ""> = S extends `${infer C}${infer Rest}`
  ? C extends Punctuation
    ? Name
    : TakeName<Rest, `${Name}${C}`>
  : Name

/** The characters that end a parameter's name. */
type Punctuation =
  | "/"
  | "-"
  | "."
  | ":"
  | "~"
  | "@"
  | "+"
  | "!"
  | "$"
  | "&"
  | "'"
  | "("
  | ")"
  | "*"
  | ";"
  | "="
  | "%"
  | "|"
  | "#"

/**
 * Checks a namespace's name. Throws an error that describes the problem.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkName = (name: string): void => {
  if (!/^\/[^,]*$/.test(name)) {
    throw new Error(`a namespace's name starts with "/" and has no comma, unlike "${name}"`)
  }
}
