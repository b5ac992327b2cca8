/**
 * Who gets a broadcast: immutable values that are made cheaply and used at once or kept.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"

import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"

/**
 * One room or several.
 *
 * @since 0.1.0
 * @category models
 */
export type RoomSelection = string | ReadonlyArray<string>

/**
 * How a selection is narrowed or widened. Every method gives a new operator.
 *
 * @since 0.1.0
 * @category models
 */
export interface Selecting<Self> {
  /** Adds rooms: their members get the event, once each. Without any room it is everybody in the namespace. */
  to(rooms: RoomSelection): Self
  /** The same as {@link to}. */
  in(rooms: RoomSelection): Self
  /** Leaves out the members of rooms. */
  except(rooms: RoomSelection): Self
  /** Leaves out whoever would have to wait for it: for events that are soon replaced by newer ones. */
  readonly volatile: Self
  /** Only the sockets of this process. */
  readonly local: Self
}

/**
 * Broadcasts the events that a contract sends to clients.
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastOperator<N extends Namespace.Any> extends Selecting<BroadcastOperator<N>> {
  /**
   * Sends an event to the selection. It is encoded once and keeps its order to what else the calling fiber emits. It never
   * fails; a payload that is not of the declared type is a defect.
   */
  emit<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<void>
}

/**
 * Broadcasts any event.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlainBroadcastOperator extends Selecting<PlainBroadcastOperator> {
  /** Sends an event to the selection. Arguments are JSON values and bytes. */
  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void>
}
