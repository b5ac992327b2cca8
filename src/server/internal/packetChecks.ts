import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"

import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { EventRefused, IncomingEvent } from "../ServerSocket.ts"
import { type InboundSocket, refuseEvent, withHandler, withoutHandler } from "./answers.ts"
import { costOfEvent } from "./backlog.ts"
import { Gate } from "./gate.ts"
import type { PacketMiddleware } from "./ports.ts"

/** The packet middleware of one socket. A socket has it from the first middleware on. */
export class PacketChecks {
  private readonly socket: InboundSocket
  private middlewares: ReadonlyArray<PacketMiddleware> = []
  /** Keeps events in their order while middleware checks them. */
  private readonly entrance: Gate

  constructor(socket: InboundSocket) {
    this.socket = socket
    this.entrance = new Gate(1, socket.connection.backlog)
  }

  /** Adds a middleware. Returns the function that removes it. */
  add(middleware: PacketMiddleware): () => void {
    this.middlewares = withHandler(this.middlewares, middleware)
    return () => {
      this.middlewares = withoutHandler(this.middlewares, middleware) ?? []
    }
  }

  /** Checks an event, and goes on if every middleware accepts it. */
  check(name: string, event: ReadonlyArray<unknown>, id: number | undefined, onPassed: () => void): void {
    const { socket } = this
    const cost = costOfEvent(event)
    this.entrance.enter(cost, (leave) => {
      if (!socket.isConnected) return leave()
      let isOver = false
      const onChecked = (exit: Exit.Exit<void, EventRefused>) => {
        if (isOver) return
        isOver = true
        if (exit._tag === "Success") onPassed()
        else refuseEvent(socket, name, id, exit.cause)
        leave()
      }
      const checks = () => this.run({ event: name, args: event.slice(1), needsAck: id !== undefined })
      const fiber = socket.start(socket.runFork, checks, onChecked, cost)
      if (fiber !== undefined && !isOver) this.endInTime(fiber, onChecked)
    })
  }

  private run(event: IncomingEvent): Effect.Effect<void, EventRefused> {
    return Effect.forEach(
      this.middlewares,
      ({ check, context }) =>
        Effect.provideContext(
          Effect.suspend(() => check(event)),
          this.socket.current(context)
        ),
      { discard: true }
    )
  }

  /** Later events must not wait forever for middleware that does not end. */
  private endInTime(fiber: Fiber.Fiber<any, any>, onChecked: (exit: Exit.Exit<never>) => void): void {
    const { connection } = this.socket
    const { options, wheel } = connection.environment
    const deadline: WheelEntry = {
      bucket: IDLE,
      onDefect: (defect) => connection.session.onDefect(defect),
      onDeadline: () => {
        onChecked(Exit.die(new Error(`packet middleware was not done within ${options.middlewareTimeout} ms`)))
        fiber.interruptUnsafe()
      }
    }
    wheel.schedule(deadline, options.middlewareTimeout)
    fiber.addObserver(() => wheel.cancel(deadline))
  }
}
