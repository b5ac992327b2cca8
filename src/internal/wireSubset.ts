import {
  below,
  bound,
  bounds,
  compareLimits,
  different,
  type Finding,
  formOf,
  hasNull,
  isAny,
  isHarmful,
  keyPath,
  kindOf,
  kindsOf,
  missing,
  propertiesOf,
  requiredOf,
  textOf,
  unknown,
  valuesIn
} from "./wireFindings.ts"
import { TOTAL } from "./wireNames.ts"
import type { WireCheck, WireNode } from "./wireSchema.ts"

export type Definitions = Readonly<Record<string, WireNode>>

/**
 * More comparisons than these are not understood. A contract with some hundred events takes some
 * thousand.
 */
const MAX_COMPARISONS = 100_000

/** More nested unions than these are not searched for a difference of their members. */
const MAX_DEPTH = 8

/**
 * Decoders that refuse some texts: those of the Effect schemas of these names, and transformations.
 */
const NARROW = new Set(
  ["BigDecimal", "ByteSize", "Date", "DateTimeUtc", "DateTimeZoned", "SemVer", "SemVerRange", "TimeZone"]
    .concat(["TimeZoneNamed", "TimeZoneOffset", "URL", "Uint8Array"])
    .map((name) => `effect/schema/${name}`)
    .concat(["BigInt", "Symbol", "bigDecimalFromString", "bigintFromString", "byteSizeFromString", "dateFromString"])
    .concat(["dateTimeUtcFromString", "dateTimeZonedFromString", "durationFromString", "timeZoneFromString"])
    .concat(["timeZoneNamedFromString", "uint8ArrayFromBase64String", "urlFromString"])
)

/** Steps that look at a value, and leave it as it is. */
const CHECKS = new Set(["check", "class", "number"])

/** Steps that take every value, or leave it as it is. */
const IDENTITY = new Set([...CHECKS, ...TOTAL, "default", "passthrough"])

/** Transformations that take every text, and the check that their results pass. */
const TEXTUAL: ReadonlyMap<string, string> = new Map([
  ["capitalize", "isCapitalized"],
  ["toLowerCase", "isLowercased"],
  ["toUpperCase", "isUppercased"],
  ["trim", "isTrimmed"],
  ["uncapitalize", "isUncapitalized"]
])

/**
 * Compares forms on the wire: whether a decoder of one takes all that an encoder of another one
 * sends.
 */
export class WireSubset {
  private readonly producers: Definitions
  private readonly acceptors: Definitions
  private readonly results = new Map<WireNode, Map<WireNode, ReadonlyArray<Finding>>>()
  private readonly active: Array<readonly [WireNode, WireNode]> = []
  /** The lowest place in `active` whose result was taken for granted. */
  private lowest = Infinity
  private left = MAX_COMPARISONS

  constructor(producers: Definitions, acceptors: Definitions) {
    this.producers = producers
    this.acceptors = acceptors
  }

  /**
   * Returns what the acceptor refuses of the producer's values. Without `breaking` and `risky`
   * findings it takes all of them.
   */
  check(producer: WireNode, acceptor: WireNode): ReadonlyArray<Finding> {
    const p = this.resolve(producer, this.producers)
    const a = this.resolve(acceptor, this.acceptors)
    const known = this.results.get(p)?.get(a)
    if (known !== undefined) return known
    // Values are finite, so a comparison that comes back to itself adds nothing.
    const at = this.active.findIndex(([one, two]) => one === p && two === a)
    if (at >= 0) {
      this.lowest = Math.min(this.lowest, at)
      return []
    }
    if (this.left-- <= 0) return [unknown("form", p, a)]
    const outer = this.lowest
    this.lowest = Infinity
    const depth = this.active.length
    this.active.push([p, a])
    const findings = this.compare(p, a)
    this.active.pop()
    // A result that holds only if an unfinished comparison holds must not be remembered.
    if (this.lowest >= depth || findings.some(isHarmful)) {
      let results = this.results.get(p)
      if (results === undefined) this.results.set(p, (results = new Map()))
      results.set(a, findings)
    }
    this.lowest = Math.min(outer, this.lowest >= depth ? Infinity : this.lowest)
    return findings
  }

  private resolve(node: WireNode, definitions: Definitions): WireNode {
    let found = node
    for (let i = 0; typeof found["$ref"] === "string" && i < 100; i++) {
      found = definitions[(found["$ref"] as string).slice("#/definitions/".length)] ?? { "x-opaque": "missing" }
    }
    return found
  }

  private compare(p: WireNode, a: WireNode): ReadonlyArray<Finding> {
    if (Object.keys(a).length === 0) return []
    if ("x-opaque" in a || "x-opaque" in p) return this.isSame(p, a) ? [] : [unknown("form", p, a)]
    const members = p["anyOf"] as ReadonlyArray<WireNode> | undefined
    const alternatives = (a["anyOf"] ?? [a]) as ReadonlyArray<WireNode>
    if (members === undefined) return [...this.conditions(p, a), ...this.forms(p, a)]
    const isPlain = !("x-checks" in p) && !("x-then" in p)
    const findings = isPlain ? [] : [...this.conditions(p, a)]
    for (const member of members) {
      const m = this.resolve(member, this.producers)
      if (alternatives.every((alternative) => this.areDisjoint(m, alternative))) findings.push(missing(m, a))
      else findings.push(...(isPlain || "anyOf" in m ? this.check(m, a) : this.forms(m, a)))
    }
    return findings
  }

  // ---------------------------------------------------------------- checks and transformations

  private conditions(p: WireNode, a: WireNode): ReadonlyArray<Finding> {
    const findings: Array<Finding> = []
    const given = [...((p["x-checks"] ?? []) as ReadonlyArray<WireCheck>)]
    for (const check of (a["x-checks"] ?? []) as ReadonlyArray<WireCheck>) {
      const same = given.findIndex((other) => textOf(other) === textOf(check))
      if (same >= 0) {
        given.splice(same, 1)
        continue
      }
      const other = given.find(({ is }) => is === check.is)
      const texts = {
        path: "",
        what: check.is,
        producer: textOf(other?.with ?? other?.is),
        acceptor: textOf(check.with)
      }
      if (other === undefined) {
        const level = check.is.startsWith("custom ") || check.is.includes("/") ? "risky" : "breaking"
        findings.push({ ...texts, kind: level === "risky" ? "unknown" : "bound", level })
      } else {
        const isWider = compareLimits(check.is, other.with, check.with)
        if (isWider === undefined) findings.push({ ...texts, kind: "unknown", level: "risky" })
        else if (!isWider) findings.push({ ...texts, kind: "bound", level: "breaking" })
      }
    }
    return [...findings, ...this.steps(p, a)]
  }

  private steps(p: WireNode, a: WireNode): ReadonlyArray<Finding> {
    type Step = { readonly via: string; readonly schema: WireNode } | undefined
    const [one, two] = [p["x-then"] as Step, a["x-then"] as Step]
    if (two === undefined) return []
    // A value is read twice: another member of a union may take it at first, and drop fields.
    if (!CHECKS.has(two.via) && this.isAmbiguous(a) && !this.isSame(formOf(p), formOf(a)))
      return [unknown("form", p, a)]
    if (one?.via === two.via) return this.check(one.schema, two.schema)
    const texts = { path: "", what: "decoding", producer: one?.via ?? "none", acceptor: two.via }
    const risky: Finding = { ...texts, kind: "unknown", level: "risky" }
    if (one !== undefined) return [risky]
    if (IDENTITY.has(two.via)) return this.check(p, two.schema)
    const passed = TEXTUAL.get(two.via)
    if (passed !== undefined) {
      const result = { type: "string", "x-checks": [{ is: passed }] }
      return this.check(result, two.schema).some(isHarmful) ? [risky] : []
    }
    const isAnyText = textOf(p) === textOf({ type: "string" })
    const isNumeric = two.via === "numberFromString" && ["number", "integer"].includes(two.schema["type"] as string)
    return isAnyText && (NARROW.has(two.via) || isNumeric) ? [{ ...texts, kind: "type", level: "breaking" }] : [risky]
  }

  // ---------------------------------------------------------------- forms

  /** Compares what is on the wire, of a producer that is no union. */
  private forms(p: WireNode, a: WireNode): ReadonlyArray<Finding> {
    if ("x-opaque" in a || "x-opaque" in p) return this.isSame(p, a) ? [] : [unknown("form", p, a)]
    if ("not" in p || Object.keys(formOf(a)).length === 0) return []
    if ("not" in a) return [different(p, a)]
    const alternatives = a["anyOf"] as ReadonlyArray<WireNode> | undefined
    if (alternatives !== undefined) return this.oneOfThem(p, a, alternatives)
    if (a["x-any"] === "json") {
      if (Object.keys(p).length === 0) return [unknown("bytes", p, a)]
      return this.hasBytes(p, new Set()) ? [different(p, a)] : []
    }
    if (a["x-any"] === "not null") return isAny(p) || p["type"] === "null" || hasNull(p) ? [different(p, a)] : []
    if (isAny(p)) return [different(p, a)]
    if ("enum" in p) return valuesIn(p["enum"] as ReadonlyArray<unknown>, p, a)
    if ("enum" in a) {
      const values = a["enum"] as ReadonlyArray<unknown>
      if (p["type"] === "boolean" && values.includes(true) && values.includes(false)) return []
      if (p["type"] === "null" && values.includes(null)) return []
      const kinds = kindsOf(p)
      if (!values.some((value) => kinds?.has(kindOf(value)) === true)) return [different(p, a)]
      return [bound("values", p["type"], values)]
    }
    if (p["x-socket.io"] !== a["x-socket.io"]) return [different(p, a)]
    if ("x-socket.io" in a) return []
    const [one, two] = [p["type"], a["type"]]
    if (one === "number" && two === "integer") return [bound("whole numbers", false, true)]
    if (one !== two && !(one === "integer" && two === "number")) return [different(p, a)]
    if (one === "object") return this.objects(p, a)
    if (one === "array") return this.arrays(p, a)
    return bounds(p, a)
  }

  private oneOfThem(p: WireNode, a: WireNode, alternatives: ReadonlyArray<WireNode>): ReadonlyArray<Finding> {
    const results: Array<ReadonlyArray<Finding>> = []
    for (const alternative of alternatives) {
      if (this.areDisjoint(p, alternative)) continue
      const findings = this.check(p, alternative)
      if (!findings.some(isHarmful)) return findings
      results.push(findings)
    }
    const [first, ...others] = results.toSorted((one, two) => one.length - two.length)
    if (first === undefined) return [missing(p, a)]
    // Several members together may take what none of them takes alone.
    if (others.length > 0) return first.map(asRisky)
    return first
  }

  private objects(p: WireNode, a: WireNode): ReadonlyArray<Finding> {
    const [ours, theirs] = [propertiesOf(p), propertiesOf(a)]
    const [given, required] = [requiredOf(p), requiredOf(a)]
    const [others, anyOthers] = [p["additionalProperties"], a["additionalProperties"]] as ReadonlyArray<
      WireNode | undefined
    >
    const findings: Array<Finding> = []
    const field = (name: string, kind: Finding["kind"], level: Finding["level"]): Finding => ({
      kind,
      level,
      path: keyPath(name),
      what: "field",
      producer: ours.has(name) ? "optional" : "none",
      acceptor: required.has(name) ? "required" : "optional"
    })
    for (const [name, type] of theirs) {
      const own = ours.get(name)
      const isRequired = required.has(name)
      if (own !== undefined) {
        if (isRequired && !given.has(name)) findings.push(field(name, "optional", "breaking"))
        findings.push(...below(keyPath(name), this.check(own, type)))
      } else if (isRequired) findings.push(field(name, "required", "breaking"))
      else if (others !== undefined) findings.push(...below(keyPath(name), this.check(others, type)))
      else findings.push(field(name, "absent", "none"))
    }
    if (anyOthers !== undefined) {
      for (const [name, type] of ours) findings.push(...below(keyPath(name), this.check(type, anyOthers)))
      if (others !== undefined) findings.push(...below("[key]", this.check(others, anyOthers)))
    }
    return findings
  }

  private arrays(p: WireNode, a: WireNode): ReadonlyArray<Finding> {
    const [ours, theirs] = [p, a].map((node) => (node["prefixItems"] ?? []) as ReadonlyArray<WireNode>) as [any, any]
    const [rest, anyRest] = [p["items"], a["items"]] as ReadonlyArray<WireNode | undefined>
    const longest = Math.min(Math.max(ours.length, theirs.length), (p["maxItems"] as number | undefined) ?? Infinity)
    const findings = [...bounds(p, a)]
    for (let i = 0; i < longest; i++) {
      const [own, type] = [ours[i] ?? rest, theirs[i] ?? anyRest]
      if (own !== undefined && type !== undefined) findings.push(...below(`[${i}]`, this.check(own, type)))
    }
    if (rest !== undefined && anyRest !== undefined) findings.push(...below("[*]", this.check(rest, anyRest)))
    return findings
  }

  // ---------------------------------------------------------------- questions

  /** Whether no value has both forms. `false` if this is not known. */
  private areDisjoint(producer: WireNode, acceptor: WireNode, depth = 0): boolean {
    const p = this.resolve(producer, this.producers)
    const a = this.resolve(acceptor, this.acceptors)
    if (depth > MAX_DEPTH || this.left-- <= 0) return false
    if ("anyOf" in p) return (p["anyOf"] as Array<WireNode>).every((member) => this.areDisjoint(member, a, depth + 1))
    if ("anyOf" in a) return (a["anyOf"] as Array<WireNode>).every((member) => this.areDisjoint(p, member, depth + 1))
    const [ours, theirs] = [kindsOf(p), kindsOf(a)]
    if (ours === undefined || theirs === undefined) return false
    if (!Array.from(ours).some((kind) => theirs.has(kind))) return true
    if ("enum" in p) {
      const harmful = valuesIn(p["enum"] as ReadonlyArray<unknown>, p, a)
      return (
        (p["enum"] as ReadonlyArray<unknown>).every((value) => valuesIn([value], p, a).length > 0) && harmful.length > 0
      )
    }
    if (p["type"] === "object") {
      const [own, theirProperties] = [propertiesOf(p), propertiesOf(a)]
      return Array.from(requiredOf(a)).some((name) => {
        const [one, two] = [own.get(name), theirProperties.get(name)]
        return (
          requiredOf(p).has(name) && one !== undefined && two !== undefined && this.areDisjoint(one, two, depth + 1)
        )
      })
    }
    return false
  }

  private isSame(producer: unknown, acceptor: unknown, seen: ReadonlyArray<readonly [unknown, unknown]> = []): boolean {
    if (typeof producer !== "object" || producer === null || typeof acceptor !== "object" || acceptor === null) {
      return producer === acceptor
    }
    const p = this.resolve(producer as WireNode, this.producers)
    const a = this.resolve(acceptor as WireNode, this.acceptors)
    if (seen.some(([one, two]) => one === p && two === a)) return true
    const keys = Object.keys(p)
    return (
      keys.length === Object.keys(a).length &&
      Array.isArray(p) === Array.isArray(a) &&
      keys.every((key) => Object.hasOwn(a, key) && this.isSame(p[key], a[key], [...seen, [p, a]]))
    )
  }

  /**
   * Whether a value of the acceptor's form may be taken by several members of a union, and what
   * they do differs.
   */
  private isAmbiguous(acceptor: WireNode, seen: Set<WireNode> = new Set()): boolean {
    const a = this.resolve(acceptor, this.acceptors)
    if (seen.has(a)) return false
    seen.add(a)
    const members = ((a["anyOf"] ?? []) as ReadonlyArray<WireNode>).map((member) =>
      this.resolve(member, this.acceptors)
    )
    const doing = members.filter((member) => JSON.stringify(member).match(/"x-then"|"\$ref"/) !== null)
    const within = new WireSubset(this.acceptors, this.acceptors)
    if (doing.some((one) => members.some((two) => one !== two && !within.areDisjoint(one, two)))) return true
    return this.partsOf(a).some((part) => this.isAmbiguous(part, seen))
  }

  private partsOf(node: WireNode): ReadonlyArray<WireNode> {
    const parts = [node["anyOf"], node["prefixItems"], node["items"], node["additionalProperties"]].flat()
    return [...(parts as ReadonlyArray<WireNode | undefined>), ...propertiesOf(node).values()].filter(
      (part) => part !== undefined
    )
  }

  private hasBytes(producer: WireNode, seen: Set<WireNode>): boolean {
    const p = this.resolve(producer, this.producers)
    if (seen.has(p)) return false
    seen.add(p)
    if ("x-socket.io" in p || Object.keys(p).length === 0 || "x-opaque" in p) return true
    return this.partsOf(p).some((part) => this.hasBytes(part, seen))
  }
}

const asRisky = (finding: Finding): Finding => (isHarmful(finding) ? { ...finding, level: "risky" } : finding)
