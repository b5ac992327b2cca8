import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

import type { ClientClose } from "../../engine/EngineClient.ts"
import { CONTROL_ID } from "../../internal/controlEvents.ts"
import { ACK, EVENT } from "../../protocol/PacketType.ts"
import type { Dial, Extended, Link, LinkSink, Member, Received } from "./connection.ts"

/** The pause between two attempts to connect to the next server, in milliseconds. */
const MOVE_PAUSE = 1_000

/** The longest time for a move, in milliseconds, whatever the server says. */
const MAX_MOVE = 60_000

/** The connection before the last move, its members, and what to do when it has ended. */
interface Previous {
  readonly link: Link
  readonly members: ReadonlySet<Member | undefined>
  readonly onEnd: () => void
}

type State =
  | { readonly _tag: "Settled" }
  /** The server has asked to move. It keeps the connection for some time. */
  | Asked
  /**
   * The next connection is open, and the server knows. Events wait until it says that the ones
   * before are handled.
   */
  | { readonly _tag: "Moving"; readonly asked: Asked; readonly next: Link }

interface Asked {
  readonly _tag: "Asked"
  readonly until: number
  /** The id of the acknowledgement that the server awaits. */
  readonly id: number | undefined
  /** Makes the next connection. */
  dialing: Fiber.Fiber<unknown, unknown> | undefined
  /** The next connection, which is not open yet. */
  next: Link | undefined
}

const settled: State = { _tag: "Settled" }

/**
 * Makes connections that move to another server when theirs asks for it. To its manager each is one
 * connection, over which its sockets ask for their namespaces anew.
 */
export const followMoves =
  (dial: Dial, client: Extended): Dial =>
  (sink, fx = "0") =>
    Effect.suspend(() => {
      const mover = new Mover((own) => dial(own, fx.replace("0", "1")), client, sink)
      return mover.make
    })

class Mover implements Link {
  private readonly dial: (sink: LinkSink) => Effect.Effect<Link>
  private readonly client: Extended
  private readonly sink: LinkSink
  private current!: Link
  private state: State = settled
  private previous: Previous | undefined

  constructor(dial: (sink: LinkSink) => Effect.Effect<Link>, client: Extended, sink: LinkSink) {
    this.dial = dial
    this.client = client
    this.sink = sink
  }

  readonly make: Effect.Effect<Link> = Effect.suspend(() =>
    Effect.map(this.dialOne, (link) => {
      this.current = link
      return this
    })
  )

  // -------------------------------------------------------------- the connection of now

  get id(): string | undefined {
    return this.current.id
  }

  get isOpen(): boolean {
    return this.current.isOpen
  }

  get transportName(): Link["transportName"] {
    return this.current.transportName
  }

  get writable(): boolean {
    return this.current.writable
  }

  get isMoving(): boolean {
    return this.state._tag === "Moving"
  }

  open(): void {
    this.current.open()
  }

  send(...packet: Parameters<Link["send"]>): void {
    this.current.send(...packet)
  }

  checkAlive(): void {
    this.current.checkAlive()
  }

  fail(...why: Parameters<Link["fail"]>): void {
    this.current.fail(...why)
  }

  close(description?: string): void {
    this.stop()
    this.current.close(description)
    this.previous?.link.close()
  }

  // -------------------------------------------------------------- moves

  private get now(): number {
    return this.client.runtime.now()
  }

  private readonly dialOne: Effect.Effect<Link> = Effect.suspend(() => {
    let link: Link | undefined
    const { sink } = this
    const made = this.dial({
      onOpen: (handshake) => (link === this.current ? sink.onOpen(handshake) : this.onNextOpen()),
      onUpgrade: () => sink.onUpgrade?.(),
      onPacket: (packet) => this.onPacket(packet),
      onClose: (close) => {
        if (link === this.current) return this.onCurrentEnd(close)
        if (link === this.previous?.link) return this.previous?.onEnd()
        if (link === nextOf(this.state)) this.onNextEnd()
      }
    })
    return Effect.map(made, (made) => (link = made))
  })

  private onPacket(packet: Received): void {
    const { data, id, link, namespace, type } = packet
    if (link !== this.current) {
      // Only acknowledgements come over the previous connection, to those who were there.
      const member = this.client.members.get(namespace)
      if (type === ACK && member && link === this.previous?.link && this.previous.members.has(member)) {
        this.sink.onPacket(packet)
      }
      return
    }
    if (id === CONTROL_ID && type === EVENT && namespace === "/") {
      const [event, value] = data as ReadonlyArray<any>
      if (event === "~fx:move") return this.onAsked(Number(value?.within) || 0, id)
      if (event === "~fx:moved") {
        if (this.state._tag === "Moving") this.move(this.state.asked, this.state.next)
        return
      }
    }
    this.sink.onPacket(packet)
  }

  /** The server asks to move to another one, and awaits an acknowledgement. */
  private onAsked(within: number, id: number): void {
    if (nextOf(this.state)) return
    this.stop()
    const asked: Asked = {
      _tag: "Asked",
      until: this.now + Math.min(within, MAX_MOVE),
      id,
      dialing: undefined,
      next: undefined
    }
    this.state = asked
    this.dialNext(asked, 0)
  }

  private dialNext(asked: Asked, pause: number): void {
    const dialed = Effect.map(this.dialOne, (link) => {
      asked.next = link
      link.open()
    })
    asked.dialing = this.client.runtime.runFork(pause ? Effect.andThen(Effect.sleep(pause), dialed) : dialed)
  }

  private onNextOpen(): void {
    const { state } = this
    if (state._tag !== "Asked") return
    this.state = { _tag: "Moving", asked: state, next: state.next! }
    const { client, current } = this
    client.send(client.encode({ type: ACK, namespace: "/", id: state.id, data: [] }, false), undefined, current)
  }

  private onNextEnd(): void {
    const { state } = this
    if (state._tag === "Moving") {
      // The events that wait cannot be sent over this connection any more.
      this.state = settled
      this.current.fail("transport close", "lost while moving")
    } else if (state._tag === "Asked") {
      state.next = undefined
      if (this.current.isOpen && this.now + MOVE_PAUSE < state.until) this.dialNext(state, MOVE_PAUSE)
      else this.state = settled
    }
  }

  private onCurrentEnd(close: ClientClose): void {
    // The next server is there already.
    if (this.state._tag === "Moving") return this.move(this.state.asked, this.state.next)
    this.stop()
    this.previous?.link.close()
    this.sink.onClose(close)
  }

  private move({ until }: Asked, next: Link): void {
    const from = this.current
    const { former, members, runtime } = this.client
    this.previous?.link.close()
    this.previous?.onEnd()
    this.current = next
    this.state = settled
    former.clear()
    const closing = runtime.runFork(Effect.map(Effect.sleep(Math.max(0, until - this.now)), () => from.close()))
    const ends = Array.from(members.values(), (member) => member.onMove())
    this.previous = {
      link: from,
      members: new Set(members.values()),
      onEnd: () => {
        this.previous = undefined
        closing.interruptUnsafe()
        for (const end of ends) end()
      }
    }
    if (!from.isOpen) this.previous.onEnd()
  }

  /** Gives a move up. */
  private stop(): void {
    const { state } = this
    this.state = settled
    if (state._tag === "Asked") state.dialing?.interruptUnsafe()
    nextOf(state)?.close()
  }
}

const nextOf = (state: State): Link | undefined => (state._tag === "Settled" ? undefined : state.next)
