import * as Cause from "effect/Cause"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"

import * as ContractDiff from "../../ContractDiff.ts"
import { CheckError, loadContracts } from "./loadContracts.ts"

/** The verdict: a change is breaking, and not allowed. It is told already. */
class Refused extends Data.TaggedError("Refused") {}

/** Changes that the user has allowed: a rule and a place, each of which may be `*`. */
interface Allowance {
  readonly text: string
  readonly allows: (change: ContractDiff.Change) => boolean
}

const allowanceOf = (text: string): Effect.Effect<Allowance, CheckError> => {
  const at = text.indexOf("@")
  const [rule, where] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)]
  if (at < 0 || where === "") {
    return Effect.fail(new CheckError({ message: `--allow takes RULE@/namespace:event, not ${text}` }))
  }
  if (rule !== "*" && !(rule in ContractDiff.rules)) {
    const known = Object.keys(ContractDiff.rules).join(", ")
    return Effect.fail(new CheckError({ message: `there is no rule ${rule}; there are ${known}` }))
  }
  const isIn = (place: string) =>
    where === "*" || place === where || (where.endsWith("*") && place.startsWith(where.slice(0, -1)))
  return Effect.succeed({ text, allows: (change) => (rule === "*" || change.rule === rule) && isIn(change.where) })
}

const readSnapshot = (path: string) =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    if (!(yield* files.exists(path))) return undefined
    const text = yield* files.readFileString(path)
    return yield* Effect.try({
      try: () => ContractDiff.parse(text),
      catch: (error) => new CheckError({ message: `${path}: ${(error as Error).message}` })
    })
  })

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

const describe = (change: ContractDiff.Change, isAllowed: boolean): string => {
  const level = isAllowed ? `allowed (${change.level})` : change.level
  const place = change.path === "" ? "" : ` (${change.path})`
  const danger = change.breaks === "nobody" ? "" : `; endangers ${change.breaks}`
  return `  ${level}: ${change.message}${place} [${change.rule}]${danger}`
}

/** The changes for people, by event. */
const report = (
  changes: ReadonlyArray<ContractDiff.Change>,
  isAllowed: (change: ContractDiff.Change) => boolean,
  shown: ReadonlyArray<ContractDiff.Level>
): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const where of new Set(changes.map((change) => change.where))) {
    const own = changes.filter((change) => change.where === where && shown.includes(change.level))
    if (own.length > 0) lines.push(where, ...own.map((change) => describe(change, isAllowed(change))))
  }
  return lines
}

const run = Effect.fnUntraced(function* (options: {
  readonly against: string
  readonly update: boolean
  readonly allow: ReadonlyArray<string>
  readonly all: boolean
  readonly json: boolean
  readonly modules: ReadonlyArray<string>
}) {
  const { against, json, modules, update } = options
  const files = yield* FileSystem.FileSystem
  const allowances = yield* Effect.forEach(options.allow, allowanceOf)
  const contracts = yield* loadContracts(modules)
  const after = yield* Effect.try({
    try: () => ContractDiff.snapshot(contracts),
    catch: (error) => new CheckError({ message: (error as Error).message })
  })
  const before = yield* readSnapshot(against)
  if (before === undefined && !update) {
    return yield* new CheckError({ message: `there is no ${against}; --update writes it` })
  }
  const changes = before === undefined ? [] : ContractDiff.compare(before, after)
  const isAllowed = (change: ContractDiff.Change) => allowances.some(({ allows }) => allows(change))
  const refused = changes.filter((change) => change.level === "breaking" && !isAllowed(change))
  const unused = allowances.filter(({ allows }) => !changes.some(allows)).map(({ text }) => text)
  const text = ContractDiff.stringify(after)
  const isWritten = update && refused.length === 0
  if (isWritten) yield* files.writeFileString(against, text)
  const uncompared = ContractDiff.uncompared(after)
  if (json) {
    const list = changes.map((change) => ({ ...change, allowed: isAllowed(change) }))
    const result = { ok: refused.length === 0, against, updated: isWritten, changes: list, unused, uncompared }
    yield* Console.log(JSON.stringify(result, undefined, 2))
  } else {
    const shown: ReadonlyArray<ContractDiff.Level> = options.all ? ["breaking", "risky", "safe"] : ["breaking", "risky"]
    for (const line of report(changes, isAllowed, shown)) yield* Console.log(line)
    const count = (level: ContractDiff.Level) => changes.filter((change) => change.level === level).length
    const counts = (["breaking", "risky", "safe"] as const).map((level) => `${count(level)} ${level}`).join(", ")
    yield* Console.log(
      before === undefined
        ? `${plural(contracts.length, "contract")}, no snapshot before`
        : `${plural(contracts.length, "contract")}, ${plural(changes.length, "change")}: ${counts}`
    )
    for (const text of unused) yield* Console.log(`--allow ${text} allows nothing`)
    const hidden = Object.values(uncompared).reduce((sum, count) => sum + count, 0)
    if (hidden > 0) {
      const places = Object.keys(uncompared).join(", ")
      yield* Console.log(`not compared: the code of ${plural(hidden, "check")} without an identifier, in ${places}`)
    }
    if (isWritten) yield* Console.log(`${against} is written`)
    if (refused[0] !== undefined) {
      const { rule, where } = refused[0]
      yield* Console.log(`to allow a breaking change: --allow ${rule}@${where}`)
    }
  }
  if (refused.length > 0) return yield* new Refused()
  if (before !== undefined && !update && ContractDiff.stringify(before) !== text && !json) {
    yield* Console.log(`${against} is of the contracts before; --update writes those of now`)
  }
})

/**
 * `contracts check`: compares contracts with the snapshot in a file. It fails on a breaking change.
 */
export const check = Command.make(
  "check",
  {
    against: Flag.String("against").pipe(
      Flag.withDescription("the file with the snapshot; default: contracts.json"),
      Flag.withDefault("contracts.json")
    ),
    update: Flag.Boolean("update").pipe(
      Flag.withDescription("write the snapshot, unless a change is breaking and not allowed"),
      Flag.withDefault(false)
    ),
    allow: Flag.String("allow").pipe(
      Flag.withDescription("RULE@/namespace:event: a breaking change that is wanted; * stands for anything"),
      Flag.atLeast(0)
    ),
    all: Flag.Boolean("all").pipe(Flag.withDescription("show safe changes, too"), Flag.withDefault(false)),
    json: Flag.Boolean("json").pipe(Flag.withDescription("print JSON for programs"), Flag.withDefault(false)),
    modules: Argument.String("module").pipe(
      Argument.withDescription("modules that export contracts; TypeScript works where Node runs it"),
      Argument.variadic({ min: 1 })
    )
  },
  (options) =>
    Effect.tapCause(run(options), (cause) => {
      const { error } = (cause.reasons.find(Cause.isFailReason) ?? {}) as { readonly error?: { readonly _tag: string } }
      if (error instanceof Refused) return Effect.void
      return Console.error(`error: ${error instanceof CheckError ? error.message : Cause.pretty(cause)}`)
    })
).pipe(
  Command.withDescription(
    "Compares contracts with a snapshot of those that clients in the field have. Fails on a breaking change."
  )
)
