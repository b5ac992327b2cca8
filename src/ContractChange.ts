/**
 * The changes of contracts, and the rules that find them.
 *
 * Users meet all of it as a part of `ContractDiff`.
 *
 * @since 0.1.0
 */
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
 * - `breaks`: the programs that the change is a danger for. A `safe` one may still break new
 *   clients that meet an old server, while servers are replaced.
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
