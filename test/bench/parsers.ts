/**
 * Encoders and decoders alone, against socket.io-parser and engine.io-parser.
 */
import type { Comparison } from "./compare.ts"
import type { Figures } from "./load/channel.ts"
import { packets, payloads } from "./micro/packets.ts"
import { runAlone } from "./processes.ts"
import { cells, columns, table } from "./statistics.ts"

/** Measures in a fresh process for each repetition, and gives the table. */
export const parsers = async ({ options, progress }: Comparison): Promise<string> => {
  const repetitions: Array<Figures> = []
  for (let i = 0; i < options.repetitions; i++) {
    progress.step(`parsers, repetition ${i + 1}`)
    repetitions.push(
      await runAlone("micro/main.ts", options.quick ? { slice: 5, slices: 3 } : { slice: 40, slices: 7 })
    )
  }
  const rows: Array<ReadonlyArray<string>> = []
  for (const direction of ["encode", "decode"]) {
    for (const name of Object.keys({ ...packets, ...payloads })) {
      const task = `${direction} ${name}`
      const pairs = repetitions.map((figures) => ({
        reference: figures[`reference ${task}`]!,
        ours: figures[`ours ${task}`]!
      }))
      rows.push([task, ...cells(pairs)])
    }
  }
  return `CPU, ns per packet or payload:\n\n${table(["parsers alone", ...columns], rows)}`
}
