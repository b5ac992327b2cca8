/**
 * The cost of a byte for the server at every entrance, and for the other clients:
 *
 *     npm run hostile:cost                               # every entrance; half an hour, on a machine that is quiet
 *     npm run hostile:cost -- --only auth                # those whose names have it
 *     npm run hostile:cost -- --only auth --seconds 5    # longer: the seconds for which each is attacked
 *     npm run hostile:cost -- --side node                # of one side: node, routed, bun, deno, nodeInDeno, client
 *     npm run hostile:cost -- --list yes
 *
 * It fails where a byte costs more than ten times as much as one of the ordinary message of its
 * transport (which these are, the table says, and they are the first rows), and where the p99 of an
 * honest client is more than twice as long as without the attack. Where it is attacked with messages
 * of a megabyte, or with connections or sessions that come and go, it is compared with ordinary ones
 * of these: the same collections of garbage are part of both. An entrance that cannot keep this has a bound of its
 * own, with the reason. The work that a platform does before the library learns of it is told, and fails nothing.
 *
 * A byte costs what the server's processor spent, user and system, on what it read from the
 * attacker, without what it spends when there is none: in all turns together, from the first byte
 * on. Bytes are counted where the server reads them: what waits in the kernel has cost nothing yet.
 * A connection that brings nearly none is compared by the connection. Where a message comes in small
 * segments of TCP the heads of these count, 40 bytes each. So does a request's head, in what is
 * ordinary as well as in what is not: both are as short as they may be.
 *
 * Where the platform does not tell what a server has read (Bun, Deno), or for a client, that is what
 * the attacker has given to the kernel, without what waits there; what was on its way on a
 * connection that has ended counts, too. Servers that pass requests on to one another are two of
 * one process, and both count. Sessions that are left to expire have a heartbeat of two seconds. A
 * client under attack is a client of an honest server, too, which it asks the questions.
 *
 * The server has its default options. It is a fresh one for each entrance, as some leave sessions
 * behind until they time out, and has warmed up. Attack and quiet take turns, three times; times to
 * answer are medians of these, which what a shared machine does now and then does not move. In each
 * turn some 40 questions are asked: their p99 is their longest. That without an attack is of the
 * last 600 at all entrances. An entrance that seems to be beyond a bound is measured three times as
 * long, and these figures count. The attacker writes frames that it made before, and gives way to the
 * honest client, whose processor it shares. A difference of less than 1.5 ms is nothing: so much do
 * the two of them, or a collection, do to each other.
 *
 * The held memory is heap and memory outside of it, after a collection while the attack goes on, per
 * session or connection.
 */
import { check, settings, table } from "../bench/roles.ts"
import { Progress } from "../support/progress.ts"
import { isInstalled } from "../support/runtimePrograms.ts"
import { type Entrance, sideOf, type Transport, transports } from "./cost/entrance.ts"
import { entrances } from "./cost/entrances.ts"
import { Bench, ROUNDS, type Row, RUNTIMES } from "./cost/measure.ts"

/** How much more a byte may cost than an ordinary one. */
const MOST = 10

/** How much longer answers may take, and what does not count of it, in milliseconds. */
const SLOWER = 2
const FLOOR = 1.5

/** How many times as long an entrance is measured that seems to be beyond a bound. */
const LONGER = 3

/** The p99 beside what is ordinary, in milliseconds at most: it is what others are compared with. */
const ORDINARY = 20

const { list, only, seconds, side } = settings({ only: "", seconds: 3, list: "", side: "" })

const isThere = (entrance: Entrance): boolean => {
  const runtime = RUNTIMES[sideOf(entrance)]
  return runtime === undefined || isInstalled(runtime)
}

const named = entrances.filter(
  (entrance) =>
    entrance.isOrdinary !== true && entrance.name.includes(only) && (side === "" || sideOf(entrance) === side)
)
const chosen = named.filter(isThere)
for (const [host, name] of [
  ["bun", "Bun"],
  ["deno", "Deno"]
] as const) {
  const left = named.filter((entrance) => RUNTIMES[sideOf(entrance)]?.endsWith(host) && !isThere(entrance)).length
  if (left > 0) console.log(`${left} entrances of a server on ${name} are left out: npm has not installed it`)
}
if (chosen.length === 0) throw new Error(`no entrance has "${only}" in its name`)
if (list !== "") {
  for (const { name } of entrances) console.log(name)
  process.exit(0)
}

/** Whether it opens a connection for each of a few bytes. */
const opens = (entrance: Entrance): boolean => entrance.opens === true || entrance.transport === "connection"

const ordinary = entrances.filter((one) => {
  const { isOrdinary, transport } = one
  return (
    isOrdinary === true &&
    chosen.some(
      (entrance) =>
        sideOf(entrance) === sideOf(one) &&
        (entrance.transport === transport ||
          (entrance.isLarge === true && transport === "large") ||
          (opens(entrance) && transport === "connection"))
    )
  )
})
const all = [...ordinary, ...chosen]

const usual = new Map<string, Row>()
const usualOf = (entrance: Entrance, transport: Transport = entrance.transport): Row =>
  usual.get(`${sideOf(entrance)} ${transport}`)!
const ratioOf = ({ entrance, perByte, perLife }: Row): number => {
  const row = usualOf(entrance)
  return entrance.isPerConnection === true ? perLife / row.perLife : perByte / row.perByte
}
const isDear = (row: Row): boolean => !(ratioOf(row) <= MOST)
/**
 * The honest client's p99 beside what is ordinary. That is as good as none where it is neither large
 * nor opens connections or sessions.
 */
const besideOrdinary = ({ entrance, quiet }: Row): number =>
  Math.max(
    quiet,
    entrance.isLarge === true ? usualOf(entrance, "large").attacked : 0,
    opens(entrance) ? usualOf(entrance, "connection").attacked : 0,
    entrance.transport === "handshake" ? usualOf(entrance).attacked : 0
  )
const isSlow = (row: Row): boolean => {
  if (row.entrance.isByPlatform === true) return false
  const ordinary = besideOrdinary(row)
  return !(row.attacked <= (row.entrance.slower ?? SLOWER) * ordinary || row.attacked - ordinary <= FLOOR)
}

const rows: Array<Row> = []
const progress = new Progress({ steps: all.length })
const bench = new Bench(seconds)
/** What a server warms up with. */
const warmUpOf = (entrance: Entrance): string =>
  [...ordinary, entrance].find((one) => sideOf(one) === sideOf(entrance))!.name
for (const entrance of all) {
  progress.step(entrance.name)
  let row = await bench.measure(entrance, warmUpOf(entrance))
  if (entrance.isOrdinary !== true && (isDear(row) || isSlow(row))) {
    progress.print(`${entrance.name}: p99 ${row.attacked.toFixed(1)} ms, × ${ratioOf(row).toFixed(1)}; once more`)
    row = await bench.measure(entrance, warmUpOf(entrance), LONGER * ROUNDS)
  }
  rows.push(row)
  if (entrance.isOrdinary === true) {
    // On a machine that is too busy to measure this there is nothing to compare with. Of large
    // messages only the times are compared.
    if (!(row.perByte > 0) && entrance.isLarge !== true)
      throw new Error(`${entrance.name} was not measured: ${row.problem ?? "it cost nothing"}`)
    usual.set(`${sideOf(entrance)} ${entrance.transport}`, row)
  }
  const { attacked, perByte, problem, quiet } = row
  const verdict = [isDear(row) ? "DEAR" : "", isSlow(row) ? "SLOW" : "", problem ?? ""].filter(Boolean).join(", ")
  progress.print(
    `${rows.length} of ${all.length}  ${entrance.name}: ${perByte.toFixed(3)} µs per byte (× ${ratioOf(row).toFixed(1)}), ` +
      `p99 ${quiet.toFixed(1)} → ${attacked.toFixed(1)} ms  ${verdict}`
  )
}
progress.end()
await bench.stop()

console.log()
for (const transport of new Set(ordinary.map(({ transport }) => transport)))
  console.log(`ordinary, ${transport}: ${transports[transport]}`)
console.log()
table(
  ["compared with", "µs per byte", "ratio", "MB/s", "p99 quiet", "p99", "held", "of", "lives", ""],
  rows.map((row) => [
    row.entrance.name,
    row.entrance.transport,
    row.perByte.toFixed(3),
    ratioOf(row).toFixed(1),
    (row.rate / 1e6).toFixed(2),
    `${row.quiet.toFixed(1)} ms`,
    `${row.attacked.toFixed(1)} ms`,
    `${(row.held / 1e3).toFixed(1)} kB`,
    String(row.sessions),
    String(row.lives),
    [isDear(row) ? "DEAR" : "", isSlow(row) ? "SLOW" : "", row.problem ?? ""].filter(Boolean).join(" ")
  ])
)
console.log()
check(
  `every entrance was measured`,
  rows.every(({ entrance, problem }) => problem === undefined || entrance.isByPlatform === true)
)
for (const row of rows.filter(({ problem }) => problem !== undefined)) {
  console.log(`     ${row.entrance.name}: ${row.problem}`)
}
check(`no byte costs more than ${MOST} times an ordinary one`, !rows.some(isDear))
for (const row of rows.filter(isDear)) console.log(`     ${row.entrance.name}: × ${ratioOf(row).toFixed(1)}`)
check(
  `the honest client's p99 is within ${ORDINARY} ms beside what is ordinary`,
  !rows.some(({ attacked, entrance }) => entrance.isOrdinary === true && attacked > ORDINARY)
)
check(`the honest client's p99 is within ${SLOWER} times that without the attack, or as said below`, !rows.some(isSlow))
for (const row of rows) {
  const { attacked, entrance } = row
  const { isByPlatform, slower } = entrance
  if (slower === undefined && isByPlatform !== true && !isSlow(row)) continue
  const bound =
    isByPlatform === true
      ? " (the platform's own, see its entrance)"
      : slower === undefined
        ? ""
        : ` (bound: × ${slower}, see its entrance)`
  console.log(`     ${entrance.name}: ${besideOrdinary(row).toFixed(1)} → ${attacked.toFixed(1)} ms${bound}`)
}
