/**
 * The process that measures encoders and decoders, in nanoseconds of processor time per packet or payload.
 */
import { fail, report } from "../load/channel.ts"
import { median } from "../statistics.ts"
import { type Codec, ours, reference } from "./codecs.ts"
import { packets, payloads } from "./packets.ts"

process.on("disconnect", () => process.exit(1))

/** `slice` is the least time of a slice, in milliseconds. */
const { slice, slices } = JSON.parse(process.argv[2]!) as { readonly slice: number; readonly slices: number }

/** The results are counted, so that nothing can be left out. */
let made = 0
const count = () => {
  made++
}

type Task = () => void

const tasks = (codec: Codec): Record<string, Task> => {
  const tasks: Record<string, Task> = {}
  for (const [name, packet] of Object.entries(packets)) {
    const messages = codec.encode(packet)
    const decode = codec.makeDecoder(count)
    tasks[`encode ${name}`] = () => {
      made += codec.encode(packet).length
    }
    tasks[`decode ${name}`] = () => {
      for (const message of messages) decode(message)
    }
  }
  for (const [name, batch] of Object.entries(payloads)) {
    const payload = codec.encodePayload(batch)
    const decode = codec.makePayloadDecoder(count)
    tasks[`encode ${name}`] = () => {
      made += codec.encodePayload(batch).length
    }
    tasks[`decode ${name}`] = () => decode(payload)
  }
  return tasks
}

const nanoseconds = (task: Task, times: number): number => {
  const before = process.cpuUsage()
  for (let i = 0; i < times; i++) task()
  const { system, user } = process.cpuUsage(before)
  return ((user + system) * 1000) / times
}

/** How often a task is to be done to take the time of a slice. */
const timesOf = (task: Task): number => {
  for (let times = 64; ; times *= 2) if ((nanoseconds(task, times) * times) / 1e6 >= slice) return times
}

const run = () => {
  const both = { reference: tasks(reference), ours: tasks(ours) }
  // Both see every form of packet before anything is measured, as servers do.
  for (let i = 0; i < 3; i++) {
    for (const codec of Object.values(both)) for (const task of Object.values(codec)) nanoseconds(task, 50 * slice)
  }
  const figures: Record<string, number> = {}
  for (const name of Object.keys(both.ours)) {
    const times = { reference: timesOf(both.reference[name]!), ours: timesOf(both.ours[name]!) }
    const taken = { reference: [] as Array<number>, ours: [] as Array<number> }
    for (let i = 0; i < slices; i++) {
      for (const codec of ["reference", "ours"] as const)
        taken[codec].push(nanoseconds(both[codec][name]!, times[codec]))
    }
    for (const codec of ["reference", "ours"] as const) figures[`${codec} ${name}`] = median(taken[codec])
  }
  if (made === 0) throw new Error("nothing was encoded or decoded")
  return figures
}

try {
  report(run())
} catch (error) {
  fail(error)
}
