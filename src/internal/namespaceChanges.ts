import type { JsonSchema } from "effect/JsonSchema"

import type { Change } from "../ContractChange.ts"
import type { EventSnapshot, NamespaceSnapshot } from "../ContractSnapshot.ts"
import { ChangeList, type Direction, type Part } from "./changeList.ts"
import { isHarmful } from "./wireFindings.ts"
import { type Definitions, WireSubset } from "./wireSubset.ts"

/**
 * Compares two snapshots of a namespace: its events, its auth payload, its parameters and its
 * refusals.
 */
export class NamespaceChanges {
  private readonly before: NamespaceSnapshot
  private readonly after: NamespaceSnapshot
  private readonly forward: WireSubset
  private readonly backward: WireSubset
  private readonly changes: ChangeList

  constructor(name: string, before: NamespaceSnapshot, after: NamespaceSnapshot) {
    this.changes = new ChangeList(name)
    this.before = before
    this.after = after
    this.forward = new WireSubset(before.definitions, after.definitions)
    this.backward = new WireSubset(after.definitions, before.definitions)
  }

  all(): ReadonlyArray<Change> {
    const { after, before } = this
    if (before.untyped !== after.untyped) {
      this.changes.add("not-understood", "risky", "", "", "events are declared on one side only", "old clients")
      return this.changes.all
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
    return this.changes.all
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
      return this.changes.add("event-added", "safe", name, direction, undefined, isReceived ? fresh : "nobody")
    }
    if (after === undefined) {
      const isAwaited = before.ack !== undefined || before.error !== undefined
      const isBreaking = isReceived || isAwaited
      return this.changes.add(
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
      return this.changes.add("arity-changed", "breaking", name, `${direction} payload`, message)
    }
    const [less, more] = [before.optional ?? 0, after.optional ?? 0]
    if (less !== more) {
      const rule = less > more ? "bound-tightened" : "bound-loosened"
      const isHarmful = less > more === (direction === "receive")
      const message = `arguments that may be missing: ${less} → ${more}`
      this.changes.add(
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
      if (isAnswered) this.changes.add("type-changed", "breaking", name, path("ack"), message)
      else this.changes.add("error-grew", "risky", name, path("error"), message)
      return
    }
    if (one === undefined && two !== undefined) {
      this.changes.add(
        "ack-added",
        isReceived ? "safe" : "breaking",
        name,
        path("ack"),
        undefined,
        isReceived ? "new clients on old servers" : undefined
      )
    } else if (one !== undefined && two === undefined) {
      this.changes.add("ack-removed", isReceived ? "breaking" : "safe", name, path("ack"))
    } else if (one !== undefined && two !== undefined) this.values(answered, "ack", name, one, two)
    if (failed !== undefined && fails !== undefined) this.values(answered, "error", name, failed, fails)
  }

  private limits(name: string, before: EventSnapshot, after: EventSnapshot): void {
    const [one, two] = [before.rateLimit, after.rateLimit]
    const [old, fresh] = [rateOf(one), rateOf(two)]
    const message = `${rateText(one)} → ${rateText(two)}`
    if (fresh.some((value, i) => value < old[i]!))
      this.changes.add("rate-limit-tightened", "risky", name, "receive", message)
    else if (fresh.some((value, i) => value > old[i]!))
      this.changes.add("rate-limit-loosened", "safe", name, "receive", message)
    const [many, few] = [before.concurrency ?? Infinity, after.concurrency ?? Infinity]
    const text = `handlers at once: ${many} → ${few}`
    if (few < many) this.changes.add("concurrency-lowered", "risky", name, "receive", text)
    else if (few > many) this.changes.add("concurrency-raised", "safe", name, "receive", text)
    if (before.once === after.once) return
    // Messages without the attribute are refused.
    if (after.once === "attribute")
      this.changes.add("type-changed", "breaking", name, "receive", "messages need an id now")
    else
      this.changes.add(
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
    this.changes.report(place, forward, true, true)
    if (before.length === 0 && after.length > 0 && !forward.some(isHarmful)) {
      this.changes.add("not-understood", "risky", "", "receive auth", "the auth payload is declared now")
    }
    this.changes.report(place, refused(this.backward, after, before, this.after.definitions), false, false)
  }

  private refusals(before: NamespaceSnapshot["refusals"], after: NamespaceSnapshot["refusals"]): void {
    if (before !== undefined && after !== undefined) {
      this.values("send", "refusals", "", { anyOf: before }, { anyOf: after })
    } else if (after !== undefined) this.changes.add("error-grew", "risky", "", "send refusals")
    else if (before !== undefined) this.changes.add("error-shrank", "safe", "", "send refusals")
  }

  /** Compares values that clients send (`receive`), or that the server sends. */
  private values(sent: Direction, part: Part, event: string, before: JsonSchema, after: JsonSchema, prefix = ""): void {
    // An answer belongs to the event of the other direction.
    const isAnswer = part === "ack" || part === "error"
    const direction = isAnswer ? (sent === "receive" ? "send" : "receive") : sent
    const place = { direction, part, event, prefix }
    const isForward = sent === "receive"
    const [forward, backward] = [this.forward.check(before, after), this.backward.check(after, before)]
    this.changes.report(place, isForward ? forward : backward, isForward, true)
    this.changes.report(place, isForward ? backward : forward, !isForward, false)
  }
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

/** The keys of both, in the order of the alphabet. */
export const names = (
  one: Readonly<Record<string, unknown>>,
  two: Readonly<Record<string, unknown>>
): ReadonlyArray<string> => Array.from(new Set([...Object.keys(one), ...Object.keys(two)])).toSorted()

/** The value of a key of the record itself: those of its prototype do not count. */
export const own = <A>(record: Readonly<Record<string, A>>, key: string): A | undefined =>
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
