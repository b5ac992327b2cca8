/**
 * The questions that somebody who is not attacked asks meanwhile.
 */

/** The pause between two questions, in milliseconds. */
export const PAUSE = 25

/** How long a question may take to be answered, in milliseconds. */
export const PATIENCE = 3_000

/** The results of a while. */
export interface Answers {
  /** How long each answer took, in milliseconds; a question without one as long as was waited. */
  readonly latencies: ReadonlyArray<number>
  readonly lost: number
  readonly disconnected: string | undefined
}
