/**
 * The command line.
 */
import { parseArgs } from "node:util"

import { defaults, type Parameters, scenarios } from "./scenarios.ts"

export interface Options {
  /** Of `scenarios`, and `growth` and `parsers`. */
  readonly names: ReadonlyArray<string>
  readonly repetitions: number
  readonly quick: boolean
  /** A file that gets a line for every single run. */
  readonly json: string | undefined
  /** Whether the runs in that file count, and are not repeated. */
  readonly resume: boolean
  /** A file that gets a picture of the table. */
  readonly svg: string | undefined
  /** A file whose table is drawn; nothing is measured then. */
  readonly from: string | undefined
  /** Another checkout of this project, whose server takes the official one's place. */
  readonly against: string | undefined
  /** By how many percent a row may be worse than that of the other checkout. */
  readonly within: number
  /** Parameters that take the places of the scenarios' own. */
  readonly parameters: Partial<Parameters>
}

const others = new Set(["growth", "parsers"])

const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

const parameterNames = Object.keys(defaults) as ReadonlyArray<keyof Parameters>

export const help = `npm run bench -- [options]

  --scenario A,B     what is measured: ${Object.keys(scenarios).join(", ")};
                     growth (with the number of connections and of room members); parsers (encoders and decoders alone).
                     By default all but the last two.
  --repetitions N    how often each server is measured; 5, or 1 with --quick
  --quick            less load for shorter times: to look at, not to conclude from
  --json FILE        appends the figures of every run as a line
  --resume           takes the runs that are in that file already from there: goes on where it was broken off, or adds up what
                     was measured in parts
  --svg FILE         draws the table of the scenarios
  --from FILE        draws the first table of such a kind in a Markdown file, as the guide or what this command has printed is;
                     measures nothing
  --against PATH     measures another checkout of this project in the official server's place, turn by turn with this one.
                     Scenarios whose ratios vary are measured more often. Fails where a row is worse by more than
  --within N         percent; 3
  --help

Parameters of the scenarios' load may be set for all of them: ${parameterNames.map((name) => `--${kebab(name)}`).join(" ")}
`

const positive = (option: string, value: string): number => {
  const number = Number(value)
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${option}: not a positive integer: ${value}`)
  return number
}

/** Reads the arguments; `undefined` if help is asked for. Throws on what makes no sense. */
export const parse = (args: ReadonlyArray<string>): Options | undefined => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries(parameterNames.map((name) => [kebab(name), { type: "string" as const }])),
      scenario: { type: "string" },
      repetitions: { type: "string" },
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      resume: { type: "boolean", default: false },
      svg: { type: "string" },
      from: { type: "string" },
      against: { type: "string" },
      within: { type: "string" },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return undefined
  const names = values.scenario === undefined ? Object.keys(scenarios) : values.scenario.split(",")
  for (const name of names) {
    if (!Object.hasOwn(scenarios, name) && !others.has(name)) throw new Error(`no such scenario: ${name}`)
  }
  if (values.from !== undefined && values.svg === undefined) throw new Error("--from: needs --svg")
  if (values.resume && values.json === undefined) throw new Error("--resume: needs --json")
  if (values.within !== undefined && values.against === undefined) throw new Error("--within: needs --against")
  if (values.against !== undefined && names.includes("parsers")) {
    throw new Error("--against: parsers are measured within one process, without servers")
  }
  const given: Readonly<Record<string, unknown>> = values
  const parameters: Partial<Record<keyof Parameters, number>> = {}
  for (const name of parameterNames) {
    const value = given[kebab(name)]
    if (typeof value === "string") parameters[name] = positive(kebab(name), value)
  }
  return {
    names,
    repetitions:
      values.repetitions === undefined ? (values.quick ? 1 : 5) : positive("repetitions", values.repetitions),
    quick: values.quick,
    json: values.json,
    resume: values.resume,
    svg: values.svg,
    from: values.from,
    against: values.against,
    within: values.within === undefined ? 3 : positive("within", values.within),
    parameters
  }
}
