/**
 * The common part of the servers under measurement: settings by environment (PORT, USAGE_PORT, PING_INTERVAL and PING_TIMEOUT
 * in milliseconds), a side port that says what the process has used, and their end.
 */
import * as Http from "node:http"

/** The resources that a server process has used: processor time in microseconds since its start, memory in bytes now. */
export interface Usage {
  readonly user: number
  readonly system: number
  readonly rss: number
  readonly heapUsed: number
}

const setting = (name: string, fallback: number): number => Number(process.env[name] ?? fallback)

export const settings = {
  port: setting("PORT", 3000),
  pingInterval: setting("PING_INTERVAL", 25_000),
  pingTimeout: setting("PING_TIMEOUT", 20_000)
} as const

const collect = () => {
  // Several times: what finalizers release goes with the next collection.
  for (let i = 0; i < 3; i++) void globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" })
}

/** Answers `GET /__usage[?gc=1]` on USAGE_PORT, if it is set, and ends the process with whoever started it. */
export const serveUsage = (): void => {
  const port = setting("USAGE_PORT", 0)
  if (port > 0) {
    Http.createServer((request, response) => {
      if (request.url?.includes("gc=1")) collect()
      const { system, user } = process.cpuUsage()
      const { heapUsed, rss } = process.memoryUsage()
      const body = JSON.stringify({ user, system, rss, heapUsed } satisfies Usage)
      response.writeHead(200, { "content-type": "application/json", connection: "close" })
      response.end(body)
    }).listen(port, "127.0.0.1")
  }
  // Profilers write their files at a plain exit.
  const end = () => process.exit(0)
  process.on("SIGTERM", end)
  process.on("disconnect", end)
}
