import * as Effect from "effect/Effect"

import type { BroadcastFlags } from "../../adapter/Adapter.ts"
import type { SocketRuntime } from "./socket.ts"
import type { BroadcastTarget } from "./targets.ts"

/** Sends to one socket with flags; contracts only narrow its type. */
export class Emitter {
  private readonly socket: SocketRuntime
  private readonly target: BroadcastTarget
  private readonly flags: BroadcastFlags

  constructor(socket: SocketRuntime, target: BroadcastTarget, flags: BroadcastFlags) {
    this.socket = socket
    this.target = target
    this.flags = flags
  }

  get volatile(): Emitter {
    return new Emitter(this.socket, this.target, { ...this.flags, volatile: true })
  }

  compress(compress: boolean): Emitter {
    return new Emitter(this.socket, this.target, { ...this.flags, compress })
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return this.socket.emitFrom(this.target, event, args, this.flags)
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    return Effect.flatMap(
      this.socket.request(event, () => this.target.packet(event, args), this.flags),
      (answer) => this.target.decodeAck(event, answer)
    )
  }
}
