import type * as Once from "../Once.ts"

/** The type of the options `once` as they are given, with no other keys; `unknown` without any. */
export type Given<O> = O & { readonly [K in Exclude<keyof O, keyof Once.Options>]: NoOption<K> }

/** Appears in an error message where `once` has an option that does not exist. */
interface NoOption<Name> {
  readonly "once has no option": Name
}

/** The option `once` of an event, from what was given. */
export type OnceOf<O> = unknown extends O ? undefined : O extends Once.Options ? O : Once.Options
