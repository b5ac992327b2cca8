/**
 * How the load generator talks to the process that started it.
 */

/** The figures, by name. */
export type Figures = Readonly<Record<string, number>>

/** The only message of a load generator. */
export type Outcome = { readonly figures: Figures } | { readonly error: string }

const leave = (outcome: Outcome): void => {
  process.send!(outcome, undefined, {}, () => process.exit("error" in outcome ? 1 : 0))
}

let ended = false

/** Reports what was measured, and ends the process. */
export const report = (figures: Figures): void => {
  if (ended) return
  ended = true
  leave({ figures })
}

/** Reports that something went wrong, and ends the process: figures of a run with errors are none. */
export const fail = (error: unknown): void => {
  if (ended) return
  ended = true
  leave({ error: error instanceof Error ? error.message : String(error) })
}
