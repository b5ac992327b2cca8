import type { EncodedBroadcast } from "../../adapter/Adapter.ts"
import type { OutboundMessage } from "../../engine/OutboundMessage.ts"

/** A broadcast event, encoded for everybody, with what it was before for those who tap what goes out. */
export class EncodedEvent implements EncodedBroadcast {
  readonly shared = true
  readonly message: OutboundMessage
  readonly data: readonly [event: string, ...args: Array<unknown>]

  constructor(message: OutboundMessage, data: readonly [event: string, ...args: Array<unknown>]) {
    this.message = message
    this.data = data
  }
}
