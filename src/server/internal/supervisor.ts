import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

import { Bag } from "../../internal/bag.ts"
import { costOfEvent } from "./backlog.ts"
import type { Connection } from "./connection.ts"
import type { RunFork } from "./ports.ts"

/**
 * The cost of an event in the backlog. It is nothing for an effect that is no event. Otherwise it
 * is the event's name and arguments, from which the cost is computed if the event has to wait. Most
 * events do not wait.
 */
export type Cost = number | ReadonlyArray<unknown>

/** The stages of a socket's end, as far as its effects are concerned. */
export interface EndStages {
  /** All effects are interrupted. Some may take longer to end. */
  readonly onInterrupted: () => void
  /** The finalizers have started. */
  readonly onClosing: () => void
  /** The finalizers have ended. */
  readonly onClosed: () => void
}

/**
 * Runs the effects of one socket in its scope and context, and interrupts them when it ends. The
 * socket inherits it, so that supervision takes no object of its own.
 */
export abstract class Supervisor {
  readonly connection: Connection
  /**
   * It has no parent: the socket's end closes it with `Closing`, after the handlers that use it
   * have ended. A scope forked from the namespace's would take 133 bytes more per idle connection.
   */
  readonly scope: Scope.Closeable = Scope.makeUnsafe()
  /** Runs effects in the context of the socket's handlers. */
  runFork!: RunFork
  /** That context, without the scope. */
  private context: Context.Context<any> | undefined
  private fibers: Bag<Fiber.Fiber<any, any>> | undefined
  /** The number of effects that have started in this turn, and have not suspended yet. */
  private starting = 0
  private closing: { readonly late: Array<Fiber.Fiber<any, any>>; readonly close: () => void } | undefined

  constructor(connection: Connection) {
    this.connection = connection
  }

  /** Whether the socket has ended. */
  abstract readonly isDisconnected: boolean
  /** The socket, in log lines. */
  abstract readonly annotations: Readonly<Record<string, string>>

  /**
   * The builder and the handlers run in the given context from now on, with the socket's scope. It
   * does nothing if they do already.
   */
  enterContext(context: Context.Context<any>): Context.Context<any> | undefined {
    if (context === this.context) return undefined
    this.context = context
    const own: Context.Context<any> = Context.add(context, Scope.Scope, this.scope)
    this.runFork = Effect.runForkWith(own) as RunFork
    return own
  }

  /** The handlers have another service from now on. */
  provide(key: Context.Key<any, any>, service: unknown): void {
    this.enterContext(Context.add(this.context!, key, service))
  }

  /** The effects that have suspended, and not ended yet. */
  get running(): ReadonlyArray<Fiber.Fiber<any, any>> {
    return this.fibers === undefined ? [] : Array.from(this.fibers.values)
  }

  /**
   * Starts an effect in this turn. If it ends at once, it never becomes a waiting fiber. If it
   * suspends, its fiber is kept, to be interrupted when the socket ends, and its event is in the
   * backlog meanwhile, unless it costs nothing. Returns that fiber.
   */
  start(
    run: RunFork,
    make: () => Effect.Effect<any, any, any>,
    onExit: (exit: Exit.Exit<any, any>) => void,
    price: Cost = 0
  ): Fiber.Fiber<any, any> | undefined {
    let effect: Effect.Effect<any, any, any>
    try {
      effect = make()
    } catch (defect) {
      effect = Exit.die(defect)
    }
    if (Exit.isExit(effect)) {
      onExit(effect)
      return undefined
    }
    this.starting++
    const fiber = run(effect)
    this.starting--
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) {
      onExit(exit)
      if (this.closing !== undefined) this.closeIfNoneStarts()
      return undefined
    }
    if (this.isDisconnected) {
      // It has disconnected its own socket. Its end is still watched.
      fiber.addObserver(onExit)
      fiber.interruptUnsafe()
      if (fiber.pollUnsafe() === undefined) this.closing?.late.push(fiber)
      this.closeIfNoneStarts()
      return undefined
    }
    const fibers = (this.fibers ??= new Bag())
    const entry = fibers.add(fiber)
    // An effect that is no event, such as an admission, does not end sooner if less is read.
    const cost = typeof price === "number" ? price : costOfEvent(price)
    const { backlog } = this.connection
    if (cost > 0) backlog.enter(cost)
    fiber.addObserver((exit) => {
      fibers.remove(entry)
      try {
        onExit(exit)
      } catch (defect) {
        this.connection.session.onDefect(defect)
      }
      if (cost > 0) backlog.leave(cost)
    })
    return fiber
  }

  /**
   * The socket has ended: interrupts every running effect. The scope closes in this turn: at once,
   * or when the handler that has disconnected its own socket suspends. Finalizers wait for effects
   * that end slowly, as these use the scope, too.
   */
  protected interruptAll(stages: EndStages): void {
    const { fibers } = this
    this.fibers = undefined
    if (fibers !== undefined) for (const fiber of fibers.values) fiber.interruptUnsafe()
    stages.onInterrupted()
    const late: Array<Fiber.Fiber<any, any>> = []
    const close = () => {
      const users = fibers === undefined ? late : [...fibers.values, ...late]
      const { annotations, connection } = this
      connection.environment.closing.close(this.scope, {
        annotations,
        culprit: connection,
        users,
        onClosed: stages.onClosed
      })
      stages.onClosing()
    }
    this.closing = { late, close }
    this.closeIfNoneStarts()
  }

  private closeIfNoneStarts(): void {
    const { closing } = this
    if (closing === undefined || this.starting > 0) return
    this.closing = undefined
    closing.close()
  }
}
