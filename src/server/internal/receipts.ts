/**
 * Numbers the pings of one connection, and their answers. A client answers pings in their order, so
 * the answer of one says that everything before it has arrived.
 */
export class Receipts {
  private pings = 0
  private pongs = 0
  private isReliable = true

  /** A ping was sent. Returns its number. */
  onPing(): number {
    return ++this.pings
  }

  /**
   * A pong has come. Returns the number of its ping, unless it answers none. From then on pongs say
   * nothing: the next one may come before its ping has arrived, too.
   */
  onPong(): number | undefined {
    if (this.pongs === this.pings) this.isReliable = false
    return this.isReliable ? ++this.pongs : undefined
  }
}
