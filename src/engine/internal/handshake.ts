import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

import { ANYONE, LineLimits } from "../../internal/lineLimits.ts"
import type { ResolvedEngineOptions } from "../EngineOptions.ts"
import type { EngineRequest } from "../EngineRequest.ts"
import * as HandshakeError from "../HandshakeError.ts"
import { makeGenerator } from "../SessionId.ts"
import { type Headers, isHeaderValue } from "../HttpHeaders.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../TimerWheel.ts"

/** What the application has to say about requests that would open a session. */
export class Handshake {
  private readonly options: ResolvedEngineOptions
  private readonly context: Context.Context<never>
  private readonly wheel: TimerWheel
  private readonly isTaken: (id: string) => boolean
  private readonly generateId: () => string
  /** The requests that the application has not decided on, each by the function that refuses it at once. */
  private readonly undecided = new Set<() => void>()
  private readonly lines = new LineLimits()
  private closed = false

  constructor(
    options: ResolvedEngineOptions,
    context: Context.Context<never>,
    wheel: TimerWheel,
    isTaken: (id: string) => boolean
  ) {
    this.options = options
    this.context = context
    this.wheel = wheel
    this.isTaken = isTaken
    this.generateId = makeGenerator(context)
  }

  /**
   * Calls back with the id of the session to be, or with the reason why there is none: at once, unless the application takes its
   * time. Then it gives the function that ends the waiting.
   */
  admit(request: EngineRequest, done: (id: string | HandshakeError.HandshakeError) => void): (() => void) | undefined {
    const { allowRequest, generateId } = this.options
    if (allowRequest === undefined && generateId === undefined) {
      done(this.ownId())
      return undefined
    }
    const fiber = Effect.runForkWith(this.context)(this.asking(request))
    const exit = fiber.pollUnsafe()
    if (exit !== undefined && !this.closed) {
      done(this.decision(exit))
      return undefined
    }
    const forget = () => {
      this.undecided.delete(refuse)
      this.wheel.cancel(deadline)
      fiber.interruptUnsafe()
    }
    const refuseFor = (context: string) => {
      forget()
      done(HandshakeError.make(4, context))
    }
    const refuse = () => refuseFor("the server is shutting down")
    const deadline: WheelEntry = { bucket: IDLE, onDeadline: () => refuseFor("the decision took too long") }
    if (this.closed) {
      refuse()
      return undefined
    }
    this.undecided.add(refuse)
    this.wheel.schedule(deadline, this.options.handshakeTimeout)
    fiber.addObserver((exit) => {
      this.wheel.cancel(deadline)
      if (this.undecided.delete(refuse)) done(this.decision(exit))
    })
    return forget
  }

  /** An id of our own, or why there is none. */
  private ownId(): string | HandshakeError.HandshakeError {
    try {
      return this.generateId()
    } catch (defect) {
      this.report("making a session's id failed", Cause.die(defect))
      return HandshakeError.make(3, "no session id")
    }
  }

  /** The server shuts down: requests that the application has not decided on are refused. */
  close(): void {
    this.closed = true
    for (const refuse of this.undecided) refuse()
  }

  /** Headers from the application, their names in lower case; none if it throws, or if one of them is malformed. */
  headers(
    make: (request: EngineRequest) => Readonly<Record<string, string | ReadonlyArray<string>>>,
    request: EngineRequest
  ): Headers {
    try {
      const headers: Record<string, string | Array<string>> = {}
      for (const [name, value] of Object.entries(make(request))) {
        const values = [value].flat()
        // What is typed as a string may still be something else, which Node would throw at.
        if (!NAME.test(name) || !values.every((value) => typeof value === "string" && isHeaderValue(value))) {
          throw new Error(`"${name}" is not a valid header`)
        }
        // No values are no header.
        if (values.length > 0) headers[name.toLowerCase()] = typeof value === "string" ? value : values
      }
      return headers
    } catch (defect) {
      this.report("making headers failed", Cause.die(defect))
      return {}
    }
  }

  private readonly asking = Effect.fnUntraced({ self: this }, function* (request: EngineRequest) {
    const { allowRequest, generateId } = this.options
    if (allowRequest !== undefined) {
      yield* Effect.suspend(() => allowRequest(request)).pipe(
        // What is typed to be text may be something else all the same.
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
    // Typed not to fail, it may all the same.
    const id = yield* Effect.orDie(Effect.suspend(() => generateId(request)))
    if (typeof id !== "string" || id === "") return yield* Effect.fail(HandshakeError.make(3, "an empty session id"))
    // It goes into a cookie and back into URLs.
    if (!id.isWellFormed() || CONTROL.test(id)) {
      this.report("generateId gave an id that cannot be sent", Cause.die(new Error(JSON.stringify(id.slice(0, 100)))))
      return yield* Effect.fail(HandshakeError.make(3, "a session id that cannot be sent"))
    }
    if (this.isTaken(id)) {
      return yield* Effect.fail(HandshakeError.make(3, `the session id ${id} is in use`))
    }
    return id
  })

  private decision(exit: Exit.Exit<string, HandshakeError.HandshakeError>): string | HandshakeError.HandshakeError {
    if (Exit.isSuccess(exit)) return exit.value
    const failure = Cause.findErrorOption(exit.cause)
    if (failure._tag === "Some") return failure.value
    // By the application itself: whoever has gone is not answered.
    if (Cause.hasInterrupts(exit.cause)) return HandshakeError.make(4, "the decision was interrupted")
    this.report("generateId failed", exit.cause)
    return HandshakeError.make(3, "generateId failed")
  }

  /** Logs what the application did wrong, though not as often as clients make it do so. */
  report(message: string, cause: Cause.Cause<unknown>, annotations: Readonly<Record<string, unknown>> = {}): void {
    const leftOut = this.lines.admit(ANYONE, this.wheel.now())
    if (leftOut === undefined) return
    const line = Effect.annotateLogs(Effect.logError(message, cause), { ...annotations, ...leftOut })
    Effect.runForkWith(this.context)(line)
  }
}

// oxlint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
