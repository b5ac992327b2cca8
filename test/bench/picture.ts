/**
 * A table of scenarios as a picture: a bar per row, as long as the ratio to the reference, in SVG.
 */

/** A row of the table, as `compare` writes it. */
export interface Drawn {
  readonly title: string
  readonly unit: string
  readonly reference: string
  readonly ours: string
  readonly ratio: number
  readonly least: number
  readonly most: number
}

const HEAD = /^\| scenario \| unit \|/

/** The rows of the first table of scenarios in a Markdown text. */
export const rowsOf = (markdown: string): ReadonlyArray<Drawn> => {
  const lines = markdown.split("\n")
  const head = lines.findIndex((line) => HEAD.test(line))
  if (head < 0) throw new Error("there is no table of scenarios")
  const end = lines.findIndex((line, i) => i > head && !line.startsWith("|"))
  return lines.slice(head + 2, end < 0 ? undefined : end).map((line) => {
    const [title, unit, reference, ours, ratio, spread] = line.slice(2, -2).split(" | ")
    const [least, most] = spread!.split("–").map(Number)
    const row = {
      title: title!,
      unit: unit!,
      reference: reference!,
      ours: ours!,
      ratio: Number(ratio),
      least: least!,
      most: most!
    }
    if (![row.ratio, row.least, row.most].every(Number.isFinite)) throw new Error(`no figures: ${line}`)
    return row
  })
}

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const MORE_IS_BETTER = " (more is better)"

/** A row whose bar says how much ours needs: of what is better if it is more, that is how much longer it takes for as many. */
const normal = ({ least, most, ratio, title, ...rest }: Drawn): Drawn =>
  title.endsWith(MORE_IS_BETTER)
    ? { ...rest, title: title.slice(0, -MORE_IS_BETTER.length), ratio: 1 / ratio, least: 1 / most, most: 1 / least }
    : { ...rest, title, ratio, least, most }

const WIDTH = 860
const LEFT = 272
const RIGHT = 214
const TOP = 66
const LINE = 28
const BAR = 16

const STYLE = `
  text { font: 13px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .head { font-size: 15px; font-weight: 600 }
  .soft { fill: #59636e; font-size: 12px }
  .value { font-weight: 600 }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .one { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 4 3 }
  .less { fill: #0f766e }
  .more { fill: #c2410c }
  .spread { stroke: #1f2328; stroke-width: 1.5; stroke-opacity: 0.55 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .soft { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .one { stroke: #9198a1 }
    .less { fill: #2dd4bf }
    .more { fill: #fb923c }
    .spread { stroke: #f0f6fc }
  }
`

/** Draws rows: ours against the reference, which is a line at 1. */
export const draw = (table: ReadonlyArray<Drawn>, reference: string): string => {
  const rows = table.map(normal)
  // Whole quarters, and at least one beyond the line.
  const end = Math.max(1.25, Math.ceil(Math.max(...rows.map(({ most }) => most)) * 4) / 4)
  const scale = (WIDTH - LEFT - RIGHT) / end
  const x = (value: number): string => (LEFT + value * scale).toFixed(1)
  const bottom = TOP + rows.length * LINE
  const parts: Array<string> = []
  for (let value = 0; value <= end; value += end > 3 ? 1 : 0.25) {
    if (value === 1) continue
    parts.push(`<line class="grid" x1="${x(value)}" x2="${x(value)}" y1="${TOP - 4}" y2="${bottom}"/>`)
    parts.push(`<text class="soft" x="${x(value)}" y="${bottom + 18}" text-anchor="middle">${value}</text>`)
  }
  for (const [i, row] of rows.entries()) {
    const y = TOP + i * LINE
    const middle = y + LINE / 2
    const text = middle + 4.5
    const kind = row.ratio <= 1 ? "less" : "more"
    parts.push(
      `<text x="${LEFT - 10}" y="${text}" text-anchor="end">${escape(row.title)}</text>`,
      `<rect class="bar ${kind}" x="${x(0)}" y="${middle - BAR / 2}" width="${(row.ratio * scale).toFixed(1)}" height="${BAR}" rx="2"/>`,
      `<line class="spread" x1="${x(row.least)}" x2="${x(row.most)}" y1="${middle}" y2="${middle}"/>`,
      `<text class="value" x="${WIDTH - RIGHT + 12}" y="${text}">${row.ratio.toFixed(2)}</text>`,
      `<text class="soft" x="${WIDTH - RIGHT + 52}" y="${text}">${escape(`${row.ours} vs ${row.reference} ${short(row.unit)}`)}</text>`
    )
  }
  parts.push(
    `<line class="one" x1="${x(1)}" x2="${x(1)}" y1="${TOP - 4}" y2="${bottom}"/>`,
    `<text class="soft" x="${x(1)}" y="${bottom + 18}" text-anchor="middle">1 = ${escape(reference)}</text>`
  )
  const height = bottom + 30
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">
<title id="title">Cost of effect-socket.io as a part of that of ${escape(reference)}: less is better</title>
<style>${STYLE}</style>
<text class="head" x="12" y="24">Cost of effect-socket.io as a part of that of ${escape(reference)}</text>
<text class="soft" x="12" y="44">shorter is better; thin lines: the spread over pairs of runs; at the right: both in figures</text>
${parts.join("\n")}
</svg>
`
}

/** The unit without its operation, which the title says. */
const short = (unit: string): string => unit.replace(/^(µs|ns) per .*$/, "$1")
