import type { DisconnectReason } from "../../DisconnectReason.ts"
import { hashOf, isMatchable } from "../../internal/namespacePattern.ts"
import { TokenBucket } from "../../internal/tokenBucket.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import type { Rate } from "../../RateLimit.ts"

/**
 * The number of namespaces that a connection remembers after the client has left them, or was
 * refused.
 */
const MAX_LEFT = 1_000

/** A client in one namespace, as its connection sees it. */
export interface Member {
  readonly namespace: { readonly name: string }
  readonly isConnected: boolean
  /** Whether such an event has no effect here, whatever its arguments are. */
  ignores(event: string): boolean
  /** Takes a packet of the client for this namespace, other than CONNECT. */
  onPacket(packet: SocketPacket): void
  disconnectUnsafe(close: boolean): void
  /** The client has left: the acknowledgements that it owes will not come. */
  abandonAcks(): void
  /** The ping of a number was sent. */
  onPing(ping: number): void
  /** The ping of a number was answered. */
  onPong(ping: number): void
  /** Stops every delivery, whatever the reason is. */
  end(reason: DisconnectReason): void
}

/** The namespaces that a client has left, though it may not know yet. */
class Left {
  /** Hashes, as a client may choose long names. */
  private readonly names = new Set<number>()
  private joins: TokenBucket | undefined

  add(name: string): void {
    if (this.names.size < MAX_LEFT && isMatchable(name)) this.names.add(hashOf(name))
  }

  delete(name: string): void {
    this.names.delete(hashOf(name))
  }

  has(name: string): boolean {
    return isMatchable(name) && this.names.has(hashOf(name))
  }

  join(rate: Rate, now: number): number {
    return (this.joins ??= new TokenBucket(rate)).take(now)
  }
}

/**
 * The namespaces of one client: those that it is in, or on the way into, and those that it has
 * left. Most clients are in one, which needs no map.
 */
export class Members {
  private first: Member | undefined
  private others: Map<string, Member> | undefined
  /** Made when the client leaves a namespace for the first time, or is refused. */
  private left: Left | undefined

  get size(): number {
    return (this.first === undefined ? 0 : 1) + (this.others?.size ?? 0)
  }

  get(name: string): Member | undefined {
    const { first } = this
    return first !== undefined && first.namespace.name === name ? first : this.others?.get(name)
  }

  /** Adds a member of a namespace that has none here. */
  add(member: Member): void {
    const { name } = member.namespace
    this.left?.delete(name)
    if (this.size === 0) this.first = member
    else (this.others ??= new Map<string, Member>()).set(name, member)
  }

  /** The client leaves a namespace while its connection stays. */
  leave(name: string): void {
    if (this.remove(name)) this.remember(name)
  }

  private remove(name: string): boolean {
    if (this.first?.namespace.name !== name) return this.others?.delete(name) === true
    this.first = undefined
    return true
  }

  /** The client is not in a namespace, but may not know yet. */
  remember(name: string): void {
    ;(this.left ??= new Left()).add(name)
  }

  /** Whether the client may not know yet that it is not in a namespace. */
  hasLeft(name: string): boolean {
    return this.left?.has(name) === true
  }

  /** Whether the client has left a namespace, or was refused. */
  get isReturning(): boolean {
    return this.left !== undefined
  }

  /** Such a client joins a namespace. Returns the milliseconds until it may, or 0. */
  join(rate: Rate, now: number): number {
    return (this.left ??= new Left()).join(rate, now)
  }

  /** All of them, the oldest first. */
  all(): Array<Member> {
    const others = this.others === undefined ? [] : Array.from(this.others.values())
    return this.first === undefined ? others : [this.first, ...others]
  }

  clear(): void {
    this.first = this.others = undefined
  }
}
