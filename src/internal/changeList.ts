import { type Change, type Level, type RuleId, rules } from "../ContractChange.ts"
import { type Finding, isHarmful } from "./wireFindings.ts"

export type Direction = "receive" | "send"

export type Part = "payload" | "ack" | "error" | "auth" | "params" | "refusals"

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

/** The changes of one namespace. */
export class ChangeList {
  readonly all: Array<Change> = []
  private readonly name: string

  constructor(name: string) {
    this.name = name
  }

  /** Adds a change of an event, or of the namespace itself if `event` is empty. */
  add(
    rule: RuleId,
    level: Level,
    event: string,
    path: string,
    message: string = rules[rule],
    breaks: Change["breaks"] = level === "safe" ? "nobody" : "old clients"
  ): void {
    this.all.push({ rule, level, where: this.placeOf(event), path, message, breaks })
  }

  /**
   * Adds findings as changes. Those of the harmless direction (`counts` is false) are safe.
   * `isForward`: they are about old values in new schemas.
   */
  report(
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
        if (this.all.some((change) => change.path !== "" && path.startsWith(change.path) && isHere(change))) continue
        rule = isForward ? "bound-tightened" : "bound-loosened"
      }
      const isRisky = rule === "not-understood" || (rule === "error-grew" && counts)
      const level = !counts || finding.level === "none" ? "safe" : isRisky ? "risky" : finding.level
      const isDanger = level !== "safe" || isHarmful(finding)
      const breaks = !isDanger ? "nobody" : counts && level !== "safe" ? "old clients" : "new clients on old servers"
      const message = messageOf(finding, rule, isForward)
      const isKnown = this.all.some(
        (change) => change.rule === rule && change.path === path && change.message === message && isHere(change)
      )
      if (!isKnown) this.add(rule, level, event, path, message, breaks)
    }
  }

  private placeOf(event: string): string {
    return event === "" ? this.name : `${this.name}:${event}`
  }
}

const messageOf = ({ acceptor, kind, producer, what }: Finding, rule: RuleId, isForward: boolean): string => {
  if (kind === "required" || kind === "optional" || kind === "absent") return rules[rule]
  if (kind === "member") return isForward ? `${producer} is no member any more` : `${producer} is a new member`
  return isForward ? `${what}: ${producer} → ${acceptor}` : `${what}: ${acceptor} → ${producer}`
}
