/**
 * Acknowledgements of several arguments, for handlers without a contract, on both sides.
 *
 * @since 0.1.0
 */

/**
 * Several arguments of an acknowledgement, as the value of a plain handler.
 *
 * @since 0.1.0
 * @category models
 */
export class AckArguments {
  readonly values: ReadonlyArray<unknown>
  constructor(values: ReadonlyArray<unknown>) {
    this.values = values
  }
}

/**
 * Acknowledges with several arguments. Return the result from a plain handler.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ackArguments = (...values: ReadonlyArray<unknown>): AckArguments => new AckArguments(values)
