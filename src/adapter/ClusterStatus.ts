/**
 * How the cluster of a server is: whether it is connected to the others, and what was lost.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"

import * as ClusterMetrics from "./ClusterMetrics.ts"

/**
 * The state of a server's line to the others, and its counts since the start.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  /** Whether messages go out and come in. `false` from the start until the first connection. */
  readonly connected: boolean
  /** The number of times that the line was lost. */
  readonly outages: number
  /** Messages of other servers that did not come. */
  readonly lost: number
  /** Messages of this server that were not sent, or perhaps not. */
  readonly dropped: number
  /** Messages that could not be read. */
  readonly refused: number
}

/**
 * Why a message was not sent.
 *
 * - `overflow`: more waited for the broker than may.
 * - `expired`: it waited for longer than it may.
 * - `failed`: the connection was lost before the broker had confirmed it. It may have arrived.
 *
 * @since 0.1.0
 * @category models
 */
export type DropReason = "overflow" | "expired" | "failed"

/**
 * The status of the cluster, for readiness checks and operators. The layer of an adapter for a
 * cluster provides it.
 *
 * **Example** (Not ready while the broker is away)
 *
 * ```ts
 * const ready = Effect.gen(function*() {
 *   const cluster = yield* ClusterStatus.ClusterStatus
 *   const { connected } = yield* cluster.current
 *   return connected
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class ClusterStatus extends Context.Service<
  ClusterStatus,
  {
    readonly current: Effect.Effect<Status>
    /** The current status, then each later one. A slow reader skips some of them. */
    readonly changes: Stream.Stream<Status>
  }
>()("effect-socket.io/adapter/ClusterStatus") {}

/**
 * Counts for one server, and writes what an operator has to know: the side of {@link ClusterStatus}
 * that adapters report to. Its methods are synchronous and never throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClusterMonitor {
  readonly status: ClusterStatus["Service"]
  /** The line to the broker is up or down. Writes a line of log at a change. */
  readonly connected: (isConnected: boolean) => void
  /** Messages of another server did not come. */
  readonly lost: (count: number, namespace: string, uid: string) => void
  /** Messages of this server were not sent. */
  readonly dropped: (count: number, reason: DropReason) => void
  /** A message could not be read. */
  readonly refused: (namespace: string, problem: string) => void
  /** A question ended without the answers of some servers. */
  readonly incomplete: (namespace: string, missing: number) => void
}

/** Between two lines of log about the same matter, in milliseconds. */
const LOG_INTERVAL = 5_000

/** The characters of another server's message that a line of log shows, at most. */
const MAX_SHOWN = 200

/** A matter of the log, and its messages since the last line about it. */
interface Matter {
  count: number
  until: number
  annotations: Record<string, unknown>
  isWaiting: boolean
}

/**
 * Makes the monitor of a server. It writes at most one line of log in five seconds about each
 * matter, with the number of messages since the last one. The end of the scope
 * writes the lines that still wait.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMonitor: Effect.Effect<ClusterMonitor, never, Scope.Scope> = Effect.gen(function* () {
  const ref = yield* SubscriptionRef.make<Status>({ connected: false, outages: 0, lost: 0, dropped: 0, refused: 0 })
  const context = yield* Effect.context<never>()
  const run = Effect.runForkWith(context)
  const clock = yield* Clock.Clock
  let status = ref.value
  let published = true
  const set = (change: Partial<Status>) => {
    status = { ...status, ...change }
    if (!published) return
    published = false
    // All changes of a turn are one.
    run(
      Effect.andThen(
        Effect.yieldNow,
        Effect.suspend(() => {
          published = true
          return SubscriptionRef.set(ref, status)
        })
      )
    )
  }
  // A reader that is slow holds one status, however many there are.
  const changes = Stream.buffer(SubscriptionRef.changes(ref), { capacity: 1, strategy: "sliding" })
  const update = (metric: Metric.Counter<number> | Metric.Gauge<number>, value: number) =>
    metric.updateUnsafe(value, context)
  const scope = yield* Effect.scope
  const matters = new Map<string, Matter>()
  const write = (matter: string, known: Matter) =>
    Effect.suspend(() => {
      const { annotations, count } = known
      known.isWaiting = false
      if (count === 0) return Effect.void
      known.count = 0
      known.until = clock.currentTimeMillisUnsafe() + LOG_INTERVAL
      return Effect.annotateLogs(Effect.logWarning(matter), { ...annotations, count })
    })
  yield* Effect.addFinalizer(() =>
    Effect.forEach(matters, ([matter, known]) => write(matter, known), { discard: true })
  )
  /** Logs the first of a matter at once, and the number of further ones later. */
  const warn = (matter: string, count: number, annotations: Record<string, unknown>) => {
    let known = matters.get(matter)
    if (known === undefined) matters.set(matter, (known = { count: 0, until: 0, annotations, isWaiting: false }))
    known.count += count
    known.annotations = annotations
    if (known.isWaiting) return
    known.isWaiting = true
    const pause = known.until - clock.currentTimeMillisUnsafe()
    if (pause <= 0) return void run(write(matter, known))
    run(Effect.forkIn(Effect.delay(write(matter, known), pause), scope))
  }
  return {
    status: { current: Effect.sync(() => status), changes },
    connected(isConnected) {
      update(ClusterMetrics.connected, isConnected ? 1 : 0)
      if (isConnected === status.connected) return
      set({ connected: isConnected, outages: status.outages + (isConnected ? 0 : 1) })
      run(isConnected ? Effect.logInfo("cluster: connected") : Effect.logWarning("cluster: connection lost"))
    },
    lost(count, namespace, uid) {
      set({ lost: status.lost + count })
      update(ClusterMetrics.messagesLost, count)
      warn("cluster: messages of another server did not come", count, { namespace, server: uid })
    },
    dropped(count, reason) {
      set({ dropped: status.dropped + count })
      update(Metric.withAttributes(ClusterMetrics.messagesDropped, { reason }) as Metric.Counter<number>, count)
      warn(`cluster: messages were not sent (${reason})`, count, {})
    },
    refused(namespace, problem) {
      set({ refused: status.refused + 1 })
      update(ClusterMetrics.messagesRefused, 1)
      warn("cluster: a message could not be read", 1, { namespace, problem: problem.slice(0, MAX_SHOWN) })
    },
    incomplete(namespace, missing) {
      update(ClusterMetrics.questionsIncomplete, 1)
      warn("cluster: servers did not answer", 1, { namespace, missing })
    }
  }
})
