import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

import type { AnySchema } from "../Event.ts"
import { detailsOf, givenName, isDefault, PREFIX, representationOf, TOTAL, UNNAMED, viaOf } from "./wireNames.ts"

/**
 * The form of a value on the wire, as JSON. It is a JSON Schema with more keywords, for what
 * decoders do beyond it:
 *
 * - `x-checks`: checks that JSON Schema has no keyword for, as `{ is, with }`.
 * - `x-then`: the step after the form was found right: `{ via, schema }`, the name of a
 *   transformation, and the form of its results.
 * - `x-socket.io`: `"binary"` for bytes.
 * - `x-any`: `"json"` for any JSON, `"not null"` for anything but `null`.
 * - `x-opaque`: a form that this library does not understand.
 *
 * Without a keyword it is anything. Texts for people are not part of it.
 */
export interface WireNode {
  readonly [keyword: string]: unknown
}

export interface WireCheck {
  readonly is: string
  readonly with?: unknown
}

/** Larger contracts have no form: schemas without identifiers may contain each other many times. */
const MAX_NODES = 50_000

/** Makes the forms of schemas on the wire, which share their definitions. */
export class WireSchemas {
  private left = MAX_NODES

  /** The definitions, by the name in references `#/definitions/…`. */
  readonly definitions = new Map<string, WireNode>()
  /** The definition of a schema; `undefined` while it is made, until it refers to itself. */
  private readonly made = new Map<SchemaAST.AST, string | undefined>()

  node(schema: AnySchema): WireNode {
    return this.visit(schema.ast)
  }

  private visit(ast: SchemaAST.AST): WireNode {
    if (this.left-- <= 0) throw new Error("the contract is too large: give its schemas identifiers")
    if (ast._tag === "Suspend" && ast.encoding === undefined && ast.checks === undefined) return this.visit(ast.thunk())
    if (this.made.has(ast)) {
      const name = this.made.get(ast) ?? this.newName("Recursive")
      this.made.set(ast, name)
      return { $ref: `#/definitions/${name}` }
    }
    const identifier = SchemaAST.resolveIdentifier(ast)
    this.made.set(ast, identifier === undefined ? undefined : this.newName(identifier))
    const node = this.chain(ast, ast.encoding ?? [])
    let name = this.made.get(ast)
    if (name === undefined) {
      this.made.delete(ast)
      return node
    }
    // An optional field has a schema of its own, with the same identifier.
    const text = JSON.stringify(node)
    const twin = Array.from(this.definitions).find(([, other]) => identifier && JSON.stringify(other) === text)
    if (twin !== undefined) {
      this.names.delete(name)
      name = twin[0]
      this.made.set(ast, name)
    }
    this.definitions.set(name, node)
    return { $ref: `#/definitions/${name}` }
  }

  private readonly names = new Set<string>()

  private newName(text: string): string {
    const base = text.replaceAll(/[^\w.-]+/g, "_")
    let name = base
    for (let i = 2; this.names.has(name); i++) name = `${base}_${i}`
    this.names.add(name)
    return name
  }

  /** The form of a schema, whose last encoding is that on the wire. */
  private chain(ast: SchemaAST.AST, encoding: ReadonlyArray<SchemaAST.Link>): WireNode {
    const last = encoding.at(-1)
    if (last === undefined) return this.plain(ast)
    const earlier = encoding.slice(0, -1)
    const { to, transformation } = last
    if (transformation._tag === "Middleware") {
      return { "x-opaque": "middleware", anyOf: [this.visit(to), this.chain(ast, earlier)] }
    }
    // A missing value becomes the default, and others stay as they are.
    if (isDefault(transformation)) {
      const node = this.chain(ast, earlier)
      return after(isNullable(to) ? { anyOf: [node, { type: "null" }] } : node, "default", {}, hasUnion(node))
    }
    // An instance of a class is made of its fields.
    const isClass = earlier.length === 0 && isMadeOf(ast, to)
    if (isClass) return after(this.visit(to), "class", this.checked({}, ast.checks))
    return { ...after(this.visit(to), viaOf(transformation, ast), this.chain(ast, earlier), true) }
  }

  private plain(ast: SchemaAST.AST): WireNode {
    const { checks } = ast
    switch (ast._tag) {
      case "Declaration":
        return this.declaration(ast)
      case "Null":
      case "Undefined":
      case "Void":
        return this.checked({ type: "null" }, checks)
      case "Never":
        return { not: {} }
      case "Any":
        return this.checked({}, checks)
      case "Unknown":
        return this.checked({ "x-any": "json" }, checks)
      case "ObjectKeyword":
        return this.checked({ "x-opaque": "object" }, checks)
      case "String":
        return this.checked({ type: "string" }, checks)
      case "Number": {
        const number = this.checked({ type: "number" }, checks)
        if (isFinite(checks)) return number
        const form = { anyOf: [{ type: "number" }, { enum: ["-Infinity", "Infinity", "NaN"] }] }
        return checks === undefined ? form : after(form, "number", number)
      }
      case "Boolean":
        return this.checked({ type: "boolean" }, checks)
      case "BigInt":
      case "Symbol":
        return after({ type: "string" }, ast._tag, this.checked({}, checks), true)
      case "UniqueSymbol":
        return this.checked({ "x-opaque": "symbol", with: String(ast.symbol) }, checks)
      case "Literal":
        return this.checked({ enum: [typeof ast.literal === "bigint" ? String(ast.literal) : ast.literal] }, checks)
      case "Enum":
        return this.checked({ enum: sorted(ast.enums.map(([, value]) => value)) }, checks)
      case "TemplateLiteral": {
        const parts = ast.parts.map((part) => this.visit(part))
        return this.checked({ type: "string", "x-checks": [{ is: "template", with: parts }] }, checks)
      }
      case "Suspend":
        return this.checked(this.visit(ast.thunk()), checks)
      case "Arrays":
        return this.checked(this.arrays(ast), checks, ast.encodingChecks)
      case "Objects":
        return this.checked(this.objects(ast), checks, ast.encodingChecks)
      case "Union":
        return this.checked(this.union(ast), checks, ast.encodingChecks)
    }
  }

  private declaration(ast: SchemaAST.Declaration): WireNode {
    const { annotations, checks } = ast
    if (annotations?.["x-socket.io"] === "binary") return this.checked({ "x-socket.io": "binary" }, checks)
    const id = representationOf(annotations)?.id
    if (id === `${PREFIX}Json` || id === `${PREFIX}MutableJson`) return this.checked({ "x-any": "json" }, checks)
    const via = id ?? `custom ${SchemaAST.resolveIdentifier(ast) ?? UNNAMED}`
    const then = this.checked({}, checks)
    const getLink = annotations?.["toCodecJson"] ?? annotations?.["toCodec"]
    if (typeof getLink !== "function") return after({ "x-any": "json" }, via, then, true)
    // With its parameters as they are, so that their own checks and transformations are seen.
    const link: SchemaAST.Link | undefined = getLink(ast.typeParameters.map((parameter) => Schema.make(parameter)))
    // Such as the schemas of other libraries, which may describe themselves in a check.
    if (link === undefined) return this.checked({ "x-opaque": via }, checks)
    const node = this.visit(link.to)
    return after(node, via, then, !TOTAL.has(via) || ast.typeParameters.some((ast) => hasUnion(this.visit(ast))))
  }

  private arrays({ elements, rest }: SchemaAST.Arrays): WireNode {
    const nodes = elements.map((element) => this.visit(element))
    const minItems = elements.filter((element) => !isOptional(element)).length
    const [first, ...tail] = rest.map((each) => this.visit(each))
    if (tail.length > 0) return { "x-opaque": "tail", prefixItems: nodes, items: [first, ...tail] }
    return {
      type: "array",
      ...(nodes.length > 0 ? { prefixItems: nodes } : {}),
      ...(minItems > 0 ? { minItems } : {}),
      ...(first === undefined ? { maxItems: nodes.length } : { items: first })
    }
  }

  private objects({ indexSignatures, propertySignatures }: SchemaAST.Objects): WireNode {
    if (propertySignatures.length === 0 && indexSignatures.length === 0) return { "x-any": "not null" }
    const properties: Array<[string, WireNode]> = propertySignatures.map(({ name, type }) => [
      String(name),
      this.visit(type)
    ])
    const required = propertySignatures.flatMap(({ name, type }) => (isOptional(type) ? [] : [String(name)]))
    const form = {
      type: "object",
      ...(properties.length > 0 ? { properties: Object.fromEntries(properties) } : {}),
      ...(required.length > 0 ? { required: required.toSorted() } : {})
    }
    if (indexSignatures.length === 0) return form
    const [first, ...others] = indexSignatures.map(({ parameter, type }) => ({
      key: parameter,
      value: this.visit(type)
    }))
    if (others.length === 0 && isPlainString(first!.key)) return { ...form, additionalProperties: first!.value }
    const indexes = indexSignatures.map(({ parameter, type }) => [this.visit(parameter), this.visit(type)])
    return { ...form, "x-opaque": "index signatures", with: indexes }
  }

  private union({ options, types }: SchemaAST.Union): WireNode {
    const literals: Array<unknown> = []
    const members: Array<WireNode> = []
    for (const type of types) {
      const member = this.visit(type)
      const keys = Object.keys(member)
      if (Array.isArray(member["enum"]) && keys.length === 1) literals.push(...member["enum"])
      else if (Array.isArray(member["anyOf"]) && keys.length === 1) members.push(...member["anyOf"])
      else members.push(member)
    }
    const all = literals.length > 0 ? [{ enum: sorted(literals) }, ...members] : members
    if (options?.mode === "oneOf") return { "x-opaque": "oneOf", anyOf: all }
    if (all.length === 0) return { not: {} }
    return all.length === 1 ? all[0]! : { anyOf: all }
  }

  private checked(node: WireNode, ...checks: ReadonlyArray<SchemaAST.Checks | undefined>): WireNode {
    const filters = checks.flatMap((checks) => flat(checks ?? []))
    if (filters.length === 0) return node
    if ("$ref" in node) return after(node, "check", this.checked({}, ...checks))
    const keywords: Record<string, unknown> = { ...node }
    const others = [...((node["x-checks"] ?? []) as ReadonlyArray<WireCheck>)]
    for (const { annotations } of filters) {
      const representation = representationOf(annotations)
      const id = representation?.id.startsWith(PREFIX) ? representation.id.slice(PREFIX.length) : representation?.id
      if (id !== undefined && understand(keywords, id, representation!.payload)) continue
      const given = representation?.schemas?.map((schema) => this.visit(SchemaAST.toType(schema.ast)))
      const details = given === undefined ? detailsOf(annotations) : [representation!.payload, given]
      const is = id ?? `custom ${givenName(annotations) ?? UNNAMED}`
      others.push(details === undefined || details === null ? { is } : { is, with: details })
    }
    if (others.length > 0) keywords["x-checks"] = others
    return keywords
  }
}

/** The form, and the step after it, if there is one. */
const after = (node: WireNode, via: string, schema: WireNode, always = false): WireNode => {
  if (!always && Object.keys(schema).length === 0) return node
  const then = { via, schema }
  // A form that is followed by something already, or is shared, stays as it is.
  return "x-then" in node || "$ref" in node ? { anyOf: [node], "x-then": then } : { ...node, "x-then": then }
}

/** Whether a form may have a union, so that its values are read twice in ways that may differ. */
const hasUnion = (node: unknown): boolean =>
  typeof node === "object" &&
  node !== null &&
  ("anyOf" in node || "$ref" in node || Object.values(node).some((part) => hasUnion(part)))

const flat = (checks: ReadonlyArray<SchemaAST.Check<any>>): ReadonlyArray<SchemaAST.Filter<any>> =>
  checks.flatMap((check) => (check._tag === "FilterGroup" ? flat(check.checks) : [check]))

const isFinite = (checks: SchemaAST.Checks | undefined): boolean =>
  flat(checks ?? []).some(({ annotations }) =>
    [`${PREFIX}isFinite`, `${PREFIX}isInt`].includes(representationOf(annotations)?.id ?? "")
  )

const lastOf = (ast: SchemaAST.AST): SchemaAST.AST => {
  const last = ast.encoding?.at(-1)
  return last === undefined ? ast : lastOf(last.to)
}

const isOptional = (ast: SchemaAST.AST): boolean => lastOf(ast).context?.isOptional ?? false

/** Whether a schema takes `undefined`, which is `null` on the wire. */
const isNullable = (ast: SchemaAST.AST): boolean => {
  const last = lastOf(ast)
  if (last._tag === "Union") return last.types.some(isNullable)
  return last._tag === "Undefined" || last._tag === "Void" || last._tag === "Null"
}

/** Whether a schema is that of a class, with the fields in this form. */
const isMadeOf = (ast: SchemaAST.AST, fields: SchemaAST.AST): boolean =>
  ast._tag === "Declaration" &&
  typeof ast.annotations?.["~constructor"] === "function" &&
  ast.typeParameters[0] === fields

const isPlainString = (ast: SchemaAST.AST): boolean =>
  ast._tag === "String" && ast.checks === undefined && ast.encoding === undefined

const sorted = (values: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  Array.from(new Set(values)).toSorted((one, two) => {
    const [a, b] = [JSON.stringify(one), JSON.stringify(two)]
    return a < b ? -1 : a > b ? 1 : 0
  })

/** Adds a check as keywords of JSON Schema. Returns whether it has one. */
const understand = (keywords: Record<string, unknown>, id: string, payload: unknown): boolean => {
  const { type } = keywords
  const given = (payload ?? {}) as Readonly<Record<string, any>>
  const least = (key: string, value: number) => {
    keywords[key] = Math.max(value, (keywords[key] ?? value) as number)
    return true
  }
  const most = (key: string, value: number) => {
    keywords[key] = Math.min(value, (keywords[key] ?? value) as number)
    return true
  }
  if (type === "string" || type === "array") {
    const [min, max] = type === "string" ? ["minLength", "maxLength"] : ["minItems", "maxItems"]
    if (id === "isMinLength") return least(min!, given["minLength"])
    if (id === "isMaxLength") return most(max!, given["maxLength"])
    if (id === "isBetweenLength") return least(min!, given["minimum"]) && most(max!, given["maximum"])
  }
  if (type === "string" && id === "isPattern" && given["flags"] === "" && keywords["pattern"] === undefined) {
    keywords["pattern"] = given["source"]
    return true
  }
  if (type === "number" || type === "integer") {
    switch (id) {
      case "isFinite":
        return true
      case "isInt":
        keywords["type"] = "integer"
        return true
      case "isGreaterThan":
        return least("exclusiveMinimum", given["exclusiveMinimum"])
      case "isGreaterThanOrEqualTo":
        return least("minimum", given["minimum"])
      case "isLessThan":
        return most("exclusiveMaximum", given["exclusiveMaximum"])
      case "isLessThanOrEqualTo":
        return most("maximum", given["maximum"])
      case "isBetween":
        return (
          least(given["exclusiveMinimum"] === true ? "exclusiveMinimum" : "minimum", given["minimum"]) &&
          most(given["exclusiveMaximum"] === true ? "exclusiveMaximum" : "maximum", given["maximum"])
        )
      case "isMultipleOf":
        if (keywords["multipleOf"] !== undefined) return false
        keywords["multipleOf"] = given["divisor"]
        return true
    }
  }
  return false
}
