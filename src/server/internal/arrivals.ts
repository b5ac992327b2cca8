import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { Connection } from "./connection.ts"
import type { Environment } from "./environment.ts"
import type { Auth } from "./joining.ts"
import { refusalOf } from "./ports.ts"
import { type SocketNamespace, SocketRuntime } from "./socket.ts"

/** A namespace, as clients arrive in it. */
export interface ArrivalNamespace extends SocketNamespace {
  readonly environment: Environment
  /** Decides whether a client is admitted, and builds its handlers. */
  admit(socket: SocketRuntime): Effect.Effect<unknown>
  /** A client is not there any more, or not on its way any more. */
  onLeft(): void
}

/** The clients of one namespace that are not admitted yet, or whose builders are at work. */
export class Arrivals {
  private readonly namespace: ArrivalNamespace
  /** Those whose admissions have begun in this turn, and have not suspended yet: mostly one. */
  private readonly beginning: Array<SocketRuntime> = []
  /** The others, with the deadlines of those that are not admitted yet. */
  private readonly deadlines = new Map<SocketRuntime, AdmissionDeadline | undefined>()

  constructor(namespace: ArrivalNamespace) {
    this.namespace = namespace
  }

  get isEmpty(): boolean {
    return this.deadlines.size === 0 && this.beginning.length === 0
  }

  get sockets(): ReadonlyArray<SocketRuntime> {
    return [...this.deadlines.keys(), ...this.beginning]
  }

  /** A client comes. */
  begin(connection: Connection, auth: Auth, authBytes: number): void {
    const { deadlines, namespace } = this
    const socket = new SocketRuntime(this.idFor(connection), connection, namespace, auth, authBytes)
    connection.add(socket, authBytes)
    this.beginning.push(socket)
    this.launch(socket)
    if (!this.hasBegun(socket)) return
    // Its admission takes time, or its builder.
    deadlines.set(socket, undefined)
    if (!socket.isConnecting) return
    const deadline = new AdmissionDeadline(socket)
    const { options, wheel } = namespace.environment
    deadlines.set(socket, deadline)
    wheel.schedule(deadline, options.connectTimeout)
  }

  private idFor({ isLegacy, session }: Connection): string {
    const { environment, name } = this.namespace
    if (!isLegacy) return environment.generateId()
    // Clients of protocol 4 know their id before they are told.
    return name === "/" ? session.id : `${name}#${session.id}`
  }

  /**
   * Runs the effect that admits the socket and builds its handlers, in its scope, and in the
   * context of the layer that serves the namespace, if that is known. The socket's end interrupts
   * it. If it fails, the socket is refused or disconnected, as it has no handlers.
   */
  private launch(socket: SocketRuntime): void {
    const { namespace } = this
    socket.enterContext(namespace.registration?.context ?? (namespace.environment.context as Context.Context<any>))
    socket.start(
      socket.runFork,
      () => namespace.admit(socket),
      (exit) => {
        if (exit._tag === "Failure") {
          if (socket.isConnecting) socket.refuse("Internal error")
          else socket.disconnectUnsafe(false)
        }
        this.settle(socket)
        if (!this.hasBegun(socket)) this.deadlines.delete(socket)
        namespace.onLeft()
        if (exit._tag === "Failure") this.report(socket, exit.cause)
      }
    )
  }

  private report({ annotations, connection }: SocketRuntime, cause: Cause.Cause<unknown>): void {
    const { observer } = this.namespace.environment
    const refusal = refusalOf(cause)
    if (refusal !== undefined) {
      const { message } = refusal
      observer.debug("namespace", "socket refused by its builder", { message, ...annotations }, connection)
    } else if (!Cause.hasInterruptsOnly(cause)) {
      observer.error("connecting a socket failed", cause, annotations, connection)
    }
  }

  /** Takes a socket from those that begin. Returns whether it was one of them. */
  private hasBegun(socket: SocketRuntime): boolean {
    const { beginning } = this
    const at = beginning.lastIndexOf(socket)
    if (at >= 0) beginning.splice(at, 1)
    return at >= 0
  }

  /** A socket is admitted, or never will be. */
  settle(socket: SocketRuntime): void {
    const deadline = this.deadlines.get(socket)
    if (deadline !== undefined) this.namespace.environment.wheel.cancel(deadline)
  }
}

/** Ends the wait of a client that is not admitted in time. */
class AdmissionDeadline implements WheelEntry {
  bucket: number = IDLE
  private readonly socket: SocketRuntime

  constructor(socket: SocketRuntime) {
    this.socket = socket
  }

  onDeadline(): void {
    this.socket.refuse("Connect timeout")
  }
}
