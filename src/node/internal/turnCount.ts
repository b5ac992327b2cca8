import * as Turn from "../../internal/turn.ts"

/**
 * Counts the requests or chunks of one connection in one turn. Those of one connection come in a
 * row, so only the count of the last connection is kept.
 */
export class TurnCount implements Turn.TurnTask {
  private last: object | undefined
  private turn = -1
  private count = 0

  /** One more has come from a connection. Returns how many that are in this turn. */
  add(connection: object): number {
    if (this.last !== connection) {
      this.last = connection
      this.count = 0
      if (this.turn !== Turn.turn) {
        this.turn = Turn.turn
        Turn.atTurnEnd(this)
      }
    }
    return ++this.count
  }

  onTurnEnd(): void {
    this.last = undefined
  }

  onDefect(): void {}
}
