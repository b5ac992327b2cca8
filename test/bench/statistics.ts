/**
 * Numbers of several repetitions, and how they are written.
 */

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** What a repetition gave for both servers. */
export interface Pair {
  readonly reference: number
  readonly ours: number
}

export const format = (value: number): string =>
  Math.abs(value) >= 100
    ? Math.round(value).toLocaleString("en-US")
    : value.toFixed(Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3)

/**
 * The cells of a comparison: medians of both, the median of the ratios of same-repetition pairs, and the least and the greatest
 * of these.
 */
export const cells = (pairs: ReadonlyArray<Pair>): ReadonlyArray<string> => {
  const ratios = pairs.map(({ ours, reference }) => ours / reference)
  return [
    format(median(pairs.map(({ reference }) => reference))),
    format(median(pairs.map(({ ours }) => ours))),
    median(ratios).toFixed(2),
    `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`
  ]
}

export const columns = ["reference", "ours", "ratio", "spread"] as const

/** A table in Markdown; the first `texts` columns are text, the others numbers. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>, texts = 1): string => {
  const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`
  return [line(head), `|${head.map((_, i) => (i < texts ? "---" : "---:")).join("|")}|`, ...rows.map(line)].join("\n")
}
