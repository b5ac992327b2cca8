/**
 * How much of what is generated, repeated or told apart by row a run of the tests does. With `FULL=1` it is all of it; CI does a part of
 * it, and a run on a user's machine as much as notices a mistake. The tests and their assertions are the same.
 */

const isSet = (value: string | undefined): boolean => value !== undefined && !["", "0", "false"].includes(value)

/** Whether this is CI, where nothing may be missing. */
export const isCi = isSet(process.env["CI"])

/** Whether everything is run, however long it takes: what CI leaves out has a twin there that differs in little. */
export const isExhaustive = isSet(process.env["FULL"])

export const isFull = isCi || isExhaustive

/** A third of a number. It is round, as some are sent a hundred at a time. */
const third = (full: number): number => (full >= 1_000 ? Math.ceil(full / 300) * 100 : Math.ceil(full / 3))

/** A number of seeds, rounds or inputs. CI does a third of them, and no fewer than a quick run. */
export const count = (full: number, quick: number): number =>
  isExhaustive ? full : isCi ? Math.max(quick, third(full)) : quick

/** Rows of which the essential ones are enough, in CI, too. */
export const rows = <A>(all: ReadonlyArray<A>, isEssential: (row: A) => boolean): ReadonlyArray<A> =>
  isExhaustive ? all : all.filter(isEssential)

/** The same for what takes minutes, with the number of CI. */
export const costly = (full: number, ci: number, quick: number): number => (isExhaustive ? full : isCi ? ci : quick)
