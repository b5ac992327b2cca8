import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"

import type { DebugNamespaces } from "../../internal/debugNamespaces.ts"
import { logText } from "../../internal/logText.ts"
import { type Culprit, type LeftOut, LineLimits } from "../../internal/lineLimits.ts"
import type { ResolvedTracingOptions } from "../TracingOptions.ts"
import { type DurationSeries, seriesOf } from "./durations.ts"
import { Tracing } from "./tracing.ts"

/** The parts of the server that log, with their names in `DEBUG`. */
export type Subsystem = "engine" | "connection" | "namespace" | "socket"

/** A namespace, as the observer sees it. */
export interface ObservedNamespace {
  readonly name: string
  /** Its name in metrics. */
  readonly label: string
  /** The durations of its handlers, by event. */
  readonly durations: Map<string, DurationSeries>
}

export interface ObserverOptions {
  readonly debug: DebugNamespaces
  /** The spans of handlers: there if a tracer was provided, unless the options say otherwise. */
  readonly tracing: ResolvedTracingOptions
  /** The time in milliseconds, monotonic. */
  readonly now: () => number
}

/** The circumstances of a log line. Texts may come from clients. */
export type Annotations = Readonly<Record<string, unknown>>

/** Annotations as they may be logged. */
const safe = (annotations: Annotations, leftOut: LeftOut): Annotations => {
  const all: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(annotations))
    all[name] = typeof value === "string" ? logText(value) : value
  return Object.assign(all, leftOut)
}

/** Logs, metrics and spans of a server. Those that are off cost nothing. */
export class Observer {
  /** The spans of handlers; `undefined` where they are off, which costs nothing. */
  readonly tracing: Tracing | undefined
  readonly now: () => number
  private readonly context: Context.Context<never>
  private readonly log: (line: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly logDebug: (line: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly errors = new LineLimits()
  private readonly warnings = new LineLimits()
  private readonly debugLines = new LineLimits()
  private readonly warns: boolean
  private readonly debugged: ReadonlySet<Subsystem>
  private readonly counters = new Map<string, Metric.Counter<number>>()

  constructor(context: Context.Context<never>, { debug, now, tracing }: ObserverOptions) {
    this.context = context
    this.now = now
    // Read once: a line that is off must cost nothing.
    const minimum = Context.get(context, References.MinimumLogLevel)
    const everything = LogLevel.isLessThanOrEqualTo(minimum, "Debug")
    this.warns = LogLevel.isLessThanOrEqualTo(minimum, "Warn")
    const subsystems: ReadonlyArray<Subsystem> = ["engine", "connection", "namespace", "socket"]
    this.debugged = new Set(subsystems.filter((name) => everything || debug.includes(`socket.io:${name}`)))
    // A subsystem that `DEBUG` names is logged, whatever else the application logs.
    this.logDebug = Effect.runForkWith(everything ? context : Context.add(context, References.MinimumLogLevel, "Debug"))
    this.log = Effect.runForkWith(context)
    this.tracing = (tracing.isOn ?? context.mapUnsafe.has(Tracer.TracerKey)) ? new Tracing(tracing) : undefined
  }

  /** Whether a subsystem's debug lines are wanted. */
  debugs(subsystem: Subsystem): boolean {
    return this.debugged.has(subsystem)
  }

  /**
   * A line for debugging. One about a client is left out if there are too many; see {@link error}.
   */
  debug(subsystem: Subsystem, message: string, annotations: Annotations, culprit: Culprit): void {
    if (!this.debugged.has(subsystem)) return
    const leftOut = this.debugLines.admit(culprit, this.now())
    if (leftOut === undefined) return
    const all = { subsystem: `socket.io:${subsystem}`, ...safe(annotations, leftOut) }
    this.logDebug(Effect.annotateLogs(Effect.logDebug(message), all))
  }

  /**
   * A line about a probable mistake, of this side or of a client. It is limited as errors are, but
   * separately. Where warnings are not logged, it is a debug line of its subsystem.
   */
  warn(subsystem: Subsystem, message: string, annotations: Annotations, culprit: Culprit): void {
    if (!this.warns) return this.debug(subsystem, message, annotations, culprit)
    const leftOut = this.warnings.admit(culprit, this.now())
    if (leftOut === undefined) return
    const all = { subsystem: `socket.io:${subsystem}`, ...safe(annotations, leftOut) }
    this.log(Effect.annotateLogs(Effect.logWarning(message), all))
  }

  /**
   * A line about an error. A client can cause its lines at any rate: ten are logged at once and one
   * per second after that, and about all clients together a thousand at once and a hundred per
   * second. The others cost next to nothing, and the next logged line reports their number.
   */
  error(message: string, cause: Cause.Cause<unknown>, annotations: Annotations, culprit: Culprit): void {
    const leftOut = this.errors.admit(culprit, this.now())
    if (leftOut === undefined) return
    this.log(Effect.annotateLogs(Effect.logError(message, cause), safe(annotations, leftOut)))
  }

  /** The same about a defect. */
  defect(message: string, defect: unknown, annotations: Annotations, culprit: Culprit): void {
    this.error(message, Cause.die(defect), annotations, culprit)
  }

  count(counter: Metric.Counter<number>, attributes: Readonly<Record<string, string>>): void {
    let key = counter.id
    for (const name in attributes) key += `\0${attributes[name]!}`
    let series = this.counters.get(key)
    if (series === undefined) {
      series = Metric.withAttributes(counter, attributes) as Metric.Counter<number>
      this.counters.set(key, series)
    }
    series.updateUnsafe(1, this.context)
  }

  /**
   * An event's handler has ended. `event` is empty for an event without a contract, because the
   * client has chosen its name.
   */
  handled(namespace: ObservedNamespace, event: string, started: number): void {
    let series = namespace.durations.get(event)
    if (series === undefined) {
      series = seriesOf(this.context, Context.get(this.context, Metric.MetricRegistry), namespace.label, event)
      namespace.durations.set(event, series)
    }
    series.record((this.now() - started) / 1_000)
  }
}
