import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"

import type { ResolvedEngineOptions } from "../EngineOptions.ts"
import type { EngineRequest } from "../EngineRequest.ts"
import * as HandshakeError from "../HandshakeError.ts"
import { makeGenerator } from "../SessionId.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../TimerWheel.ts"
import type { Report } from "./application.ts"

/** The id of the session that a request may open, or the reason why it may not. */
export type Decision = string | HandshakeError.HandshakeError

/**
 * Decides on requests that would open a session: it runs the application's hooks, if there are any,
 * and makes the session's id.
 */
export class Admission {
  private readonly options: ResolvedEngineOptions
  private readonly context: Context.Context<never>
  private readonly wheel: TimerWheel
  private readonly isTaken: (id: string) => boolean
  private readonly report: Report
  private generateId: () => string
  private readonly undecided = new Set<Undecided>()
  private isClosed = false

  constructor(
    options: ResolvedEngineOptions,
    context: Context.Context<never>,
    wheel: TimerWheel,
    isTaken: (id: string) => boolean,
    report: Report
  ) {
    this.options = options
    this.context = context
    this.wheel = wheel
    this.isTaken = isTaken
    this.report = report
    this.generateId = makeGenerator(context)
  }

  /** From now on ids begin with this tag. */
  tag(tag: string): void {
    this.generateId = makeGenerator(this.context, tag)
  }

  /**
   * Decides on a request: at once, unless a hook of the application suspends. Then it returns the
   * function to call if the client disconnects.
   *
   * A request that waits for the application has a fiber, an entry of the timer wheel and one of
   * the set. The fiber is not forked into the server's scope, and not raced with a timeout: an
   * uninterruptible effect of the application would then delay the client's answer, and the closing
   * of the scope.
   */
  admit(request: EngineRequest, done: (decision: Decision) => void): (() => void) | undefined {
    const { allowRequest, generateId, handshakeTimeout } = this.options
    if (allowRequest === undefined && generateId === undefined) {
      done(this.ownId())
      return undefined
    }
    const fiber = Effect.runForkWith(this.context)(this.asking(request))
    const exit = fiber.pollUnsafe()
    if (exit !== undefined && !this.isClosed) {
      done(this.decision(exit))
      return undefined
    }
    const undecided = new Undecided(fiber, (decision) => {
      this.undecided.delete(undecided)
      this.wheel.cancel(undecided)
      if (decision !== undefined) done(decision)
    })
    if (this.isClosed) {
      undecided.refuse("the server is shutting down", 503)
      return undefined
    }
    this.undecided.add(undecided)
    this.wheel.schedule(undecided, handshakeTimeout)
    fiber.addObserver((exit) => undecided.settle(() => this.decision(exit)))
    return () => undecided.giveUp()
  }

  /** Refuses undecided requests, because the server shuts down. */
  close(): void {
    this.isClosed = true
    for (const undecided of this.undecided) undecided.refuse("the server is shutting down", 503)
  }

  /** Returns an id of the library's own, or the reason for a failure. */
  private ownId(): Decision {
    try {
      return this.generateId()
    } catch (defect) {
      this.report("making a session's id failed", Cause.die(defect))
      return HandshakeError.make(3, "no session id")
    }
  }

  private readonly asking = Effect.fnUntraced({ self: this }, function* (request: EngineRequest) {
    const { allowRequest, generateId } = this.options
    if (allowRequest !== undefined) {
      yield* Effect.suspend(() => allowRequest(request)).pipe(
        // A message that is typed as a string may still be something else.
        Effect.mapError(({ message }) =>
          HandshakeError.make(4, "not allowed", typeof message === "string" ? message : undefined)
        ),
        Effect.catchDefect((defect) =>
          Effect.suspend(() => {
            this.report("allowRequest failed", Cause.die(defect))
            return Effect.fail(HandshakeError.make(4, "allowRequest died"))
          })
        )
      )
    }
    if (generateId === undefined) {
      const id = this.ownId()
      return typeof id === "string" ? id : yield* Effect.fail(id)
    }
    // Its type says that it does not fail, but it may fail all the same.
    const id = yield* Effect.orDie(Effect.suspend(() => generateId(request)))
    if (typeof id !== "string" || id === "") return yield* Effect.fail(HandshakeError.make(3, "an empty session id"))
    // The id goes into a cookie and back into URLs.
    if (!id.isWellFormed() || CONTROL.test(id)) {
      this.report("generateId gave an id that cannot be sent", Cause.die(new Error(JSON.stringify(id.slice(0, 100)))))
      return yield* Effect.fail(HandshakeError.make(3, "a session id that cannot be sent"))
    }
    if (this.isTaken(id)) {
      return yield* Effect.fail(HandshakeError.make(3, `the session id ${id} is in use`))
    }
    return id
  })

  private decision(exit: Exit.Exit<string, HandshakeError.HandshakeError>): Decision {
    if (Exit.isSuccess(exit)) return exit.value
    const failure = Cause.findErrorOption(exit.cause)
    if (failure._tag === "Some") return failure.value
    // The application was interrupted: a client that has disconnected is not answered.
    if (Cause.hasInterrupts(exit.cause)) return HandshakeError.make(4, "the decision was interrupted")
    this.report("generateId failed", exit.cause)
    return HandshakeError.make(3, "generateId failed")
  }
}

/** A request that waits for the application. */
class Undecided implements WheelEntry {
  bucket: number = IDLE
  private readonly fiber: Fiber.Fiber<unknown, unknown>
  private onSettled: ((decision: Decision | undefined) => void) | undefined

  constructor(fiber: Fiber.Fiber<unknown, unknown>, onSettled: (decision: Decision | undefined) => void) {
    this.fiber = fiber
    this.onSettled = onSettled
  }

  onDeadline(): void {
    this.refuse("the decision took too long")
  }

  refuse(context: string, status?: 503): void {
    // This comes first, so that the interruption does not count as the decision.
    this.settle(() => HandshakeError.make(4, context, undefined, status))
    this.fiber.interruptUnsafe()
  }

  /** The client has disconnected, and does not wait for the decision. */
  giveUp(): void {
    this.settle(() => undefined)
    this.fiber.interruptUnsafe()
  }

  settle(decide: () => Decision | undefined): void {
    const { onSettled } = this
    this.onSettled = undefined
    onSettled?.(decide())
  }
}

// oxlint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/
