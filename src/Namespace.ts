/**
 * A namespace's contract: the events of each direction, and the conditions under which clients may
 * connect.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

import type * as Event from "./Event.ts"
import { undeclaredAuth } from "./internal/compileContract.ts"
import { checkConcurrency } from "./internal/declarationChecks.ts"
import { type AnyOptions, type ContractFields, defaults, makeContract, withEvents } from "./internal/makeContract.ts"
import { mergeContracts } from "./internal/mergeContracts.ts"
import { compilePattern, matchPattern } from "./internal/namespacePattern.ts"
import type { Declared, Mergeable, Namespace, TypeId, Untyped } from "./NamespaceContract.ts"
import { checkName, type ParameterNames, type ParameterSchema } from "./NamespaceName.ts"
import type { AuthOptions, Options } from "./NamespaceOptions.ts"

export type {
  Handler,
  HandlerArguments,
  HandlerError,
  HandlerResult,
  Handlers,
  HandlersServices,
  HandlerValue,
  NotAClientToServerEvent,
  OnlyDeclared
} from "./EventHandler.ts"

export {
  type Any,
  type AnyUntyped,
  type ClientEvents,
  type ClientToServer,
  type Data,
  type Declarations,
  type Declared,
  type Dynamic,
  isNamespace,
  type Mergeable,
  type Middleware,
  type Namespace,
  type NoDeclarations,
  type Params,
  type ServerEvents,
  type ServerToClient,
  type ServerToServer,
  type Static,
  TypeId,
  type Untyped
} from "./NamespaceContract.ts"

export { checkName, type ParameterNames, type ParameterSchema } from "./NamespaceName.ts"

export type { AuthOptions, DocumentationOptions, EventOptions, Options } from "./NamespaceOptions.ts"

type TypesOf<F extends Event.Fields> = { readonly [K in keyof F]: F[K]["Type"] }

type EncodedOf<F extends Event.Fields> = { readonly [K in keyof F]: F[K]["Encoded"] }

/**
 * Declares a namespace. Its name starts with `/` and has no comma; `/` is the default namespace.
 *
 * Throws on a malformed name, two events of one name in one direction, or a `concurrency` that is
 * not a positive integer: a contract is a constant of the program.
 *
 * **Details**
 *
 * Contracts compose: `add` adds events, {@link merge} those of another contract, `middleware` a
 * condition for connecting, `annotate` adds a value for tools. Each returns a new contract.
 *
 * **Gotchas**
 *
 * The direction counts. An event that both sides send must be in both lists. Only `clientToServer`
 * events need handlers.
 *
 * **Example** (A chat for signed-in clients)
 *
 * ```ts
 * const Say = Event.make("say", { payload: { text: Schema.NonEmptyString } })
 * const Said = Event.make("said", { payload: { from: Schema.String, text: Schema.String } })
 *
 * class Chat extends Namespace.make("/chat", { clientToServer: [Say], serverToClient: [Said] })
 *   .middleware(Authentication) {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <
  const Name extends string,
  Auth extends Event.AnySchema = Schema.Unknown,
  const C2S extends ReadonlyArray<Event.Any> = readonly [],
  const S2C extends ReadonlyArray<Event.Any> = readonly [],
  const S2S extends ReadonlyArray<Event.Any> = readonly [],
  D extends Event.Fields = {}
>(
  name: Name,
  options: Options<Auth, C2S, S2C, S2S, D> = {}
): Namespace<
  Name,
  NoInfer<Auth>,
  C2S[number],
  S2C[number],
  never,
  {
    readonly serverToServer: S2S[number]
    readonly data: TypesOf<D>
    readonly encodedData: EncodedOf<D>
    readonly params: never
  }
> => declare(name, options, {})

/**
 * Declares dynamic namespaces: those whose names match a pattern. They open when clients ask for
 * them.
 *
 * Throws as {@link make} does, and on a pattern without parameters, a pattern with the same
 * parameter twice, or a schema for a parameter that is not in it.
 *
 * **Details**
 *
 * `:name` in the pattern stands for a parameter. It is at least one character long and ends at the
 * next `/`, or where the text after it begins. `params` are the schemas of the parameters, which
 * decode a string from the name; a parameter without a schema is a string.
 *
 * **Gotchas**
 *
 * A name does not match if a parameter does not decode, or is written in another form than its
 * encoded one (`07` for 7). Names of more than 256 characters never match.
 *
 * **Example** (A namespace for every document)
 *
 * ```ts
 * class Document extends Namespace.dynamic("/document/:id", {
 *   params: { id: Schema.FiniteFromString },
 *   clientToServer: [Edit],
 *   serverToClient: [Edited]
 * }) {}
 *
 * // The client of one of them:
 * SocketIoClient.connect(Document, { params: { id: 7 } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const dynamic = <
  const Pattern extends string,
  Auth extends Event.AnySchema = Schema.Unknown,
  const C2S extends ReadonlyArray<Event.Any> = readonly [],
  const S2C extends ReadonlyArray<Event.Any> = readonly [],
  const S2S extends ReadonlyArray<Event.Any> = readonly [],
  D extends Event.Fields = {},
  P extends { readonly [K in ParameterNames<Pattern>]?: ParameterSchema } = {}
>(
  pattern: Pattern,
  options: Options<Auth, C2S, S2C, S2S, D> & { readonly params?: P } = {}
): Namespace<
  Pattern,
  NoInfer<Auth>,
  C2S[number],
  S2C[number],
  never,
  {
    readonly serverToServer: S2S[number]
    readonly data: TypesOf<D>
    readonly encodedData: EncodedOf<D>
    // Written out, and again below: compiler messages show it, and would show the name of an alias.
    readonly params: {
      readonly [K in ParameterNames<Pattern>]: K extends keyof P
        ? P[K] extends ParameterSchema
          ? P[K]["Type"]
          : string
        : string
    }
  }
> => declareDynamic(pattern, options, options.params, false)

/**
 * Declares a namespace without declaring its events: any name, any arguments, any acknowledgement.
 *
 * Throws on a malformed name.
 *
 * **Details**
 *
 * `emit` and handlers take the arguments of the packet, each of them `unknown`; `emitWithAck`
 * yields the arguments of the acknowledgement. `auth` and `middleware` decide on CONNECT as in any
 * contract. Events without a handler, and events whose handler fails, are not acknowledged: clients
 * of plain Socket.IO expect only the answers of handlers.
 *
 * **Gotchas**
 *
 * Nothing is validated: check arguments before you use them. `add` and {@link merge} take none.
 * Use {@link make} for a namespace with declared events.
 *
 * **Example** (An echo for signed-in clients)
 *
 * ```ts
 * class Echo extends Namespace.untyped("/echo", { auth: Schema.Struct({ token: Schema.String }) })
 *   .middleware(Authentication) {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const untyped = <const Name extends string, Auth extends Event.AnySchema = Schema.Unknown>(
  name: Name,
  options: AuthOptions<Auth> = {}
): Untyped<Name, NoInfer<Auth>, never> => declare(name, options, { untyped: true })

/**
 * Declares dynamic namespaces without declaring their events. Their names match a pattern, as in
 * {@link dynamic}, or a regular expression. Events are those of {@link untyped}.
 *
 * Throws as {@link dynamic} does, and on a regular expression with flag `g` or `y`, because these
 * have a state.
 *
 * **Gotchas**
 *
 * A regular expression has no parameters, and cannot make a name: a client connects to
 * `Namespace.untyped("/the-name")`. Names of more than 256 characters never match.
 *
 * **Example** (Rooms as namespaces)
 *
 * ```ts
 * class Room extends Namespace.untypedDynamic("/room/:id") {}
 * class Numbered extends Namespace.untypedDynamic(/^\/room-\d+$/) {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const untypedDynamic: {
  /** Declares dynamic namespaces whose names match a regular expression, without their events. */
  <Auth extends Event.AnySchema = Schema.Unknown>(
    pattern: RegExp,
    options?: AuthOptions<Auth>
  ): Untyped<string, NoInfer<Auth>, never, {}>
  /** Declares dynamic namespaces whose names match a pattern, without their events. */
  <
    const Pattern extends string,
    Auth extends Event.AnySchema = Schema.Unknown,
    P extends { readonly [K in ParameterNames<Pattern>]?: ParameterSchema } = {}
  >(
    pattern: Pattern,
    options?: AuthOptions<Auth> & { readonly params?: P }
  ): Untyped<
    Pattern,
    NoInfer<Auth>,
    never,
    {
      readonly [K in ParameterNames<Pattern>]: K extends keyof P
        ? P[K] extends ParameterSchema
          ? P[K]["Type"]
          : string
        : string
    }
  >
} = (
  pattern: string | RegExp,
  options: AuthOptions<Event.AnySchema> & { readonly params?: Event.Fields } = {}
): any => {
  // The overloads say what it is: nothing here knows which of them was called.
  if (typeof pattern === "string") return declareDynamic(pattern, options, options.params, true)
  if (pattern.global || pattern.sticky) throw new Error("stateful regular expressions are not supported")
  return makeContract({
    ...defaults,
    _tag: String(pattern),
    ...documented(options),
    params: {},
    pattern: matchPattern(pattern),
    untyped: true
  })
}

/**
 * Gives the first contract with the events, the data, the middlewares and the annotations of the
 * other one. The name, the parameters, `auth`, `concurrency` and the documentation stay those of
 * the first.
 *
 * Throws if both declare different events, or different data, of one name, and if the other one
 * declares an `auth` or a `concurrency` that the first does not: nothing is lost silently. A
 * middleware of both runs once.
 *
 * **Example** (A chat in which members vote)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { Event, Namespace } from "effect-socket.io"
 *
 * const Talk = Namespace.make("/chat", { clientToServer: [Event.make("say", { payload: Schema.String })] })
 * const Voting = Namespace.make("/voting", { clientToServer: [Event.make("vote", { payload: Schema.Boolean })] })
 *
 * class Chat extends Namespace.merge(Talk, Voting) {}
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = <Self extends Declared, Other extends Mergeable>(
  self: Self,
  other: Other
): Namespace<
  Self["_tag"],
  Self["auth"],
  Self[typeof TypeId]["clientToServer"] | Other[typeof TypeId]["clientToServer"],
  Self[typeof TypeId]["serverToClient"] | Other[typeof TypeId]["serverToClient"],
  Self[typeof TypeId]["middleware"] | Other[typeof TypeId]["middleware"],
  {
    readonly serverToServer: Self[typeof TypeId]["serverToServer"] | Other[typeof TypeId]["serverToServer"]
    readonly data: Self[typeof TypeId]["data"] & Other[typeof TypeId]["data"]
    readonly encodedData: Self[typeof TypeId]["encodedData"] & Other[typeof TypeId]["encodedData"]
    readonly params: Self[typeof TypeId]["params"]
  }
> =>
  // The declared types of contracts tell fewer of their fields than they have.
  mergeContracts(self as never, other as never)

const documented = (options: AuthOptions<Event.AnySchema>) => ({
  auth: options.auth ?? undeclaredAuth,
  description: options.description,
  deprecated: options.deprecated ?? false,
  examples: options.examples ?? []
})

/** Makes a contract. Its type depends on its declarations: only the public functions can say it. */
const declare = (name: string, options: AnyOptions, more: Partial<ContractFields>): any => {
  checkName(name)
  checkConcurrency(`namespace "${name}"`, options.concurrency)
  return makeContract({
    ...withEvents({ ...defaults, _tag: name }, options),
    ...documented(options),
    data: options.data ?? {},
    concurrency: options.concurrency,
    ...more
  })
}

/** Makes a contract of a pattern. As for `declare`, only the public functions can say its type. */
const declareDynamic = (
  name: string,
  options: AnyOptions,
  schemas: { readonly [key: string]: Event.AnySchema | undefined } = {},
  isUntyped: boolean
): any => {
  const pattern = compilePattern(name)
  const { parameters } = pattern
  if (parameters.length === 0) throw new Error(`the pattern "${name}" has no parameter`)
  const unknown = Object.keys(schemas).find((parameter) => !parameters.includes(parameter))
  if (unknown !== undefined) throw new Error(`the pattern "${name}" has no parameter "${unknown}"`)
  const params = Object.fromEntries(parameters.map((parameter) => [parameter, schemas[parameter] ?? Schema.String]))
  return declare(name, options, { params, pattern, untyped: isUntyped })
}
