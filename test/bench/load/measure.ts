/**
 * The measurement itself: what the server's process uses while operations are counted here.
 */
import * as Http from "node:http"

import type { Usage } from "../usage.ts"
import type { Figures } from "./channel.ts"

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })

/** Asks the server's process what it has used; with `collect` it collects garbage first. */
export const usageOf = (port: number, collect = false): Promise<Usage> =>
  new Promise((resolve, reject) => {
    const path = `/__usage${collect ? "?gc=1" : ""}`
    Http.get({ port, host: "127.0.0.1", path, agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => {
        body += chunk
      })
      response.on("end", () => resolve(JSON.parse(body)))
    }).on("error", reject)
  })

const own = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

/**
 * Measures while `run` runs. `cpu` and `system` are the server's microseconds per operation, `rate` operations per second;
 * `serverLoad` and `clientLoad` say how busy the processes were: near 1 the client was the limit of the rate, not of `cpu`.
 */
export const measure = async (
  usagePort: number,
  count: () => number,
  run: () => Promise<unknown>
): Promise<Figures> => {
  const before = await usageOf(usagePort)
  const countBefore = count()
  const ownBefore = own()
  const start = performance.now()
  await run()
  const after = await usageOf(usagePort)
  const operations = count() - countBefore
  const milliseconds = performance.now() - start
  const system = after.system - before.system
  const cpu = after.user - before.user + system
  return {
    operations,
    cpu: cpu / operations,
    system: system / operations,
    rate: (operations / milliseconds) * 1000,
    serverLoad: cpu / 1000 / milliseconds,
    clientLoad: (own() - ownBefore) / 1000 / milliseconds
  }
}
