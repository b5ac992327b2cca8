/**
 * The model of a cluster: what each server must have done, given what the bus has brought to it, and what each question must have got.
 */
import type { Selection } from "../../src/adapter/Adapter.ts"
import type { ClusterMessage } from "../../src/adapter/ClusterMessage.ts"
import type { Body, BusServer, MemoryBus } from "../support/memoryBus.ts"

/** The sockets and rooms of one server, without any of the machinery. */
export class ModelServer {
  readonly sockets = new Map<string, Set<string>>()
  /** The events of each socket, also of those that have disconnected. */
  readonly heard = new Map<string, Array<unknown>>()
  /** The server events. */
  readonly events: Array<unknown> = []

  connect(id: string): void {
    this.sockets.set(id, new Set())
    this.heard.set(id, [])
  }

  select({ except, rooms }: Selection): ReadonlyArray<string> {
    const isIn = (id: string, room: string) => id === room || this.sockets.get(id)!.has(room)
    return Array.from(this.sockets.keys()).filter(
      (id) => (rooms.length === 0 || rooms.some((room) => isIn(id, room))) && !except.some((room) => isIn(id, room))
    )
  }

  broadcast(selection: Selection, data: ReadonlyArray<unknown>): ReadonlyArray<string> {
    const ids = this.select(selection)
    for (const id of ids) this.heard.get(id)!.push(data[1])
    return ids
  }

  join(selection: Selection, rooms: ReadonlyArray<string>): void {
    for (const id of this.select(selection)) for (const room of rooms) if (room !== id) this.sockets.get(id)!.add(room)
  }

  leave(selection: Selection, rooms: ReadonlyArray<string>): void {
    for (const id of this.select(selection)) for (const room of rooms) this.sockets.get(id)!.delete(room)
  }

  disconnect(selection: Selection): void {
    for (const id of this.select(selection)) this.sockets.delete(id)
  }

  receive(message: ClusterMessage): void {
    switch (message._tag) {
      case "Broadcast":
        return void this.broadcast(message.selection, message.data)
      case "Join":
        return this.join(message.selection, message.rooms)
      case "Leave":
        return this.leave(message.selection, message.rooms)
      case "Disconnect":
        return this.disconnect(message.selection)
      case "ServerEvent":
        return void this.events.push(message.data[1])
      case "Question": {
        const { question } = message
        if (question._tag === "Ask") this.broadcast(question.selection, question.data)
        if (question._tag === "ServerEvent") this.events.push(question.data[1])
      }
    }
  }
}

/** The answers of one server to a question, as far as they have come. */
interface Told {
  answered: boolean
  recipients: number
  settled: number
  saidGoodbye: boolean
}

/** A question, and what has come of it to its asker. */
export class ModelQuestion {
  readonly asker: BusServer
  readonly kind: string
  readonly tick: number
  readonly askedAt: number
  requestId = ""
  /** The answers that the question must have got. */
  readonly got: Array<unknown> = []
  /** The servers that were counted afterwards: one of the first two counts is the one that matters. */
  readonly counts: Array<ReadonlyArray<BusServer>> = []
  readonly told = new Map<BusServer, Told>()
  endedAt: number | undefined
  /** Whether servers have come since, as far as the asker has seen. */
  hasGrown = false
  private present: ReadonlyArray<BusServer> | undefined
  /** Whether the asker has told the others that it does not wait any more. */
  isTakenBack = false
  /** The numbers of missing servers that are right. */
  expected: ReadonlyArray<number> = []
  missing: number | undefined

  constructor(asker: BusServer, kind: string, { tick, now }: { readonly tick: number; readonly now: number }) {
    this.asker = asker
    this.kind = kind
    this.tick = tick
    this.askedAt = now
  }

  of(server: BusServer): Told {
    let told = this.told.get(server)
    if (told === undefined) {
      told = { answered: false, recipients: 0, settled: 0, saidGoodbye: false }
      this.told.set(server, told)
    }
    return told
  }

  count(counted: ReadonlyArray<BusServer>): void {
    const { present } = this
    if (present !== undefined && counted.some((server) => !present.includes(server))) this.hasGrown = true
    this.present = counted
    if (this.counts.length < 2) this.counts.push(counted)
  }

  receive(from: BusServer, body: Body): void {
    if (this.endedAt !== undefined || this.isTakenBack) return
    const told = this.of(from)
    if (body._tag === "Goodbye") {
      told.saidGoodbye = true
      return
    }
    if (body._tag !== "Answer" || body.answer.requestId !== this.requestId) return
    const { answer } = body
    switch (answer._tag) {
      case "Sockets":
        this.got.push(...answer.sockets.map(({ id }) => id))
        told.answered = true
        return
      case "Counted":
        this.got.push(answer.count)
        told.answered = true
        return
      case "Recipients":
        told.recipients = answer.count
        told.answered = true
        return
      case "Acknowledged":
        told.settled++
        this.got.push(answer.acknowledgement.sid)
        return
      case "RecipientLeft":
        told.settled++
        return
      case "Answered":
        if (answer.args !== undefined) this.got.push(answer.args[0])
        told.answered = true
    }
  }

  isComplete(server: BusServer): boolean {
    const { answered, recipients, settled } = this.of(server)
    return answered && settled >= recipients
  }

  end(now: number, missing: number): void {
    this.endedAt = now
    this.missing = missing
    let owing = 0
    // The clients of a server that has left in good order have left, too.
    for (const told of this.told.values()) if (told.settled < told.recipients && !told.saidGoodbye) owing++
    const expected = new Set<number>()
    for (const counted of this.counts) {
      const others = counted.filter((server) => server !== this.asker)
      const isDone = (server: BusServer) => this.of(server).answered || this.of(server).saidGoodbye
      const unanswered = others.filter((server) => !isDone(server)).length
      expected.add(owing + unanswered)
      // Servers are counted, not named: one that answers, and is not there when they are counted, stands for another one.
      const uncounted = Array.from(this.told).filter(([server, { answered }]) => answered && !counted.includes(server))
      expected.add(owing + Math.max(0, unanswered - uncounted.length))
      // The goodbye of one that is not counted any more may excuse another one that is lost just then.
      const early = Array.from(this.told).filter(([server, told]) => told.saidGoodbye && !counted.includes(server))
      if (early.length > 0) expected.add(owing + Math.max(0, unanswered - early.length))
      // One that says goodbye may be one that has come since. If it is not, it is missing: better than to excuse another one.
      const excused = others.filter((server) => this.of(server).saidGoodbye && !this.of(server).answered).length
      if (this.hasGrown) for (let i = 1; i <= excused; i++) expected.add(owing + unanswered + i)
    }
    if (this.counts.length === 0) expected.add(owing + 1)
    this.expected = Array.from(expected)
  }
}

/** Whether a server was in trouble at some time, so that it may not have heard or not have answered. */
export class Troubles {
  private readonly spans: Array<{ readonly server: BusServer; readonly from: number; to: number }> = []
  private readonly bus: MemoryBus

  constructor(bus: MemoryBus) {
    this.bus = bus
  }

  /** It begins; the result ends it. */
  begin(...servers: ReadonlyArray<BusServer>): () => void {
    const spans = servers.map((server) => ({ server, from: this.bus.now, to: Infinity }))
    this.spans.push(...spans)
    return () => {
      for (const span of spans) span.to = this.bus.now
    }
  }

  /** Messages that are on their way count, too. */
  met(server: BusServer, from: number, to: number): boolean {
    return this.spans.some((span) => span.server === server && span.from <= to + 100 && span.to >= from - 100)
  }
}
