/**
 * The file with the figures of every single run, in which a comparison can go on that was broken off.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs"

import type { Figures } from "./load/channel.ts"
import type { Run } from "./processes.ts"
import type { ServerName } from "./servers.ts"

/** A run of one server. */
export interface Entry {
  readonly scenario: string
  readonly server: ServerName
  /** The other checkout, if it is one. */
  readonly against: string | undefined
  readonly repetition: number
  readonly load: Run
}

/** Whose figures count as the same: runs of another load, or against another server, do not. */
const keyOf = ({ against, load, repetition, scenario, server }: Entry): string =>
  JSON.stringify([scenario, server, against ?? null, repetition, load.kind, Object.entries(load.parameters).toSorted()])

export class Journal {
  private readonly file: string | undefined
  private readonly known = new Map<string, Figures>()

  /** `resumes`: whether the runs in the file count. */
  constructor(file: string | undefined, resumes: boolean) {
    this.file = file
    if (file === undefined || !resumes || !existsSync(file)) return
    const text = readFileSync(file, "utf8")
    for (const line of text.split("\n")) {
      const entry = read(line)
      if (entry?.figures !== undefined) this.known.set(keyOf(entry), entry.figures)
    }
    // The next line is one of its own.
    if (text !== "" && !text.endsWith("\n")) appendFileSync(file, "\n")
  }

  /** The figures of a run, if it is in the file. */
  get(entry: Entry): Figures | undefined {
    return this.known.get(keyOf(entry))
  }

  /** Adds a run, which may have failed. */
  add(entry: Entry, figures: Figures | undefined): void {
    if (this.file !== undefined) appendFileSync(this.file, `${JSON.stringify({ ...entry, figures })}\n`)
  }
}

/** Reads a line. The last one may have been broken off. */
const read = (line: string): (Entry & { readonly figures?: Figures }) | undefined => {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
