/**
 * The details of sockets in the form that official servers send to each other, and back.
 *
 * @since 0.1.0
 */
import type { SocketDetails } from "./Adapter.ts"

/**
 * A socket in an official answer to `fetchSockets`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RemoteDetails {
  readonly id: string
  readonly handshake: {
    readonly headers: Readonly<Record<string, string>>
    readonly time: string
    readonly address: string
    readonly xdomain: boolean
    readonly secure: boolean
    readonly issued: number
    readonly url: string
    readonly query: Readonly<Record<string, string>>
    readonly auth: Readonly<Record<string, unknown>>
  }
  /** The room of the socket's own id comes first. */
  readonly rooms: ReadonlyArray<string>
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * Brings details into the official form.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toRemote = (_details: SocketDetails): RemoteDetails => {
  throw new Error("not yet")
}

/**
 * Reads details in the official form, which may be hostile. Gives `undefined` without an id or
 * rooms. Any other field that is absent or of another type gets its empty value.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromRemote = (_value: unknown): SocketDetails | undefined => undefined
