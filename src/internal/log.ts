import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"

import { defectOf } from "./defectOf.ts"

/** Where an application keeps its loggers: the key of `Logger.CurrentLoggers`. */
const CURRENT_LOGGERS = "effect/Logger/CurrentLoggers"

/**
 * Writes to the application's loggers, if it has said which, and otherwise to the console: `Effect.log` does the same, and brings the
 * default loggers along, which would be a tenth of what the client costs a page.
 */
export const log = (
  level: "Error" | "Warn" | "Debug",
  message: string,
  annotations: Readonly<Record<string, unknown>>,
  cause: Cause.Cause<unknown> = Cause.empty
): Effect.Effect<void> =>
  Effect.withFiber<void>((fiber) => {
    const minimum = fiber.getRef(References.MinimumLogLevel)
    if (LogLevel.getOrdinal(level) < LogLevel.getOrdinal(minimum)) return Effect.void
    const loggers: ReadonlySet<Logger.Logger<unknown, unknown>> | undefined =
      fiber.context.mapUnsafe.get(CURRENT_LOGGERS)
    if (loggers === undefined) {
      console[level.toLowerCase() as "error" | "warn" | "debug"](message, annotations, ...cause.reasons.map(defectOf))
    } else
      for (const logger of loggers) logger.log({ message: [message], logLevel: level, cause, fiber, date: new Date() })
    return Effect.void
  }).pipe(Effect.provideService(References.CurrentLogAnnotations, annotations))
