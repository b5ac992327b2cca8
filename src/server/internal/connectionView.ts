import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { ConnectionDetails } from "../../engine/EngineRequest.ts"
import type { SessionClose } from "../../engine/EngineSession.ts"
import type { ConnectedSocket, ServerConnection } from "../ServerConnection.ts"
import type { Connection, ConnectionHolder } from "./connection.ts"
import type { Member } from "./members.ts"

/** A connection in the form that the application uses. Made at its first use. */
export class ConnectionView extends Inspectable.Class implements ServerConnection, ConnectionHolder {
  readonly #connection: Connection
  readonly #socketOf: (member: Member) => ConnectedSocket
  /**
   * It has no parent: the end of the connection closes it with `Closing`, like a socket's scope.
   */
  #scope: Scope.Closeable | undefined
  #isClosing = false

  constructor(connection: Connection, socketOf: (member: Member) => ConnectedSocket) {
    super()
    this.#connection = connection
    this.#socketOf = socketOf
  }

  get id(): string {
    return this.#connection.session.id
  }

  get details(): ConnectionDetails {
    return this.#connection.session.details
  }

  get isOpen(): boolean {
    return this.#connection.session.isOpen
  }

  get transport(): string {
    return this.#connection.session.transport
  }

  get transportChanges(): Stream.Stream<string> {
    return this.#connection.session.transportChanges
  }

  get closed(): Effect.Effect<SessionClose> {
    return this.#connection.session.closed
  }

  get scope(): Scope.Scope {
    if (this.#scope === undefined) {
      this.#scope = Scope.makeUnsafe()
      this.onReleased()
    }
    return this.#scope
  }

  addFinalizer<R>(finalizer: Effect.Effect<unknown, never, R>): Effect.Effect<void, never, R> {
    return Effect.contextWith((context) =>
      Effect.suspend(() => Scope.addFinalizer(this.scope, Effect.provideContext(finalizer, context)))
    )
  }

  get sockets(): Effect.Effect<ReadonlyArray<ConnectedSocket>> {
    return Effect.sync(() => this.#connection.connectedMembers.map(this.#socketOf))
  }

  close(): Effect.Effect<void> {
    return Effect.sync(() => this.#connection.disconnectAll())
  }

  onReleased(): void {
    if (this.#scope === undefined || this.#isClosing || !this.#connection.isReleased) return
    this.#isClosing = true
    const { environment } = this.#connection
    environment.closing.close(this.#scope, { annotations: { session: this.id }, culprit: this.#connection })
  }

  override toJSON(): unknown {
    const { id, isOpen, transport } = this
    return { _id: "ServerConnection", id, transport, isOpen }
  }
}
