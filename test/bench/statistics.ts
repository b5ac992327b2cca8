/**
 * Numbers of several repetitions, and how they are written.
 */

const sorted = (values: ReadonlyArray<number>): ReadonlyArray<number> => values.toSorted((a, b) => a - b)

/** The value below which a part of the values is, between two of them where none is there. */
const quantile = (values: ReadonlyArray<number>, part: number): number => {
  const inOrder = sorted(values)
  const at = part * (inOrder.length - 1)
  const [below, above] = [inOrder[Math.floor(at)]!, inOrder[Math.ceil(at)]!]
  return below + (above - below) * (at - Math.floor(at))
}

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

/**
 * How far a median may be from that of very many values, as a part of it: its standard error. It comes from the middle half of
 * the values, which a run that something has disturbed does not move.
 */
export const uncertainty = (values: ReadonlyArray<number>): number => {
  if (values.length < 3) return Infinity
  const deviation = (quantile(values, 0.75) - quantile(values, 0.25)) / 1.349
  return (1.253 * deviation) / Math.sqrt(values.length) / Math.abs(median(values))
}

/** A repetition's figures of both servers: ours, and the one that it is compared with. */
export interface Pair {
  readonly reference: number
  readonly ours: number
}

export const ratiosOf = (pairs: ReadonlyArray<Pair>): ReadonlyArray<number> =>
  pairs.map(({ ours, reference }) => ours / reference)

export const format = (value: number): string =>
  Math.abs(value) >= 100
    ? Math.round(value).toLocaleString("en-US")
    : value.toFixed(Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3)

/**
 * The cells of a comparison: medians of both, the median of the ratios of same-repetition pairs, and the least and the greatest
 * of these.
 */
export const cells = (pairs: ReadonlyArray<Pair>, digits = 2): ReadonlyArray<string> => {
  const ratios = ratiosOf(pairs)
  return [
    format(median(pairs.map(({ reference }) => reference))),
    format(median(pairs.map(({ ours }) => ours))),
    median(ratios).toFixed(digits),
    `${Math.min(...ratios).toFixed(digits)}–${Math.max(...ratios).toFixed(digits)}`
  ]
}

export const columns = ["reference", "ours", "ratio", "spread"] as const

/** The lines of a table in Markdown; the first `texts` columns are text, the others numbers. */
export const lines = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  texts = 1
): Array<string> => {
  const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`
  return [line(head), `|${head.map((_, i) => (i < texts ? "---" : "---:")).join("|")}|`, ...rows.map(line)]
}

/** A table in Markdown. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>, texts = 1): string =>
  lines(head, rows, texts).join("\n")
