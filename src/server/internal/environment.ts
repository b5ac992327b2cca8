import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"

import type { Factory } from "../../adapter/Adapter.ts"
import type { SessionCloseReason } from "../../DisconnectReason.ts"
import { AdapterFactory } from "../../adapter/AdapterFactory.ts"
import * as InMemoryAdapter from "../../adapter/InMemoryAdapter.ts"
import type { EngineSession } from "../../engine/EngineSession.ts"
import { makeGenerator } from "../../engine/SessionId.ts"
import type { TimerWheel } from "../../engine/TimerWheel.ts"
import { Idempotency, type IdempotencyShape, makeMemory } from "../../idempotency/Idempotency.ts"
import { parseDebug } from "../../internal/debugNamespaces.ts"
import { ANYONE } from "../../internal/lineLimits.ts"
import { Parser } from "../../Parser.ts"
import * as JsonDepth from "../../protocol/JsonDepth.ts"
import type { DecoderLimits } from "../../protocol/PacketDecoder.ts"
import { json, type PacketParser } from "../../protocol/PacketParser.ts"
import * as PacketPreview from "../../protocol/PacketPreview.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import { makeMemory as makeStreamLog, StreamLog, type StreamLogShape } from "../../streams/StreamLog.ts"
import type { ResolvedServerOptions } from "../ServerOptions.ts"
import { Closing, type ShutdownClock } from "./closing.ts"
import { Observer } from "./observer.ts"
import { type RecoveryBounds, ServerRecovery } from "./serverRecovery.ts"
import { Wire } from "./wire.ts"

/** Closes a session in its turn, `rate` in a second. Its client may move `within` milliseconds. */
type Retire = (
  session: EngineSession,
  retirement: { readonly reason: SessionCloseReason; readonly rate: number; readonly within: number }
) => void

/** The engine, as far as the environment needs it. */
export interface EngineClock extends ShutdownClock {
  readonly retire: Retire
  readonly wheel: TimerWheel
  readonly options: RecoveryBounds
}

/** The services from which an environment is made. */
interface Parts {
  readonly options: ResolvedServerOptions
  readonly context: Context.Context<never>
  readonly scope: Scope.Scope
  readonly adapters: Factory
  readonly parser: PacketParser
  readonly observer: Observer
  readonly clock: Clock.Clock
}

/** A binary message is an attachment, which is not parsed. */
const previewJson = (message: string | Uint8Array, offset: number): SocketPacket | undefined =>
  typeof message === "string" ? PacketPreview.preview(message, offset) : undefined

/** The values that all parts of one server share. It knows none of these parts. */
export class Environment {
  readonly options: ResolvedServerOptions
  /** The limits of the packets that clients send. */
  readonly limits: DecoderLimits
  readonly context: Context.Context<never>
  /** The server's own scope: it closes after everything else has ended. */
  readonly scope: Scope.Scope
  readonly generateId: () => string
  readonly adapters: Factory
  /** Whether this server is the only one: its adapters reach no other process. */
  readonly isAlone: boolean
  readonly parser: PacketParser
  readonly preview: PacketParser["preview"]
  readonly wire: Wire
  readonly observer: Observer
  readonly closing: Closing
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** The time of the wall clock, in milliseconds. */
  readonly wallNow: () => number
  wheel!: TimerWheel
  retire!: Retire
  /** The part of recovery that all namespaces share, if it is on. */
  recovery: ServerRecovery | undefined
  private startedAt = 0
  private ownIdempotency: IdempotencyShape | undefined
  private ownStreamLog: StreamLogShape | undefined

  constructor({ adapters, clock, context, observer, options, parser, scope }: Parts) {
    this.options = options
    this.limits = { ...options, isTooDeep: JsonDepth.check(options.maxDepth) }
    this.context = context
    this.scope = scope
    this.adapters = adapters
    this.isAlone = adapters === InMemoryAdapter.make
    this.parser = parser
    // Clients need no preview, so it is not a part of the parser that they bundle.
    this.preview = parser === json ? previewJson : parser.preview
    this.wire = new Wire(parser, options.maxAttachments)
    this.observer = observer
    this.wallNow = () => clock.currentTimeMillisUnsafe()
    this.generateId = makeGenerator(context)
    this.runFork = Effect.runForkWith(context)
    this.closing = new Closing(this.runFork, observer)
    const dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.schedule = (task) => dispatcher.scheduleTask(task, 0)
  }

  /** The engine runs: the time in which clients may wait for namespaces begins. */
  start(engine: EngineClock): void {
    this.wheel = engine.wheel
    this.retire = engine.retire
    this.closing.start(engine)
    this.startedAt = engine.wheel.now()
    const { recovery } = this.options
    if (recovery !== undefined) this.recovery = new ServerRecovery(recovery, engine.options, engine.wheel)
  }

  /** The memory for messages that are handled once. The default is made at its first use. */
  get idempotency(): IdempotencyShape {
    return (this.ownIdempotency ??= Option.getOrElse(Context.getOption(this.context, Idempotency), () =>
      Effect.runSyncWith(this.context)(Scope.provide(Effect.orDie(makeMemory()), this.scope))
    ))
  }

  /** The memory for streams. The default is made at its first use. */
  get streamLog(): StreamLogShape {
    return (this.ownStreamLog ??= Option.getOrElse(Context.getOption(this.context, StreamLog), () =>
      Effect.runSyncWith(this.context)(Scope.provide(Effect.orDie(makeStreamLog()), this.scope))
    ))
  }

  /** Runs a task in the next turn, with the handlers. */
  readonly schedule: (task: () => void) => void

  /** A stream has died, or failed with what its event does not declare. */
  readonly report = (event: string, cause: Cause.Cause<unknown>): void =>
    this.observer.error("a stream failed", cause, { event }, ANYONE)

  /** The time for which a client may still wait for a missing namespace, in milliseconds. */
  get graceLeft(): number {
    return Math.max(0, this.startedAt + this.options.namespaceGrace - this.wheel.now())
  }
}

/**
 * The `DEBUG` setting. Default: that of the environment variables. An unreadable setting selects
 * nothing.
 */
const debugSetting = Config.String("DEBUG").pipe(
  Config.option,
  Effect.map(Option.getOrElse(() => "")),
  Effect.orElseSucceed(() => "")
)

export const makeEnvironment = (options: ResolvedServerOptions): Effect.Effect<Environment, never, Scope.Scope> =>
  Effect.gen(function* () {
    const base = yield* Scheduler.Scheduler
    // Every fiber has a dispatcher of its own, and Node runs its ticks between their immediates:
    // replies of suspended handlers would each take a write of their own. With one dispatcher for
    // all, they leave together.
    const dispatcher = base.makeDispatcher()
    const context = Context.add(yield* Effect.context<never>(), Scheduler.Scheduler, {
      executionMode: base.executionMode,
      shouldYield: (fiber) => base.shouldYield(fiber),
      makeDispatcher: () => dispatcher
    })
    const clock = yield* Clock.Clock
    // The clock's nanoseconds are a bigint, which is allocated for every reading. That would be
    // noticeable on the message path.
    const isLive = !context.mapUnsafe.has(Clock.Clock.key)
    const observer = new Observer(context, {
      debug: parseDebug(yield* debugSetting),
      tracing: options.tracing,
      now: isLive ? () => performance.now() : () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    })
    return new Environment({
      options,
      context,
      scope: yield* Scope.fork(yield* Effect.scope),
      adapters: yield* AdapterFactory,
      parser: yield* Parser,
      observer,
      clock
    })
  })
