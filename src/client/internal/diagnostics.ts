import * as Effect from "effect/Effect"
import * as References from "effect/References"

import { log } from "../../internal/log.ts"
import { runForkHere } from "./scoped.ts"

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
  const { process, window } = globalThis as {
    readonly process?: { readonly env?: { readonly DEBUG?: string } }
    readonly window?: { readonly localStorage: { readonly debug?: string } }
  }
  try {
    return process?.env?.DEBUG ?? window?.localStorage.debug ?? ""
  } catch {
    // Pages may be kept from what is stored.
    return ""
  }
}

const PREFIX = "socket.io-client:"

/** These lines are of connections, none of messages: one that nobody wants may cost what it costs to find that out. */
export const makeDiagnostics = Effect.map(runForkHere, (run): Diagnostics => {
  const patterns = setting().match(/[^\s,]+/g) ?? []
  /** Of the notation what is needed here: names, `*` at an end for anything, `-` before what is left out of those before. */
  const isAskedFor = (name: string) =>
    patterns.reduce((is, pattern) => {
      const part = pattern.replaceAll(/^-|\*$/g, "")
      return (pattern.endsWith("*") ? name.startsWith(part) : name === part) ? pattern[0] !== "-" : is
    }, false)
  return {
    debug: (scope, message, annotations) => {
      const subsystem = PREFIX + scope
      const line = log("Debug", message, { subsystem, ...annotations })
      run(isAskedFor(subsystem) ? Effect.provideService(line, References.MinimumLogLevel, "Debug") : line)
    },
    warn: (message, annotations) => void run(log("Warn", message, annotations))
  }
})
