import { UNNAMED } from "./wireNames.ts"
import type { WireNode } from "./wireSchema.ts"

/**
 * A reason for which values of one form (the producer's) are not all taken by another one (the
 * acceptor's), or may not be.
 *
 * - `required`: the acceptor needs a field that the producer does not know.
 * - `optional`: the acceptor needs a field that the producer may leave out.
 * - `absent`: the acceptor has an optional field that the producer does not know. It does no harm.
 * - `member`: the acceptor lacks a member of a union.
 * - `bound`: the acceptor's bound is tighter.
 * - `type`: the types differ.
 * - `unknown`: this library cannot tell.
 */
export interface Finding {
  readonly kind: "required" | "optional" | "absent" | "member" | "bound" | "type" | "unknown"
  /** `breaking`: there is a value that the acceptor refuses; `risky`: there may be one. */
  readonly level: "breaking" | "risky" | "none"
  readonly path: string
  /** The part that differs. */
  readonly what: string
  readonly producer: string
  readonly acceptor: string
}

export type Kind = "null" | "boolean" | "string" | "number" | "array" | "object" | "binary"

export const kindOf = (value: unknown): Kind => (value === null ? "null" : (typeof value as Kind))

export const textOf = (value: unknown): string => (value === undefined ? "none" : JSON.stringify(value))

export const isHarmful = ({ level }: Finding): boolean => level !== "none"

export const below = (path: string, findings: ReadonlyArray<Finding>): ReadonlyArray<Finding> =>
  findings.map((finding) => ({ ...finding, path: path + finding.path }))

export const keyPath = (name: string): string => (/^[\w$]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`)

export const propertiesOf = (node: WireNode): ReadonlyMap<string, WireNode> =>
  new Map(Object.entries((node["properties"] ?? {}) as Readonly<Record<string, WireNode>>))

export const requiredOf = (node: WireNode): ReadonlySet<string> =>
  new Set((node["required"] ?? []) as ReadonlyArray<string>)

export const isAny = (node: WireNode): boolean => "x-any" in node || Object.keys(formOf(node)).length === 0

export const hasNull = (node: WireNode): boolean => Array.isArray(node["enum"]) && node["enum"].includes(null)

/** The kinds of values of a form that is no union; `undefined` if they are not known. */
export const kindsOf = (node: WireNode): ReadonlySet<Kind> | undefined => {
  if ("x-socket.io" in node) return new Set(["binary"])
  if (Array.isArray(node["enum"])) return new Set(node["enum"].map(kindOf))
  if (typeof node["type"] !== "string" || "x-opaque" in node) return undefined
  return new Set([(node["type"] === "integer" ? "number" : node["type"]) as Kind])
}

/** The form without the steps beyond it. */
export const formOf = (node: WireNode): WireNode =>
  Object.fromEntries(Object.entries(node).filter(([key]) => key !== "x-checks" && key !== "x-then"))

/** A short text for a form. */
export const summary = (node: WireNode): string => {
  const tags = (["_tag", "type", "kind"] as const).flatMap((name) => {
    const values = propertiesOf(node).get(name)?.["enum"]
    return Array.isArray(values) ? [`{ ${name}: ${values.map(textOf).join(" | ")} }`] : []
  })
  if (tags[0] !== undefined) return tags[0]
  if (Array.isArray(node["enum"])) return node["enum"].map(textOf).join(" | ")
  if (Array.isArray(node["anyOf"])) return node["anyOf"].map(summary).join(" | ")
  if (typeof node["$ref"] === "string") return node["$ref"].slice("#/definitions/".length)
  if (node["x-socket.io"] === "binary") return "bytes"
  if ("not" in node) return "never"
  return typeof node["type"] === "string" ? node["type"] : String(node["x-opaque"] ?? node["x-any"] ?? "anything")
}

const texts = (p: WireNode, a: WireNode) => ({ path: "", producer: summary(p), acceptor: summary(a) })

export const unknown = (what: string, p: WireNode, a: WireNode): Finding => ({
  ...texts(p, a),
  kind: "unknown",
  level: "risky",
  what
})

export const different = (p: WireNode, a: WireNode): Finding => ({
  ...texts(p, a),
  kind: "type",
  level: "breaking",
  what: "type"
})

export const missing = (p: WireNode, a: WireNode): Finding => ({
  ...texts(p, a),
  kind: "member",
  level: "breaking",
  what: "member"
})

export const bound = (what: string, producer: unknown, acceptor: unknown): Finding => ({
  kind: "bound",
  level: "breaking",
  path: "",
  what,
  producer: textOf(producer),
  acceptor: textOf(acceptor)
})

/** Whether the limit of a check is as wide as another one; `undefined` if this is not known. */
export const compareLimits = (is: string, producer: unknown, acceptor: unknown): boolean | undefined => {
  const [one, two] = [producer, acceptor].map((limit) => Object.values(Object(limit)))
  if (one?.length !== 1 || two?.length !== 1 || typeof one[0] !== "number" || typeof two[0] !== "number")
    return undefined
  if (is.startsWith("isMin")) return two[0] <= one[0]
  if (is.startsWith("isMax")) return two[0] >= one[0]
  return undefined
}

const LOWER = ["minimum", "exclusiveMinimum", "minLength", "minItems"] as const
const UPPER = ["maximum", "exclusiveMaximum", "maxLength", "maxItems"] as const

/** The lower or upper bound of a form. An exclusive one is a little tighter. */
const limit = (node: WireNode, inclusive: string, exclusive: string | undefined, sign: 1 | -1): [number, number] => {
  const one = node[inclusive] as number | undefined
  const two = exclusive === undefined ? undefined : (node[exclusive] as number | undefined)
  const strict: [number, number] = [two === undefined ? -Infinity : two * sign, 1]
  const lax: [number, number] = [one === undefined ? -Infinity : one * sign, 0]
  if (node["type"] === "integer") {
    const next = two === undefined ? -Infinity : Math.floor(two * sign) + 1
    return [Math.max(next, Math.ceil(lax[0])), 0]
  }
  return strict[0] >= lax[0] && two !== undefined ? strict : lax
}

export const bounds = (p: WireNode, a: WireNode): ReadonlyArray<Finding> => {
  const findings: Array<Finding> = []
  for (const [inclusive, exclusive, sign] of [
    ["minimum", "exclusiveMinimum", 1],
    ["maximum", "exclusiveMaximum", -1],
    ["minLength", undefined, 1],
    ["maxLength", undefined, -1],
    ["minItems", undefined, 1],
    ["maxItems", undefined, -1]
  ] as const) {
    const [own, theirs] = [limit(p, inclusive, exclusive, sign), limit(a, inclusive, exclusive, sign)]
    if (theirs[0] > own[0] || (theirs[0] === own[0] && theirs[1] > own[1] && theirs[0] > -Infinity)) {
      const keys = [inclusive, exclusive].filter((key) => key !== undefined)
      const given = (node: WireNode) => keys.map((key) => node[key]).find((value) => value !== undefined)
      findings.push(bound(inclusive, given(p), given(a)))
    }
  }
  const [one, two] = [p["multipleOf"], a["multipleOf"]] as ReadonlyArray<number | undefined>
  if (two !== undefined && !(one !== undefined && Number.isInteger(one / two)))
    findings.push(bound("multipleOf", one, two))
  if (a["pattern"] !== undefined && a["pattern"] !== p["pattern"]) {
    if (p["pattern"] === undefined) findings.push(bound("pattern", undefined, a["pattern"]))
    else findings.push({ ...bound("pattern", p["pattern"], a["pattern"]), kind: "unknown", level: "risky" })
  }
  return findings
}

/** Compares single values with a form that is no union. */
export const valuesIn = (values: ReadonlyArray<unknown>, p: WireNode, a: WireNode): ReadonlyArray<Finding> => {
  if (Array.isArray(a["enum"])) {
    const allowed = new Set<unknown>(a["enum"])
    const refused = values.filter((value) => !allowed.has(value))
    return refused.length === 0 ? [] : [missing({ enum: refused }, a)]
  }
  const kinds = kindsOf(a)
  if (kinds === undefined) return [unknown("form", p, a)]
  const strangers = values.filter((value) => !kinds.has(kindOf(value)))
  if (strangers.length > 0)
    return [strangers.length === values.length ? different(p, a) : missing({ enum: strangers }, a)]
  const outside = values.filter((value) => !isWithin(value, a))
  return outside.length === 0 ? [] : [bound("values", outside, describe(a))]
}

const describe = (node: WireNode): unknown =>
  Object.fromEntries(
    Object.entries(formOf(node)).filter(([key]) => [...LOWER, ...UPPER, "pattern", "multipleOf", "type"].includes(key))
  )

const isWithin = (value: unknown, a: WireNode): boolean => {
  if (typeof value === "number") {
    const exact = { minimum: value, maximum: value, type: "number" }
    if (a["type"] === "integer" && !Number.isSafeInteger(value)) return false
    if (typeof a["multipleOf"] === "number" && !Number.isInteger(value / a["multipleOf"])) return false
    return bounds(exact, { ...a, multipleOf: undefined }).length === 0
  }
  if (typeof value !== "string") return true
  if (typeof a["pattern"] === "string" && !new RegExp(a["pattern"]).test(value)) return false
  const { maxLength = Infinity, minLength = 0 } = a as { maxLength?: number; minLength?: number }
  return value.length >= minLength && value.length <= maxLength
}

/** The names of checks and transformations whose code cannot be compared, in a form. */
export const uncomparedIn = (node: unknown): ReadonlyArray<string> => {
  if (typeof node !== "object" || node === null) return []
  const { is, via, "x-opaque": form } = node as Readonly<Record<string, unknown>>
  const own = [is, via, form].filter((name): name is string => typeof name === "string" && name.endsWith(UNNAMED))
  return [...own, ...Object.values(node).flatMap(uncomparedIn)]
}
