/**
 * A rolling restart, and what clients see of it:
 *
 *     node test/drain/rolling.ts
 *     node test/drain/rolling.ts --official 5000 --ours 500 --events 2000 --over 25000 --rate 500
 *     node test/drain/rolling.ts --retries 10 --env '{"RECOVERY":"1","STREAMS":"1"}'
 *     node test/drain/rolling.ts --retries 10 --once --env '{"RECOVERY":"1","STREAMS":"1"}'
 *
 * `--once` gives events ids, so that retries do not count twice.
 *
 * It ends with code 1 if an event of a client was lost that had left it before its connection began to close, or was handled twice, if a
 * client of this library saw an outage, if more handshakes came at once than the rate allows, or if a node took too long.
 */
import { parseArgs } from "node:util"

import { type Fate, roll } from "./rollingRestart.ts"

const { values } = parseArgs({
  options: {
    official: { type: "string", default: "300" },
    ours: { type: "string", default: "60" },
    events: { type: "string", default: "500" },
    broadcasts: { type: "string", default: "20" },
    notice: { type: "string", default: "2000" },
    over: { type: "string", default: "5000" },
    rate: { type: "string", default: "50" },
    retries: { type: "string", default: "0" },
    once: { type: "boolean", default: false },
    "without-redis": { type: "boolean", default: false },
    env: { type: "string", default: "{}" }
  }
})

const [notice, over, rate, retries] = [values.notice, values.over, values.rate, values.retries].map(Number) as [
  number,
  number,
  number,
  number
]

const report = await roll(
  {
    official: Number(values.official),
    ours: Number(values.ours),
    events: Number(values.events),
    broadcasts: Number(values.broadcasts),
    notice,
    over,
    rate,
    retries,
    once: values.once,
    redis: !values["without-redis"],
    env: JSON.parse(values.env)
  },
  (line) => console.log(line)
)

const fate = ({ lost, sent, twice }: Fate) => `${sent} sent, ${lost} lost, ${twice} twice`
const clients = Number(values.official) + Number(values.ours)
// All clients of two nodes may be on one of them.
const longest = notice + Math.max(over, (clients / rate) * 1_000) + 5_000

const rows: ReadonlyArray<readonly [what: string, value: string, isGood: boolean | undefined]> = [
  [
    "events of official clients",
    fate(report.official),
    report.official.lost === 0 && (report.official.twice === 0 || (retries > 0 && !values.once))
  ],
  ["… that they dropped after a close frame", String(report.dropped), undefined],
  ["events of this library's clients", fate(report.ours), report.ours.lost === 0 && report.ours.twice === 0],
  ["acknowledgements that these miss", String(report.unanswered), report.unanswered === 0],
  ["broadcasts to official clients", fate(report.toOfficial), report.toOfficial.twice === 0],
  ["broadcasts to this library's", fate(report.toOurs), report.toOurs.twice === 0],
  ["outages of official clients", String(report.officialOutages), undefined],
  ["… the longest", `${Math.round(report.longestOutage)} ms`, undefined],
  ["outages of this library's", String(report.ourOutages), report.ourOutages === 0],
  [
    "handshakes in a second, at most",
    `${report.peak} of ${report.handshakes} (rate ${rate})`,
    report.peak <= 1.2 * rate
  ],
  [
    "… the longest pause of a node, of clients",
    `${Math.round(report.pause)} ms, ${Math.round(report.pauseOfClients)} ms`,
    undefined
  ],
  [
    "ends of nodes",
    report.exits.map((millis) => `${(millis / 1_000).toFixed(1)} s`).join(", "),
    report.exits.every((millis) => millis <= longest)
  ]
]
for (const [what, value, isGood] of rows) {
  console.log(`${what.padEnd(42)} ${value}${isGood === false ? "   <-- not as it should be" : ""}`)
}
process.exit(rows.every(([, , isGood]) => isGood !== false) ? 0 : 1)
