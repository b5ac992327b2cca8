/**
 * The server that a suite talks to: ours, or with SOCKETIO_TARGET=reference the official one, to check the suite itself. With the name
 * of a runtime (`bun`, `deno`, `node22`, …) it is ours, as a process on that runtime.
 */
import { afterAll } from "@effect/vitest"

import * as ReferenceServer from "./ReferenceServer.ts"
import { isRuntime } from "./runtimePrograms.ts"
import { startOnRuntime } from "./runtimes.ts"
import * as TestServer from "./TestServer.ts"

export type { RunningServer, TestServerOptions } from "./TestServer.ts"

const target = process.env.SOCKETIO_TARGET

/** The runtime that the server runs on, in a process of its own; `undefined` for this process. */
export const runtime = isRuntime(target) ? target : undefined

/** Whether the suite runs against the official server; where ours does better on purpose, it is not asked. */
export const isReference = target === "reference"

export const startServer: typeof TestServer.start =
  runtime !== undefined
    ? (options) => startOnRuntime(runtime, options)
    : isReference
      ? ReferenceServer.start
      : TestServer.start

/** A server that can be started again on its port: who asks the system for a free one does not get one of these. */
export const startOnFixedPort = async (attempts = 20): Promise<TestServer.RunningServer> => {
  const port = 10_000 + Math.floor(Math.random() * 20_000)
  try {
    return await startServer({ port })
  } catch (error) {
    if (attempts === 0 || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error
    return startOnFixedPort(attempts - 1)
  }
}

/** A server for one file of tests, started on first use. */
export const sharedServer = (options: TestServer.TestServerOptions = {}): (() => Promise<TestServer.RunningServer>) => {
  let running: Promise<TestServer.RunningServer> | undefined
  afterAll(async () => {
    await (await running)?.stop()
  })
  return () => (running ??= startServer(options))
}
