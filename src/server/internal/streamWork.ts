import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"

import { type Codec, getOrThrow } from "../../internal/contractCodec.ts"
import type { RunningLog } from "../../streams/StreamLog.ts"
import type { EncodedEnd } from "../../streams/StreamStore.ts"

/** The codecs of a stream event. */
export interface StreamCodec {
  readonly name: string
  readonly item: Codec
  /** The codec of its declared errors. */
  readonly error: Codec | undefined
}

const LOST: EncodedEnd = { _tag: "Lost" }

/** The streams that run for one layer of a namespace, each in a scope of its own. */
export class StreamWork {
  private readonly running = new Map<Fiber.Fiber<void, unknown>, RunningLog>()
  private readonly report: (event: string, cause: Cause.Cause<unknown>) => void
  private isClosing = false

  constructor(report: (event: string, cause: Cause.Cause<unknown>) => void) {
    this.report = report
  }

  /** Runs a stream in a context, until it ends or is interrupted. */
  start(
    codec: StreamCodec,
    log: RunningLog,
    make: () => Stream.Stream<unknown, unknown, any>,
    context: Context.Context<any>
  ): void {
    const encode = (value: unknown) => getOrThrow(codec.item.encode(value), `a value of "${codec.name}"`)
    const run = Stream.suspend(make).pipe(
      Stream.runForEachArray((values) => Effect.suspend(() => log.append(values.map(encode)))),
      Effect.scoped
    )
    const fiber = Effect.runForkWith(context)(run)
    if (this.isClosing) log.finish(LOST)
    else this.running.set(fiber, log)
    log.onInterrupt(() => fiber.interruptUnsafe())
    fiber.addObserver((exit) => {
      this.running.delete(fiber)
      log.finish(this.endOf(codec, exit))
    })
  }

  /** Ends everything; the fibers end after their finalizers. */
  close(): ReadonlyArray<Fiber.Fiber<void, unknown>> {
    this.isClosing = true
    const fibers = Array.from(this.running.keys())
    for (const [fiber, log] of this.running) {
      log.finish(LOST)
      fiber.interruptUnsafe()
    }
    return fibers
  }

  private endOf({ error, name }: StreamCodec, exit: Exit.Exit<void, unknown>): EncodedEnd {
    if (exit._tag === "Success") return { _tag: "Success" }
    const failure = error === undefined ? undefined : Cause.findErrorOption(exit.cause)
    if (failure?._tag === "Some") {
      const encoded = error!.encode(failure.value)
      if (encoded._tag === "Success") return { _tag: "Failure", error: encoded.value }
    }
    // An interruption comes after the end was told.
    if (!Cause.hasInterruptsOnly(exit.cause)) this.report(name, exit.cause)
    return { _tag: "InternalError" }
  }
}
