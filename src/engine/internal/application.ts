import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"

import { ANYONE, LineLimits } from "../../internal/lineLimits.ts"
import type { EngineRequest } from "../EngineRequest.ts"
import { type Headers, isHeaderValue } from "../HttpHeaders.ts"

/** Logs a failure of the application, at a limited rate because clients can cause it. */
export type Report = (
  message: string,
  cause: Cause.Cause<unknown>,
  annotations?: Readonly<Record<string, unknown>>
) => void

export const makeReport = (context: Context.Context<never>, now: () => number): Report => {
  const lines = new LineLimits()
  const runFork = Effect.runForkWith(context)
  return (message, cause, annotations) => {
    const leftOut = lines.admit(ANYONE, now())
    if (leftOut === undefined) return
    runFork(Effect.annotateLogs(Effect.logError(message, cause), { ...annotations, ...leftOut }))
  }
}

/** The names of headers (RFC 9110, 5.1). */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/**
 * Returns the headers that the application makes for a request, with names in lower case. Returns
 * none if it throws, or if one of them is malformed.
 */
export const headersFrom = (
  make: (request: EngineRequest) => Readonly<Record<string, string | ReadonlyArray<string>>>,
  request: EngineRequest,
  report: Report
): Headers => {
  try {
    const headers: Record<string, string | Array<string>> = {}
    for (const [name, value] of Object.entries(make(request))) {
      const values = [value].flat()
      // A value that is typed as a string may still be something else, on which Node would throw.
      if (!NAME.test(name) || !values.every((value) => typeof value === "string" && isHeaderValue(value))) {
        throw new Error(`"${name}" is not a valid header`)
      }
      // Without values there is no header.
      if (values.length > 0) headers[name.toLowerCase()] = typeof value === "string" ? value : values
    }
    return headers
  } catch (defect) {
    report("making headers failed", Cause.die(defect))
    return {}
  }
}
