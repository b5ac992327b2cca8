/**
 * Changes of contracts, and what they break: old clients in the field meet a new server.
 *
 * Take a snapshot of the contracts with each release, and compare the next one with it. The command
 * `effect-socket.io contracts check` does so in a build.
 *
 * @since 0.1.0
 */
import type { JsonSchema } from "effect/JsonSchema"

import type { ContractSnapshot, EventSnapshot, NamespaceSnapshot } from "./ContractSnapshot.ts"
import { type Finding, isHarmful } from "./internal/wireFindings.ts"
import { type Definitions, WireSubset } from "./internal/wireSubset.ts"

export { type ContractSnapshot, fingerprint, parse, snapshot, stringify, uncompared } from "./ContractSnapshot.ts"

/**
 * The rules, with what they are about.
 *
 * @since 0.1.0
 * @category rules
 */
export const rules = {
  "namespace-removed": "a namespace is not there any more",
  "namespace-added": "a namespace is new",
  "event-removed": "an event is not there any more",
  "event-added": "an event is new",
  "required-field-added": "a field is new, and needed",
  "optional-field-added": "a field is new, and may be missing",
  "field-removed": "a field is not there any more",
  "field-became-required": "a field may not be missing any more",
  "field-became-optional": "a field may be missing now",
  "union-grew": "a union or an enumeration has more members",
  "union-shrank": "a union or an enumeration has fewer members",
  "bound-tightened": "fewer values are allowed: a minimum, a maximum, a length, a pattern or a check",
  "bound-loosened": "more values are allowed",
  "type-changed": "a value has another type, or another form",
  "arity-changed": "an event has another number of arguments",
  "ack-added": "an event is acknowledged with a value now",
  "ack-removed": "an event is not acknowledged with a value any more",
  "error-grew": "an event may fail in more ways",
  "error-shrank": "an event fails in fewer ways",
  "rate-limit-tightened": "an event may be sent less often",
  "rate-limit-loosened": "an event may be sent more often",
  "concurrency-lowered": "fewer handlers of an event run at once",
  "concurrency-raised": "more handlers of an event run at once",
  "not-understood": "a change that this library cannot judge"
} as const

/**
 * @since 0.1.0
 * @category rules
 */
export type RuleId = keyof typeof rules

/**
 * The weight of a change:
 *
 * - `breaking`: there are messages of old clients that the new server refuses, or the other way
 *   around.
 * - `risky`: there may be some, or programs may not expect the change.
 * - `safe`: old clients go on as before.
 *
 * @since 0.1.0
 * @category models
 */
export type Level = "breaking" | "risky" | "safe"

/**
 * A change between two snapshots.
 *
 * - `where`: the event, such as `/chat:join`, or the namespace.
 * - `path`: the place in it, such as `receive payload [0].room`; `receive` is what the server
 *   receives, `send` what it sends.
 * - `breaks`: the programs that the change is a danger for. A `safe` one may still break new clients
 *   that meet an old server, while servers are replaced.
 *
 * @since 0.1.0
 * @category models
 */
export interface Change {
  readonly rule: RuleId
  readonly level: Level
  readonly where: string
  readonly path: string
  readonly message: string
  readonly breaks: "old clients" | "new clients on old servers" | "nobody"
}

/**
 * Returns the changes between two snapshots, the gravest first.
 *
 * **Details**
 *
 * The events of clients, and the auth payload, must fit the new contract. The events of the server
 * must fit the old one, acknowledgements and failures included: clients have that one. So the same
 * change of a schema may be safe in one direction and breaking in the other one.
 *
 * | change | clients send | the server sends |
 * |---|---|---|
 * | namespace or event removed | breaking | safe; breaking if the event is acknowledged |
 * | event added | safe | safe |
 * | required field added | breaking | safe |
 * | optional field added | safe | safe |
 * | field removed | safe | breaking if it was required |
 * | optional to required | breaking | safe |
 * | required to optional | safe | breaking |
 * | union or enumeration grows | safe | breaking |
 * | union or enumeration shrinks | breaking | safe |
 * | bound tightened | breaking | safe |
 * | bound loosened | safe | breaking |
 * | type or number of arguments changed | breaking | breaking |
 * | acknowledgement added | safe | breaking |
 * | acknowledgement removed | breaking | safe |
 * | failures added | breaking for failures of clients | risky: programs may tell all of them apart |
 * | rate limit tightened, concurrency lowered | risky | |
 * | anything that is not understood | risky | risky |
 *
 * @since 0.1.0
 * @category comparing
 */
export const compare = (before: ContractSnapshot, after: ContractSnapshot): ReadonlyArray<Change> => {
  const changes: Array<Change> = []
  for (const name of names(before.namespaces, after.namespaces)) {
    const [one, two] = [own(before.namespaces, name), own(after.namespaces, name)]
    const add = (rule: RuleId, level: Level, breaks: Change["breaks"]) =>
      changes.push({ rule, level, where: name, path: "", message: rules[rule], breaks })
    if (two === undefined) add("namespace-removed", "breaking", "old clients")
    else if (one === undefined) add("namespace-added", "safe", "new clients on old servers")
    else changes.push(...new NamespaceChanges(name, one, two).all())
  }
  const weight = { breaking: 0, risky: 1, safe: 2 }
  return changes.toSorted((one, two) => weight[one.level] - weight[two.level])
}

type Direction = "receive" | "send"

type Part = "payload" | "ack" | "error" | "auth" | "params" | "refusals"

/** The rules of findings: about old values in new schemas, and about new values in old ones. */
const ruleOf: Readonly<Record<Finding["kind"], readonly [forward: RuleId, backward: RuleId]>> = {
  required: ["required-field-added", "field-removed"],
  optional: ["field-became-required", "field-became-optional"],
  absent: ["optional-field-added", "field-removed"],
  member: ["union-shrank", "union-grew"],
  bound: ["bound-tightened", "bound-loosened"],
  type: ["type-changed", "type-changed"],
  unknown: ["not-understood", "not-understood"]
}

class NamespaceChanges {
  private readonly name: string
  private readonly before: NamespaceSnapshot
  private readonly after: NamespaceSnapshot
  private readonly forward: WireSubset
  private readonly backward: WireSubset
  private readonly changes: Array<Change> = []

  constructor(name: string, before: NamespaceSnapshot, after: NamespaceSnapshot) {
    this.name = name
    this.before = before
    this.after = after
    this.forward = new WireSubset(before.definitions, after.definitions)
    this.backward = new WireSubset(after.definitions, before.definitions)
  }

  all(): ReadonlyArray<Change> {
    const { after, before } = this
    if (before.untyped !== after.untyped) {
      this.add("not-understood", "risky", "", "", "events are declared on one side only", "old clients")
      return this.changes
    }
    this.auth()
    for (const key of names(before.params ?? {}, after.params ?? {})) {
      const [one, two] = [own(before.params ?? {}, key), own(after.params ?? {}, key)]
      if (one !== undefined && two !== undefined) this.values("receive", "params", "", one, two, ` ${key}`)
    }
    this.refusals(before.refusals, after.refusals)
    for (const direction of ["receive", "send"] as const) {
      for (const event of names(before[direction], after[direction])) {
        this.event(direction, event, own(before[direction], event), own(after[direction], event))
      }
    }
    return this.changes
  }

  private add(
    rule: RuleId,
    level: Level,
    event: string,
    path: string,
    message: string = rules[rule],
    breaks: Change["breaks"] = level === "safe" ? "nobody" : "old clients"
  ): void {
    this.changes.push({ rule, level, where: this.placeOf(event), path, message, breaks })
  }

  private placeOf(event: string): string {
    return event === "" ? this.name : `${this.name}:${event}`
  }

  private event(
    direction: Direction,
    name: string,
    before: EventSnapshot | undefined,
    after: EventSnapshot | undefined
  ): void {
    const isReceived = direction === "receive"
    const fresh = "new clients on old servers"
    if (before === undefined) {
      return this.add("event-added", "safe", name, direction, undefined, isReceived ? fresh : "nobody")
    }
    if (after === undefined) {
      const isAwaited = before.ack !== undefined || before.error !== undefined
      const isBreaking = isReceived || isAwaited
      return this.add(
        "event-removed",
        isBreaking ? "breaking" : "safe",
        name,
        direction,
        undefined,
        isBreaking ? undefined : fresh
      )
    }
    this.payload(direction, name, before, after)
    this.answers(direction, name, before, after)
    if (isReceived) this.limits(name, before, after)
  }

  private payload(direction: Direction, name: string, before: EventSnapshot, after: EventSnapshot): void {
    const [one, two] = [before.args, after.args]
    if (one.length !== two.length) {
      const message = `the number of arguments: ${one.length} → ${two.length}`
      return this.add("arity-changed", "breaking", name, `${direction} payload`, message)
    }
    const [less, more] = [before.optional ?? 0, after.optional ?? 0]
    if (less !== more) {
      const rule = less > more ? "bound-tightened" : "bound-loosened"
      const isHarmful = less > more === (direction === "receive")
      const message = `arguments that may be missing: ${less} → ${more}`
      this.add(
        rule,
        isHarmful ? "breaking" : "safe",
        name,
        `${direction} payload`,
        message,
        isHarmful ? undefined : "new clients on old servers"
      )
    }
    for (const [i, schema] of one.entries()) this.values(direction, "payload", name, schema, two[i]!, `[${i}]`)
  }

  /** The answers of the other side: clients get what the server answers to what it receives. */
  private answers(direction: Direction, name: string, before: EventSnapshot, after: EventSnapshot): void {
    const isReceived = direction === "receive"
    const answered = isReceived ? "send" : "receive"
    const path = (part: Part) => `${direction} ${part}`
    const [one, two] = [before, after].map(({ ack }) => (ack?.["type"] === "null" ? undefined : ack))
    const [failed, fails] = [before.error, after.error]
    if ((failed === undefined) !== (fails === undefined)) {
      // A value is not the same as a value with a tag.
      const isAnswered = one !== undefined || two !== undefined || !(isReceived && failed === undefined)
      const message = failed === undefined ? "the answer has a tag now" : "the answer has no tag any more"
      if (isAnswered) this.add("type-changed", "breaking", name, path("ack"), message)
      else this.add("error-grew", "risky", name, path("error"), message)
      return
    }
    if (one === undefined && two !== undefined) {
      this.add(
        "ack-added",
        isReceived ? "safe" : "breaking",
        name,
        path("ack"),
        undefined,
        isReceived ? "new clients on old servers" : undefined
      )
    } else if (one !== undefined && two === undefined) {
      this.add("ack-removed", isReceived ? "breaking" : "safe", name, path("ack"))
    } else if (one !== undefined && two !== undefined) this.values(answered, "ack", name, one, two)
    if (failed !== undefined && fails !== undefined) this.values(answered, "error", name, failed, fails)
  }

  private limits(name: string, before: EventSnapshot, after: EventSnapshot): void {
    const [one, two] = [before.rateLimit, after.rateLimit]
    const [old, fresh] = [rateOf(one), rateOf(two)]
    const message = `${rateText(one)} → ${rateText(two)}`
    if (fresh.some((value, i) => value < old[i]!)) this.add("rate-limit-tightened", "risky", name, "receive", message)
    else if (fresh.some((value, i) => value > old[i]!))
      this.add("rate-limit-loosened", "safe", name, "receive", message)
    const [many, few] = [before.concurrency ?? Infinity, after.concurrency ?? Infinity]
    const text = `handlers at once: ${many} → ${few}`
    if (few < many) this.add("concurrency-lowered", "risky", name, "receive", text)
    else if (few > many) this.add("concurrency-raised", "safe", name, "receive", text)
    if (before.once === after.once) return
    // Messages without the attribute are refused.
    if (after.once === "attribute") this.add("type-changed", "breaking", name, "receive", "messages need an id now")
    else
      this.add(
        "not-understood",
        "risky",
        name,
        "receive",
        `handled once: ${before.once ?? "no"} → ${after.once ?? "no"}`
      )
  }

  /** The contract and each middleware read the same payload: it has all of their forms. */
  private auth(): void {
    const [before, after] = [this.before.auth ?? [], this.after.auth ?? []]
    const place = { direction: "receive", part: "auth", event: "", prefix: "" } as const
    const refused = (subset: WireSubset, givers: typeof before, takers: typeof before, definitions: Definitions) =>
      takers.flatMap((taker) => {
        if (givers.some((giver) => !subset.check(giver, taker).some(isHarmful))) return []
        // Clients that know no auth payload send an empty one, or anything.
        return subset.check(givers.length === 0 ? { type: "object" } : merged(givers, definitions), taker)
      })
    const forward = refused(this.forward, before, after, this.before.definitions)
    this.report(place, forward, true, true)
    if (before.length === 0 && after.length > 0 && !forward.some(isHarmful)) {
      this.add("not-understood", "risky", "", "receive auth", "the auth payload is declared now")
    }
    this.report(place, refused(this.backward, after, before, this.after.definitions), false, false)
  }

  private refusals(before: NamespaceSnapshot["refusals"], after: NamespaceSnapshot["refusals"]): void {
    if (before !== undefined && after !== undefined) {
      this.values("send", "refusals", "", { anyOf: before }, { anyOf: after })
    } else if (after !== undefined) this.add("error-grew", "risky", "", "send refusals")
    else if (before !== undefined) this.add("error-shrank", "safe", "", "send refusals")
  }

  /** Compares values that clients send (`receive`), or that the server sends. */
  private values(sent: Direction, part: Part, event: string, before: JsonSchema, after: JsonSchema, prefix = ""): void {
    // An answer belongs to the event of the other direction.
    const isAnswer = part === "ack" || part === "error"
    const direction = isAnswer ? (sent === "receive" ? "send" : "receive") : sent
    const place = { direction, part, event, prefix }
    const isForward = sent === "receive"
    const [forward, backward] = [this.forward.check(before, after), this.backward.check(after, before)]
    this.report(place, isForward ? forward : backward, isForward, true)
    this.report(place, isForward ? backward : forward, !isForward, false)
  }

  /** Reports findings as changes. Those of the harmless direction are safe. */
  private report(
    place: { readonly direction: Direction; readonly part: Part; readonly event: string; readonly prefix: string },
    findings: ReadonlyArray<Finding>,
    isForward: boolean,
    counts: boolean
  ): void {
    const { direction, event, part, prefix } = place
    const where = `${direction} ${part}`
    const isError = part === "error" || part === "refusals"
    const isHere = (change: Change) => change.where === this.placeOf(event)
    for (const finding of findings) {
      const path = `${where} ${prefix}${finding.path}`.trimEnd()
      let rule = ruleOf[finding.kind][isForward ? 0 : 1]
      if (isError && finding.kind === "member") rule = isForward ? "error-shrank" : "error-grew"
      if (!counts && (finding.kind === "type" || finding.kind === "unknown")) {
        // The same difference, seen from the other side, is reported already.
        if (this.changes.some((change) => change.path !== "" && path.startsWith(change.path) && isHere(change)))
          continue
        rule = isForward ? "bound-tightened" : "bound-loosened"
      }
      const isRisky = rule === "not-understood" || (rule === "error-grew" && counts)
      const level = !counts || finding.level === "none" ? "safe" : isRisky ? "risky" : finding.level
      const isDanger = level !== "safe" || isHarmful(finding)
      const breaks = !isDanger ? "nobody" : counts && level !== "safe" ? "old clients" : "new clients on old servers"
      const message = messageOf(finding, rule, isForward)
      const isKnown = this.changes.some(
        (change) => change.rule === rule && change.path === path && change.message === message && isHere(change)
      )
      if (!isKnown) this.add(rule, level, event, path, message, breaks)
    }
  }
}

const messageOf = ({ acceptor, kind, producer, what }: Finding, rule: RuleId, isForward: boolean): string => {
  if (kind === "required" || kind === "optional" || kind === "absent") return rules[rule]
  if (kind === "member") return isForward ? `${producer} is no member any more` : `${producer} is a new member`
  return isForward ? `${what}: ${producer} → ${acceptor}` : `${what}: ${acceptor} → ${producer}`
}

/** The form of a value that has all of these forms. */
const merged = (schemas: ReadonlyArray<JsonSchema>, definitions: Definitions): JsonSchema => {
  const all = schemas.map((schema) => {
    const { $ref } = schema
    return typeof $ref === "string" ? (definitions[$ref.slice("#/definitions/".length)] ?? schema) : schema
  })
  if (!all.every((schema) => schema["type"] === "object" && !("x-opaque" in schema))) return all[0]!
  return {
    type: "object",
    properties: Object.assign({}, ...all.map((schema) => schema["properties"])),
    required: all.flatMap((schema) => (schema["required"] ?? []) as ReadonlyArray<string>)
  }
}

const names = (one: Readonly<Record<string, unknown>>, two: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
  Array.from(new Set([...Object.keys(one), ...Object.keys(two)])).toSorted()

const own = <A>(record: Readonly<Record<string, A>>, key: string): A | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined

/** The parts of a rate limit; less is tighter. */
const rateOf = (limit: EventSnapshot["rateLimit"]): ReadonlyArray<number> =>
  limit === undefined
    ? [Infinity, Infinity, 1]
    : [limit.limit / limit.interval, limit.burst, limit.onExceeded === "refuse" ? 1 : 0]

const rateText = (limit: EventSnapshot["rateLimit"]): string =>
  limit === undefined
    ? "no limit"
    : `${limit.limit} per ${limit.interval} ms, ${limit.burst} at once, then ${limit.onExceeded}`
