import type { EngineSession } from "../../engine/EngineSession.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import { TokenBucket } from "../../internal/tokenBucket.ts"
import type { Environment } from "./environment.ts"

/** Pauses reading from a client that opens dynamic namespaces too fast. */
export class OpeningLimiter implements WheelEntry {
  bucket: number = IDLE
  private readonly tokens: TokenBucket
  private readonly session: EngineSession
  private readonly wheel: TimerWheel

  constructor(session: EngineSession, { options, wheel }: Environment) {
    this.tokens = new TokenBucket(options.openingRate)
    this.session = session
    this.wheel = wheel
  }

  onOpening(): void {
    const missing = this.tokens.spend(this.wheel.now())
    if (missing > 0) this.wait(missing)
  }

  onDeadline(): void {
    // Packets that had already been read may have opened more meanwhile.
    const missing = this.tokens.missing(this.wheel.now(), 0)
    if (missing > 0) this.wait(missing)
    else this.session.resumeUnsafe("openings")
  }

  onDefect(defect: unknown): void {
    this.session.onDefect(defect)
  }

  private wait(millis: number): void {
    this.session.pauseUnsafe("openings")
    this.wheel.schedule(this, millis)
  }
}
