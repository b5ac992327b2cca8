/**
 * Servers of one process as a cluster: an adapter that passes messages on to the other servers, as one behind a broker would.
 * The messages are copies, so that nothing passes but what could be sent; they arrive in turns of their own.
 */
import { Effect, Fiber, Queue, type Scope, Stream } from "effect"

import type {
  Acknowledgement,
  Adapter,
  BroadcastFlags,
  BroadcastPacket,
  Factory,
  Host,
  Selection,
  SocketDetails
} from "../../src/adapter/Adapter.ts"
import { ServersMissingError } from "../../src/SocketIoError.ts"
import * as InMemoryAdapter from "../../src/adapter/InMemoryAdapter.ts"

type ServerEvent = readonly [event: string, ...args: Array<unknown>]

/** The messages between servers. A request has its sender and a number; it gets answers, then the end. */
export type Message =
  | {
      readonly _tag: "Broadcast"
      readonly packet: BroadcastPacket
      readonly to: Selection
      readonly flags: BroadcastFlags
    }
  | { readonly _tag: "Join" | "Leave"; readonly to: Selection; readonly rooms: ReadonlyArray<string> }
  | { readonly _tag: "Disconnect"; readonly to: Selection; readonly close: boolean }
  | { readonly _tag: "ServerEvent"; readonly data: ServerEvent }
  | { readonly _tag: "Request"; readonly from: number; readonly id: number; readonly question: Question }
  | { readonly _tag: "Cancel"; readonly from: number; readonly id: number }
  | { readonly _tag: "Answer"; readonly id: number; readonly value: unknown }
  | { readonly _tag: "End"; readonly id: number; readonly from: number }

/** The news for a server: messages, and, from the cluster itself, the end of another server. */
type Notice = Message | { readonly _tag: "Gone"; readonly from: number }

/** One server of a cluster. */
export interface Member {
  /** The factory of its adapters. */
  readonly factory: Factory
  /** From now on it takes nothing that the others send; what comes is in the queue. */
  readonly hang: Effect.Effect<Queue.Dequeue<Notice>>
  /** Ends it at once, without a word of its own: the others are told that it is gone. */
  readonly die: Effect.Effect<void>
}

type Question =
  | { readonly _tag: "Ask"; readonly packet: BroadcastPacket; readonly to: Selection; readonly flags: BroadcastFlags }
  | { readonly _tag: "Fetch"; readonly to: Selection }
  | { readonly _tag: "Count"; readonly to: Selection }
  | { readonly _tag: "ServerEvent"; readonly data: ServerEvent }

/** Joins servers into a cluster. */
export class Cluster {
  /** Every message so far, by copies of what was sent. */
  readonly sent: Array<Message> = []
  /** Replies that a server gave after its first one. */
  readonly surplus: Array<unknown> = []
  private readonly nodes = new Set<Node>()
  private readonly tellsIds: boolean
  private count = 0

  /** Official servers do not tell the ids of sockets that acknowledge a broadcast: `tellsIds` is false then. */
  constructor({ tellsIds = true }: { readonly tellsIds?: boolean } = {}) {
    this.tellsIds = tellsIds
  }

  /** The factory of the adapters of one more server. */
  get factory(): Factory {
    return this.member().factory
  }

  /** One more server. */
  member(): Member {
    const own = new Set<Node>()
    return {
      factory: (host) => this.open(host, own),
      hang: Effect.sync(() => {
        const unread = Effect.runSync(Queue.unbounded<Notice>())
        for (const node of own) node.receive = (notice) => void Queue.offerUnsafe(unread, notice)
        return unread
      }),
      die: Effect.sync(() => {
        for (const node of own) this.remove(node)
      })
    }
  }

  private open(host: Host, member: Set<Node>): Effect.Effect<Adapter, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const node = new Node(this, this.count++, host, yield* InMemoryAdapter.make(host), this.tellsIds)
      member.add(node)
      yield* Effect.acquireRelease(
        Effect.sync(() => this.nodes.add(node)),
        () => Effect.sync(() => this.remove(node))
      )
      yield* Effect.forkScoped(node.work)
      return node
    })
  }

  private remove(node: Node): void {
    const others = this.others(node)
    if (!this.nodes.delete(node)) return
    for (const other of others) other.receive({ _tag: "Gone", from: node.id })
  }

  /** The other servers with the namespace of a node; none after its end. */
  others(own: Node): ReadonlyArray<Node> {
    if (!this.nodes.has(own)) return []
    return Array.from(this.nodes).filter((node) => node.host.namespace === own.host.namespace && node !== own)
  }

  send(message: Message, nodes: ReadonlyArray<Node>): void {
    if (nodes.length === 0) return
    this.sent.push(structuredClone(message))
    for (const node of nodes) node.receive(structuredClone(message))
  }
}

/** A question of this server's own: who has still to end it, and how many cannot. */
interface Pending {
  readonly awaited: Set<number>
  missing: number
  readonly onAnswer: (value: any) => void
  readonly onEnd: (missing: number) => void
}

/** One namespace of one server. */
class Node implements Adapter {
  readonly id: number
  readonly host: Host
  readonly join: Adapter["join"]
  readonly leave: Adapter["leave"]
  readonly leaveAll: Adapter["leaveAll"]
  readonly rooms: Adapter["rooms"]
  readonly localSockets: Adapter["localSockets"]
  private readonly cluster: Cluster
  private readonly own: Adapter
  private readonly tellsIds: boolean
  private readonly inbox = Effect.runSync(Queue.unbounded<Notice>())
  private readonly pending = new Map<number, Pending>()
  /** The work for others, by sender and number. */
  private readonly answering = new Map<string, Fiber.Fiber<void>>()
  private questions = 0

  constructor(cluster: Cluster, id: number, host: Host, own: Adapter, tellsIds: boolean) {
    this.tellsIds = tellsIds
    this.cluster = cluster
    this.id = id
    this.host = host
    this.own = own
    // Rooms are kept by the server whose sockets are in them.
    this.join = (socket, rooms) => own.join(socket, rooms)
    this.leave = (socket, rooms) => own.leave(socket, rooms)
    this.leaveAll = (socket) => own.leaveAll(socket)
    this.rooms = own.rooms
    this.localSockets = (selection) => own.localSockets(selection)
  }

  broadcast(packet: BroadcastPacket, to: Selection, flags: BroadcastFlags): Effect.Effect<void> {
    return Effect.andThen(
      this.own.broadcast(packet, to, flags),
      this.tell({ _tag: "Broadcast", packet, to, flags }, flags.local)
    )
  }

  broadcastWithAck(
    packet: BroadcastPacket,
    to: Selection,
    flags: BroadcastFlags
  ): Stream.Stream<Acknowledgement, ServersMissingError> {
    const own = this.own.broadcastWithAck(packet, to, flags)
    if (flags.local) return own
    // Merged, a failure of the others would end its own answers, too.
    return failAtEnd((onMissing) =>
      Stream.merge(Stream.orDie(own), this.ask<Acknowledgement>({ _tag: "Ask", packet, to, flags }, onMissing))
    )
  }

  fetchSockets(to: Selection, local: boolean): ReturnType<Adapter["fetchSockets"]> {
    const own = this.own.fetchSockets(to, true)
    if (local) return own
    return Effect.flatMap(own, (own) =>
      this.collect<SocketDetails, ReadonlyArray<SocketDetails>>({ _tag: "Fetch", to }, (others) => [...own, ...others])
    )
  }

  count(to: Selection, local: boolean): ReturnType<Adapter["count"]> {
    const own = this.own.count(to, true)
    if (local) return own
    return Effect.flatMap(own, (own) =>
      this.collect<number, number>({ _tag: "Count", to }, (others) => others.reduce((sum, count) => sum + count, own))
    )
  }

  socketsJoin(to: Selection, rooms: ReadonlyArray<string>, local: boolean): Effect.Effect<void> {
    return Effect.andThen(this.own.socketsJoin(to, rooms, true), this.tell({ _tag: "Join", to, rooms }, local))
  }

  socketsLeave(to: Selection, rooms: ReadonlyArray<string>, local: boolean): Effect.Effect<void> {
    return Effect.andThen(this.own.socketsLeave(to, rooms, true), this.tell({ _tag: "Leave", to, rooms }, local))
  }

  disconnectSockets(to: Selection, close: boolean, local: boolean): Effect.Effect<void> {
    return Effect.andThen(
      this.own.disconnectSockets(to, close, true),
      this.tell({ _tag: "Disconnect", to, close }, local)
    )
  }

  serverSideEmit(data: ServerEvent): Effect.Effect<void> {
    return this.tell({ _tag: "ServerEvent", data }, false)
  }

  serverSideEmitWithAck(data: ServerEvent): Stream.Stream<ReadonlyArray<unknown>, ServersMissingError> {
    return failAtEnd((onMissing) => this.ask({ _tag: "ServerEvent", data }, onMissing))
  }

  // ---------------------------------------------------------------- to the others

  private tell(message: Message, local: boolean): Effect.Effect<void> {
    return Effect.sync(() => {
      if (!local) this.cluster.send(message, this.cluster.others(this))
    })
  }

  /** All answers of the others; they are part of the failure if some servers are missing. */
  private collect<A, B>(
    question: Question,
    combine: (answers: ReadonlyArray<A>) => B
  ): Effect.Effect<B, ServersMissingError<B>> {
    return Effect.suspend(() => {
      let missing = 0
      const answers = Stream.runCollect(this.ask<A>(question, (count) => (missing = count)))
      return Effect.flatMap(answers, (answers) => {
        const partial = combine(answers)
        return missing === 0 ? Effect.succeed(partial) : Effect.fail(new ServersMissingError<B>({ missing, partial }))
      })
    })
  }

  /** The answers of the others to a question; it ends when each has ended it or gone. Ending it earlier tells them. */
  private ask<A>(question: Question, onMissing: (count: number) => void): Stream.Stream<A> {
    return Stream.callback<A>(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const id = this.questions++
            const others = this.cluster.others(this)
            if (others.length === 0) Queue.endUnsafe(queue)
            this.pending.set(id, {
              awaited: new Set(others.map((node) => node.id)),
              missing: 0,
              onAnswer: (value: A) => Queue.offerUnsafe(queue, value),
              onEnd: (missing) => {
                onMissing(missing)
                Queue.endUnsafe(queue)
              }
            })
            this.cluster.send({ _tag: "Request", from: this.id, id, question }, others)
            return id
          }),
          (id) =>
            Effect.sync(() => {
              const { awaited } = this.pending.get(id)!
              this.pending.delete(id)
              const waiting = this.cluster.others(this).filter((node) => awaited.has(node.id))
              this.cluster.send({ _tag: "Cancel", from: this.id, id }, waiting)
            })
        ),
      { bufferSize: Infinity }
    )
  }

  // ---------------------------------------------------------------- from the others

  receive = (message: Notice): void => {
    Queue.offerUnsafe(this.inbox, message)
  }

  /** Takes what the others send, one message after the other. */
  get work(): Effect.Effect<never> {
    return Effect.forever(Effect.flatMap(Queue.take(this.inbox), (message) => this.handle(message)))
  }

  private handle(message: Notice): Effect.Effect<void> {
    switch (message._tag) {
      case "Broadcast":
        return this.own.broadcast(message.packet, message.to, message.flags)
      case "Join":
        return this.own.socketsJoin(message.to, message.rooms, true)
      case "Leave":
        return this.own.socketsLeave(message.to, message.rooms, true)
      case "Disconnect":
        return this.own.disconnectSockets(message.to, message.close, true)
      case "ServerEvent":
        return Effect.sync(() => this.host.onServerEvent(message.data, undefined))
      case "Request":
        return Effect.sync(() => this.answer(message.from, message.id, message.question))
      case "Cancel":
        return Effect.sync(() => this.answering.get(`${message.from} ${message.id}`)?.interruptUnsafe())
      case "Answer":
        return Effect.sync(() => this.pending.get(message.id)?.onAnswer(message.value))
      case "End":
        return Effect.sync(() => this.pending.get(message.id) !== undefined && this.ended(message.id, message.from))
      case "Gone":
        return Effect.sync(() => {
          for (const [id, pending] of this.pending) {
            if (pending.awaited.has(message.from)) pending.missing++
            this.ended(id, message.from)
          }
        })
    }
  }

  private ended(id: number, node: number): void {
    const { awaited, missing, onEnd } = this.pending.get(id)!
    if (awaited.delete(node) && awaited.size === 0) onEnd(missing)
  }

  private answer(from: number, id: number, question: Question): void {
    const asking = this.cluster.others(this).filter((node) => node.id === from)
    const key = `${from} ${id}`
    const answering = Stream.runForEach(Stream.orDie(this.answers(question)), (value) =>
      Effect.sync(() => this.cluster.send({ _tag: "Answer", id, value }, asking))
    )
    const fiber = Effect.runFork(
      Effect.onExit(answering, () =>
        Effect.sync(() => {
          this.answering.delete(key)
          this.cluster.send({ _tag: "End", id, from: this.id }, asking)
        })
      )
    )
    if (fiber.pollUnsafe() === undefined) this.answering.set(key, fiber)
  }

  private answers(question: Question): Stream.Stream<unknown, unknown> {
    switch (question._tag) {
      case "Ask":
        return Stream.map(this.own.broadcastWithAck(question.packet, question.to, question.flags), (answer) =>
          this.tellsIds ? answer : { ...answer, sid: undefined }
        )
      case "Fetch":
        return Stream.fromIterableEffect(this.own.fetchSockets(question.to, true))
      case "Count":
        return Stream.fromEffect(this.own.count(question.to, true))
      case "ServerEvent":
        return Stream.callback<ReadonlyArray<unknown>>((queue) =>
          Effect.sync(() => {
            let replied = false
            this.host.onServerEvent(question.data, (args) => {
              if (replied) this.cluster.surplus.push(args)
              replied = true
              if (args !== undefined) Queue.offerUnsafe(queue, args)
              Queue.endUnsafe(queue)
            })
          })
        )
    }
  }
}

/** The answers, and then a failure if some servers are missing. */
const failAtEnd = <A>(
  answers: (onMissing: (count: number) => void) => Stream.Stream<A>
): Stream.Stream<A, ServersMissingError> =>
  Stream.suspend(() => {
    let missing = 0
    const end = Stream.suspend(() =>
      missing === 0 ? Stream.empty : Stream.fail(new ServersMissingError({ missing, partial: undefined }))
    )
    return Stream.concat(
      answers((count) => (missing = count)),
      end
    )
  })
