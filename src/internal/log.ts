import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"

import { defectOf } from "./defectOf.ts"

/**
 * Writes to the application's loggers, if it provides any, and otherwise to the console.
 * `Effect.log` does the same, but bundles the default loggers, which are a tenth of the client's
 * size.
 */
export const log = (
  level: "Error" | "Warn" | "Debug",
  message: string,
  annotations: Readonly<Record<string, unknown>>,
  cause: Cause.Cause<unknown> = Cause.empty
): Effect.Effect<void> =>
  Effect.withFiber<void>((fiber) => {
    const minimum = fiber.getRef(References.MinimumLogLevel)
    if (LogLevel.getOrdinal(level) >= LogLevel.getOrdinal(minimum)) {
      // `Logger.CurrentLoggers`, which holds the application's loggers.
      const loggers: ReadonlySet<Logger.Logger<unknown, unknown>> | undefined =
        fiber.context.mapUnsafe.get("effect/Logger/CurrentLoggers")
      if (loggers) {
        for (const logger of loggers) {
          logger.log({ message: [message], logLevel: level, cause, fiber, date: new Date() })
        }
      } else {
        console[level.toLowerCase() as "error" | "warn" | "debug"](message, annotations, ...cause.reasons.map(defectOf))
      }
    }
    return Effect.void
  }).pipe(Effect.provideService(References.CurrentLogAnnotations, annotations))
