/** An event of a contract that is encoded already: a client sends it as it is. */
export class WireData {
  /** `[name, ...args]` */
  readonly data: ReadonlyArray<unknown>

  constructor(data: ReadonlyArray<unknown>) {
    this.data = data
  }
}
