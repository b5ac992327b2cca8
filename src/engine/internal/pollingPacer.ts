import { countMessage, isLong, Pace, TURN_MESSAGES } from "../../internal/pace.ts"
import { takeTurn } from "../../internal/sharedTurns.ts"
import { now } from "../../internal/turn.ts"
import * as Turn from "../../internal/turn.ts"
import type { Pacer } from "../EngineRequest.ts"

/**
 * Gives the packets of a long-polling session the same turns as the messages of a WebSocket (see
 * `pace.ts`).
 */
export class PollingPacer implements Pacer {
  private readonly session: object
  /** A session has a pacer from its first request that is large or has many packets. */
  private readonly pace = Pace.amidOthers(now())
  /** The time that the first long packet waits. */
  private wait = 0
  private turn = -1
  private packets = 0
  /** The time at which the current packet began; 0 if there is none. */
  private began = 0
  private bytes = 0

  constructor(session: object) {
    this.session = session
  }

  mayGoOn(bytes: number): boolean {
    this.rest()
    if (this.turn !== Turn.turn) {
      this.turn = Turn.turn
      this.packets = 0
      this.pace.beginTurn()
      Turn.awaitTurnEnd()
    }
    if (this.pace.isEntering || (!this.pace.hasLong && isLong(0, bytes))) this.wait = this.pace.entryPause(now())
    if (this.packets >= TURN_MESSAGES || this.pace.isOver || this.isDue) return false
    countMessage(this.session, bytes)
    this.packets++
    this.bytes = bytes
    this.began = now()
    return true
  }

  rest(): void {
    if (this.began > 0) this.pace.took(now() - this.began, this.bytes)
    this.began = 0
  }

  get isDue(): boolean {
    return this.pace.isDue || this.wait > 0
  }

  yield(goOn: () => void): void {
    const pause = Math.max(this.pace.next(now()), this.wait)
    this.wait = 0
    takeTurn(goOn, pause)
  }
}
