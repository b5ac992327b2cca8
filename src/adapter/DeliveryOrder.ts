/**
 * The order of broadcasts, in spite of code that sends while another one is being delivered.
 *
 * @since 0.1.0
 */

/**
 * The deliveries of one namespace. To deliver a message may run code of the application, which
 * sends another one or changes rooms: when a slow client is disconnected, or to show an outgoing
 * event. The first message comes to all of its recipients before that.
 *
 * @since 0.1.0
 * @category models
 */
export class DeliveryOrder {
  private current: (() => void) | undefined

  /** Delivers a message: `deliver` must go on where it is when it is called again. */
  run(deliver: () => void): void {
    const outer = this.current
    this.current = deliver
    try {
      deliver()
    } finally {
      this.current = outer
    }
  }

  /** Goes on with the delivery in progress, to its end. */
  finish(): void {
    this.current?.()
  }
}
