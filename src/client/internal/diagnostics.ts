import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"

import { parseDebug } from "../../internal/debugNamespaces.ts"
import { log } from "../../internal/log.ts"

/** The parts of the client that log what they do, as `socket.io-client:engine` and so on. */
export type Scope = "engine" | "manager" | "socket"

type Annotations = Readonly<Record<string, unknown>>

export interface Diagnostics {
  /** A line of a part that somebody has asked for, in `DEBUG` or by the level Debug. */
  readonly debug: (scope: Scope, message: string, annotations: Annotations) => void
  readonly warn: (message: string, annotations: Annotations) => void
}

/** What is asked for: in the environment, or in pages where the package `debug` has it. */
const setting = (): string => {
  try {
    const { localStorage, process } = globalThis as {
      readonly localStorage?: { readonly debug?: string }
      readonly process?: { readonly env?: { readonly DEBUG?: string } }
    }
    return (process?.env ? process.env.DEBUG : localStorage?.debug) ?? ""
  } catch {
    // Pages may be kept from what is stored.
    return ""
  }
}

const PREFIX = "socket.io-client:"

/** Reads once what is asked for: a line that nobody wants costs nothing. */
export const makeDiagnostics = Effect.withFiber((fiber) => {
  const run = Effect.runForkWith(fiber.context)
  const isDebugging = LogLevel.getOrdinal(fiber.getRef(References.MinimumLogLevel)) <= LogLevel.getOrdinal("Debug")
  const asked = parseDebug(setting())
  const wanted = new Set(
    ["engine", "manager", "socket"].filter((scope) => isDebugging || asked.includes(PREFIX + scope))
  )
  const diagnostics: Diagnostics = {
    debug: (scope, message, annotations) => {
      if (!wanted.has(scope)) return
      const line = log("Debug", message, { subsystem: PREFIX + scope, ...annotations })
      run(Effect.provideService(line, References.MinimumLogLevel, "Debug"))
    },
    warn: (message, annotations) => void run(log("Warn", message, annotations))
  }
  return Effect.succeed(diagnostics)
})
