import * as Context from "effect/Context"
import { pipeArguments } from "effect/Pipeable"

import type * as Event from "../Event.ts"
import { TypeId } from "../NamespaceContract.ts"
import type * as NamespaceMiddleware from "../NamespaceMiddleware.ts"
import type { Options } from "../NamespaceOptions.ts"
import { makeClientContract } from "./clientWire.ts"
import { type Compile, type Declaration, undeclaredAuth } from "./compileContract.ts"

/** The fields of a contract that are values. */
export interface ContractFields extends Declaration {
  readonly description: string | undefined
  readonly deprecated: boolean
  readonly examples: ReadonlyArray<unknown>
  readonly annotations: Context.Context<never>
}

export type AnyOptions = Options<
  Event.AnySchema,
  ReadonlyArray<Event.Any>,
  ReadonlyArray<Event.Any>,
  ReadonlyArray<Event.Any>,
  Event.Fields
>

type Direction = "clientToServer" | "serverToClient" | "serverToServer"

export const eachDirection = (events: (direction: Direction) => ReadonlyMap<string, Event.Any>) => ({
  clientToServer: events("clientToServer"),
  serverToClient: events("serverToClient"),
  serverToServer: events("serverToServer")
})

/** The fields of a contract that declares nothing. */
export const defaults: Omit<ContractFields, "_tag"> = {
  auth: undeclaredAuth,
  ...eachDirection(() => new Map()),
  data: {},
  params: undefined,
  pattern: undefined,
  middlewares: [],
  concurrency: undefined,
  description: undefined,
  deprecated: false,
  examples: [],
  annotations: Context.empty(),
  untyped: false
}

/**
 * Makes a contract of its fields. Each method makes another one, of changed fields. Its type
 * depends on the declarations of the fields, which are not known here.
 */
export const makeContract = (fields: ContractFields): any => {
  const made = new Map<Compile<unknown>, unknown>()
  const compiled = (compile: Compile<unknown>) => {
    if (!made.has(compile)) made.set(compile, compile(fields))
    return made.get(compile)
  }
  const derive = (changes: Partial<ContractFields>) => makeContract({ ...fields, ...changes })
  const annotateMerge = (annotations: Context.Context<never>) =>
    derive({ annotations: Context.merge(fields.annotations, annotations) })
  // A class, so that contracts can extend it: statics are inherited.
  return Object.assign(class {}, fields, {
    [TypeId]: TypeId,
    compiled,
    forClient: () => compiled(makeClientContract),
    pipe() {
      return pipeArguments(this, arguments)
    },
    middleware: (middleware: NamespaceMiddleware.AnyService) =>
      derive({ ...withRefresh(fields, middleware), middlewares: [...fields.middlewares, middleware] }),
    add: (events: AnyOptions) => derive(withEvents(fields, events)),
    annotate: (key: Context.Key<any, any>, value: unknown) => annotateMerge(Context.make(key, value)),
    annotateMerge,
    of: (handlers: unknown) => handlers
  })
}

/**
 * The entries of both; `onTwice` is told of a name that is in both, and whether its values differ.
 */
export const union = <A>(
  one: Iterable<readonly [string, A]>,
  two: Iterable<readonly [string, A]>,
  onTwice: (name: string, differs: boolean) => void
): ReadonlyMap<string, A> => {
  const all = new Map(one)
  for (const [name, value] of two) {
    if (all.has(name)) onTwice(name, all.get(name) !== value)
    all.set(name, value)
  }
  return all
}

/** The fields with more events. Throws on two events of one name in one direction. */
export const withEvents = (fields: ContractFields, events: AnyOptions): ContractFields => ({
  ...fields,
  ...eachDirection((direction) =>
    union(
      fields[direction],
      (events[direction] ?? []).map((event) => [event._tag, event]),
      (name) => {
        throw new Error(`namespace "${fields._tag}" declares the event "${name}" twice`)
      }
    )
  )
})

/** The fields with the events of a middleware. A contract that declares no events stays so. */
const withRefresh = (fields: ContractFields, { refresh }: NamespaceMiddleware.AnyService): ContractFields =>
  refresh === undefined || fields.untyped
    ? fields
    : withEvents(fields, { clientToServer: [refresh.request], serverToClient: [refresh.notice] })
