import type { ResolvedEngineOptions } from "../../EngineOptions.ts"
import type { EngineRequest } from "../../EngineRequest.ts"
import * as HandshakeError from "../../HandshakeError.ts"
import type { ReadinessState } from "../../Readiness.ts"
import type { TimerWheel } from "../../TimerWheel.ts"
import type { Admission, Decision } from "../admission.ts"
import { type ConnectionLimit, ConnectionLimits } from "../connectionLimits.ts"

/**
 * Lets in as many connections as there may be. A request that the application has not decided on
 * counts as a connection. The readiness follows their number.
 */
export class Entrance {
  private readonly admission: Admission
  private readonly limits: ConnectionLimits | undefined
  private readonly readiness: ReadinessState
  private readonly wheel: TimerWheel
  private readonly warn: (message: string) => void
  /** The last state that the readiness was told. */
  private isFull = false

  constructor(
    { maxConnections, maxConnectionsPerAddress }: ResolvedEngineOptions,
    admission: Admission,
    readiness: ReadinessState,
    wheel: TimerWheel,
    warn: (message: string) => void
  ) {
    if (maxConnections !== undefined || maxConnectionsPerAddress !== undefined) {
      this.limits = new ConnectionLimits(maxConnections, maxConnectionsPerAddress)
    }
    this.admission = admission
    this.readiness = readiness
    this.wheel = wheel
    this.warn = warn
  }

  /** Whether there is no place for another connection from the address. */
  isFullFor(address: string): boolean {
    return this.limits?.exceeded(address) !== undefined
  }

  /** Counts a connection from now on. */
  add(address: string): void {
    this.limits?.add(address)
    this.tellWhetherFull()
  }

  remove(address: string): void {
    this.limits?.remove(address)
    this.tellWhetherFull()
  }

  /**
   * Decides on a request that would open a session, unless there are too many already (see
   * `Admission.admit`).
   */
  admit(request: EngineRequest, decided: (decision: Decision) => void): (() => void) | undefined {
    const { limits } = this
    if (limits === undefined) return this.admission.admit(request, decided)
    const { address } = request
    const exceeded = limits.exceeded(address)
    if (exceeded !== undefined) {
      decided(this.full(limits, exceeded))
      return undefined
    }
    limits.add(address)
    let isCounted = true
    const forget = () => {
      if (isCounted) limits.remove(address)
      isCounted = false
    }
    const cancel = this.admission.admit(request, (decision) => {
      // From here on the session itself is counted.
      forget()
      decided(decision)
      this.tellWhetherFull()
    })
    this.tellWhetherFull()
    return (
      cancel &&
      (() => {
        forget()
        cancel()
        this.tellWhetherFull()
      })
    )
  }

  /** Readiness follows the number of connections: after each change, not in the middle of one. */
  private tellWhetherFull(): void {
    const isFull = this.limits?.isFull === true
    if (isFull === this.isFull) return
    this.isFull = isFull
    if (isFull) this.readiness.add("full")
    else this.readiness.remove("full")
  }

  private full(limits: ConnectionLimits, option: ConnectionLimit): HandshakeError.HandshakeError {
    const refused = limits.refusals.add(this.wheel.now())
    if (refused !== undefined) {
      this.warn(
        `${option}: ${refused} ${refused === 1 ? "handshake was" : "handshakes were"} refused since this was said last`
      )
    }
    return HandshakeError.make(4, option, "Too many connections", 503)
  }
}
