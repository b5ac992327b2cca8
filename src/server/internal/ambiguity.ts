import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

import type * as Event from "../../Event.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"

/** The values of clients whose schemas have an ambiguous union; see {@link isAmbiguous}. */
export const ambiguities = ({ contract }: CompiledContract): ReadonlyArray<string> => {
  const found: Array<string> = []
  const check = (what: string, schema: Event.AnySchema) => {
    if (isAmbiguous(schema)) found.push(what)
  }
  check("the auth payload", contract.auth)
  for (const { auth } of contract.middlewares) check("the auth payload of a middleware", auth)
  for (const { _tag, payload } of contract.clientToServer.values()) check(`the payload of "${_tag}"`, payload)
  for (const { _tag, ack, error } of contract.serverToClient.values()) {
    check(`the acknowledgement of "${_tag}"`, ack)
    check(`the failure of "${_tag}"`, error)
  }
  return found
}

/**
 * Whether a schema has a union that contains itself through several members that accept the same
 * value.
 *
 * A value that fits none of them at its innermost level makes the decoder try all of them at every
 * level: the time doubles with each. The decoder distinguishes members before it tries them, by
 * their kind (array or object), or by a literal of the same field. A field with one of several
 * literals distinguishes them, too, if it is decoded before the field that contains the union.
 */
export const isAmbiguous = (schema: Event.AnySchema): boolean => {
  const nodes = reachable(SchemaAST.toEncoded(Schema.toCodecJson(schema).ast), new Set())
  for (const node of nodes) if (node._tag === "Union" && isAmbiguousUnion(node)) return true
  return false
}

type Container = SchemaAST.Objects | SchemaAST.Arrays

const isAmbiguousUnion = (union: SchemaAST.Union): boolean => {
  const members = Array.from(containers(union, new Set(), new Set())).filter((member) => contains(member, union))
  return members.some((one, i) => members.slice(i + 1).some((other) => !areApart(one, other, union)))
}

/** The nodes of which a node is made. */
const parts = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> => {
  switch (ast._tag) {
    case "Arrays":
      return [...ast.elements, ...ast.rest]
    case "Objects":
      return [...ast.propertySignatures.map(({ type }) => type), ...ast.indexSignatures.map(({ type }) => type)]
    case "Union":
      return ast.types
    case "Suspend":
      return [ast.thunk()]
    default:
      return []
  }
}

/** A node, and all nodes of which it is made. */
const reachable = (ast: SchemaAST.AST, seen: Set<SchemaAST.AST>): Set<SchemaAST.AST> => {
  const waiting = [ast]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue
    seen.add(next)
    waiting.push(...parts(next))
  }
  return seen
}

/** Whether a node is made of another, at any depth. */
const contains = (ast: SchemaAST.AST, other: SchemaAST.AST): boolean => reachable(ast, new Set()).has(other)

/** The members of a union that hold other values, with those of the unions in it. */
const containers = (ast: SchemaAST.AST, found: Set<Container>, seen: Set<SchemaAST.AST>): Set<Container> => {
  if (seen.has(ast)) return found
  seen.add(ast)
  if (ast._tag === "Objects" || ast._tag === "Arrays") found.add(ast)
  else if (ast._tag === "Union" || ast._tag === "Suspend") {
    for (const part of parts(ast)) containers(part, found, seen)
  }
  return found
}

/** Whether no value makes a union try the contents of both members. */
const areApart = (one: Container, other: Container, union: SchemaAST.Union): boolean => {
  if (one._tag !== other._tag) return true
  const theirs = discriminators(other, union)
  for (const [key, mine] of discriminators(one, union)) {
    const its = theirs.get(key)
    if (its === undefined || [...mine.literals].some((literal) => its.literals.has(literal))) continue
    if (mine.literals.size === 1 && its.literals.size === 1) return true
    if (mine.isEarly && its.isEarly) return true
  }
  return false
}

interface Discriminator {
  readonly literals: Set<SchemaAST.LiteralValue>
  /** Whether it is decoded before the field that contains the union. */
  readonly isEarly: boolean
}

/** The fields of a member that have to be literals. */
const discriminators = (member: Container, union: SchemaAST.Union): Map<PropertyKey, Discriminator> => {
  const found = new Map<PropertyKey, Discriminator>()
  const fields: ReadonlyArray<readonly [PropertyKey, SchemaAST.AST]> =
    member._tag === "Objects"
      ? member.propertySignatures.map(({ name, type }) => [name, type])
      : member.elements.map((element, i) => [i, element])
  let isEarly = true
  for (const [key, type] of fields) {
    const literals = SchemaAST.isOptional(type) ? undefined : literalsOf(type)
    if (literals !== undefined) found.set(key, { literals, isEarly })
    if (isEarly && contains(type, union)) isEarly = false
  }
  return found
}

const literalsOf = (ast: SchemaAST.AST): Set<SchemaAST.LiteralValue> | undefined => {
  if (ast._tag === "Literal") return new Set([ast.literal])
  if (ast._tag !== "Union") return undefined
  const literals = new Set<SchemaAST.LiteralValue>()
  for (const type of ast.types) {
    if (type._tag !== "Literal") return undefined
    literals.add(type.literal)
  }
  return literals
}
