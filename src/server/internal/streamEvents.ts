import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { TimerWheel } from "../../engine/TimerWheel.ts"
import { compile, type CompiledContract } from "../../internal/compileContract.ts"
import { costOfDecoded } from "../../internal/cost.ts"
import { TokenBucket } from "../../internal/tokenBucket.ts"
import { enableCompiler } from "../../internal/schemaCompiler.ts"
import type { OwnerSocket } from "../../Once.ts"
import type { Rate } from "../../RateLimit.ts"
import * as StreamEvent from "../../StreamEvent.ts"
import * as StreamWire from "../../StreamWire.ts"
import { StreamLog, type StreamLogShape } from "../../streams/StreamLog.ts"
import type { About, StreamLogError } from "../../streams/StreamStore.ts"
import { EventRefused } from "../ServerSocket.ts"
import type { Closing } from "./closing.ts"
import type { HandlerRecord } from "./ports.ts"
import { Flush, type ReadingSocket, StreamReader } from "./streamReader.ts"
import { type StreamCodec, StreamWork } from "./streamWork.ts"

/** A socket whose client starts and reads streams. */
export interface StreamSocket extends ReadingSocket {
  readonly namespace: { readonly name: string }
  readonly view: OwnerSocket | undefined
  readonly scope: Scope.Scope
  readonly connection: ReadingSocket["connection"] & { readonly session: { readonly id: string } }
}

/** The parts of a server that streams use. */
export interface StreamServer {
  readonly wheel: TimerWheel
  readonly closing: Closing
  readonly streamLog: StreamLogShape
  /** Runs a task in the next turn, with the handlers. */
  readonly schedule: (task: () => void) => void
  readonly report: (event: string, cause: Cause.Cause<unknown>) => void
}

/** A stream event, prepared. */
interface Prepared extends StreamCodec {
  readonly declaration: StreamEvent.Declaration<any, any>
  readonly idle: number
  readonly mayHaveBinary: boolean
}

/** The handler of a stream event, and its rule. */
interface Work {
  readonly stream: (payload: unknown) => Stream.Stream<unknown, unknown, any>
  readonly allow: ((access: StreamEvent.Access) => Effect.Effect<boolean, never, any>) | undefined
}

type Handlers = Readonly<Record<string, (payload: any) => Effect.Effect<any, any, any>>>

const DEFAULT_IDLE = 300_000

/** The pause after which a client may try again if the store cannot be reached, in milliseconds. */
const RETRY_AFTER = 1_000

const prepare = (event: StreamEvent.StartEvent<string, any, any, any>): Prepared => {
  const { stream } = event
  const idle = stream.idle === undefined ? DEFAULT_IDLE : Duration.toMillis(stream.idle)
  if (!(idle > 0)) throw new Error(`idle of stream event "${event._tag}" must be more than nothing`)
  const item = compile(stream.item, enableCompiler)
  const error = stream.hasError ? compile(stream.error, enableCompiler) : undefined
  const mayHaveBinary = item.mayHaveBinary || error?.mayHaveBinary === true
  return { name: event._tag, declaration: stream, idle, item, error, mayHaveBinary }
}

/** The stream events of one layer of a namespace. */
export class StreamEvents {
  private readonly events: ReadonlyArray<Prepared>
  private readonly log: StreamLogShape
  private readonly server: StreamServer
  private readonly work: StreamWork
  private readonly flush: Flush

  constructor(events: ReadonlyArray<Prepared>, log: StreamLogShape, server: StreamServer) {
    this.events = events
    this.log = log
    this.server = server
    this.work = new StreamWork(server.report)
    this.flush = new Flush(server.schedule)
  }

  /** The handlers of a socket, with those of the events of streams. */
  handlersOf(socket: StreamSocket, handlers: HandlerRecord): HandlerRecord {
    const all: Record<string, HandlerRecord[string]> = { ...handlers }
    const readers = new Readers(socket, this.log, this.flush, this.server.wheel)
    for (const event of this.events) {
      // The contract's types say so.
      const handler = handlers[event.name] as unknown as Work | Work["stream"]
      const work = typeof handler === "function" ? { stream: handler, allow: undefined } : handler
      Object.assign(all, this.handlersOfEvent(socket, event, work, readers))
    }
    return all
  }

  /** Ends all streams. Their fibers end within the time of a shutdown. */
  close(): void {
    const users = this.work.close()
    // Clients that are still there are told.
    this.flush.drain()
    if (users.length > 0) this.server.closing.close(Scope.makeUnsafe(), { annotations: {}, users })
  }

  private handlersOfEvent(socket: StreamSocket, event: Prepared, work: Work, readers: Readers): Handlers {
    const { log } = this
    const { name } = event
    const rule = new Rule(socket, event, work)
    /** The log of a stream of this event that the client may use. */
    const open = (id: string, action: StreamEvent.Access["action"]) =>
      Effect.flatMap(Effect.mapError(log.open(id), refusalOf), (found) =>
        found === undefined || found.about.event !== name || found.about.namespace !== socket.namespace.name
          ? Effect.undefined
          : Effect.map(rule.allows(action, found.about), (isAllowed) => (isAllowed ? found : undefined))
      )
    return {
      [name]: (payload: unknown) => this.start(socket, event, work, rule, payload),
      [`${name}:read`]: ({ after, stream, window }: typeof StreamWire.Read.Type) =>
        Effect.flatMap(open(stream, "read"), (found) => {
          if (found === undefined) return Effect.succeed({ gone: true, from: 0 })
          if (window === 0) {
            readers.remove(stream)
            return Effect.succeed({ gone: false, from: after })
          }
          const bound = readers.add(found, event, after, window, (cause) => this.server.report(name, cause))
          return bound === undefined
            ? Effect.succeed({ gone: false, from: Math.max(after, found.start) })
            : refuse(`the stream cannot be read now (${bound})`, { bound })
        }),
      [`${name}:find`]: (key: string) =>
        Effect.flatMap(rule.aboutOf(key), (about) =>
          about === undefined
            ? Effect.succeed(null)
            : Effect.flatMap(Effect.mapError(log.find(about), refusalOf), (id) =>
                id === undefined
                  ? Effect.succeed(null)
                  : Effect.map(rule.allows("read", about), (isAllowed) => (isAllowed ? id : null))
              )
        ),
      [`${name}:stop`]: ({ stream }: typeof StreamWire.Stop.Type) =>
        Effect.flatMap(open(stream, "stop"), (found) =>
          found === undefined
            ? Effect.succeed({ gone: true })
            : Effect.as(Effect.mapError(log.stop(stream), refusalOf), { gone: false })
        ),
      [`${name}:ack`]: ({ at, stream }: typeof StreamWire.Progress.Type) =>
        Effect.sync(() => readers.get(stream)?.onAck(at))
    }
  }

  private start(socket: StreamSocket, event: Prepared, work: Work, rule: Rule, payload: unknown) {
    const { log } = this
    return Effect.contextWith((context: Context.Context<any>) =>
      Effect.flatMap(rule.aboutOf(event.declaration.key?.(payload)), (about) => {
        if (about === undefined) return refuse("the key of a stream must be hard to guess", { key: "invalid" })
        const client = about.owner === undefined ? socket.connection.session.id : `owner ${about.owner}`
        // A client that leaves meanwhile must not leave a log without work.
        return Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            Effect.mapError(log.begin({ about, client, idle: event.idle, held: costOfDecoded(payload) }), refusalOf),
            (begun): Effect.Effect<typeof StreamWire.Started.Type, EventRefused, any> => {
              if (begun._tag === "Began") {
                this.work.start(event, begun.log, () => work.stream(payload), context)
                return Effect.succeed({ stream: begun.log.id })
              }
              return Effect.flatMap(restore(rule.allows("read", about)), (isAllowed) =>
                isAllowed
                  ? Effect.succeed({ stream: begun.id })
                  : refuse("the stream of this key is not for this client", { key: "refused" })
              )
            }
          )
        )
      })
    )
  }
}

const refuse = (message: string, data: unknown) => Effect.fail(new EventRefused({ message, data }))

/** The answers to clients, which are made once for errors that come again. */
const refusals = new WeakMap<StreamLogError, EventRefused>()

const refusalOf = (error: StreamLogError): EventRefused => {
  let refusal = refusals.get(error)
  if (refusal === undefined) {
    const { message, reason } = error
    refusal = new EventRefused({
      message,
      data: reason._tag === "Full" ? { bound: reason.bound } : { retryAfter: RETRY_AFTER }
    })
    refusals.set(error, refusal)
  }
  return refusal
}

/** Which streams of an event the client of a socket may use. */
class Rule {
  private readonly socket: StreamSocket
  private readonly event: Prepared
  private readonly work: Work

  constructor(socket: StreamSocket, event: Prepared, work: Work) {
    this.socket = socket
    this.event = event
    this.work = work
  }

  /** A stream of the client with a key; `undefined` if it may have no such key. */
  aboutOf(key: string | undefined): Effect.Effect<About | undefined> {
    const { allow } = this.work
    return Effect.map(this.owner, (owner) => {
      const shortest = owner === undefined && allow === undefined ? StreamWire.MIN_SHARED_KEY : 1
      if (key !== undefined && (key.length < shortest || key.length > StreamWire.MAX_KEY)) return undefined
      return { namespace: this.socket.namespace.name, event: this.event.name, owner, key }
    })
  }

  allows(action: StreamEvent.Access["action"], { key, owner }: About): Effect.Effect<boolean, never, any> {
    const { allow } = this.work
    if (allow !== undefined) return Effect.suspend(() => allow({ action, owner, key }))
    return Effect.map(this.owner, (own) => own === owner)
  }

  private get owner(): Effect.Effect<string | undefined> {
    const { declaration, name } = this.event
    const { owner } = declaration
    if (owner === undefined) return Effect.undefined
    return Effect.contextWith((context: Context.Context<never>) => {
      const own = owner(this.socket.view!, context)
      if (typeof own === "string" && own.length > 0 && own.length <= StreamWire.MAX_KEY) return Effect.succeed(own)
      throw new Error(`owner of stream event "${name}" must be a text of 1 to ${StreamWire.MAX_KEY} characters`)
    })
  }
}

/** The number of streams that a connection reads, in all of its namespaces. */
const reading = new WeakMap<object, number>()

/**
 * How often a connection may begin to read: 50 times per second, and 100 times at once. A request
 * of 70 bytes asks for 64 KB, again and again, so that more of them have their values later.
 */
const READS: Rate = { cost: 20, capacity: 2_000 }

const reads = new WeakMap<object, TokenBucket>()

/** The streams that a socket reads. */
class Readers {
  private readonly socket: StreamSocket
  private readonly log: StreamLogShape
  private readonly flush: Flush
  private readonly wheel: TimerWheel
  private readonly readers = new Map<string, StreamReader>()
  private isWatched = false

  constructor(socket: StreamSocket, log: StreamLogShape, flush: Flush, wheel: TimerWheel) {
    this.socket = socket
    this.log = log
    this.flush = flush
    this.wheel = wheel
  }

  get(id: string): StreamReader | undefined {
    return this.readers.get(id)
  }

  /** Reads a stream, anew if it is being read. Returns the bound that it would exceed. */
  add(
    log: Effect.Success<ReturnType<StreamLogShape["open"]>> & {},
    { mayHaveBinary, name }: Prepared,
    after: number,
    window: number | undefined,
    onDefect: (cause: Cause.Cause<unknown>) => void
  ): string | undefined {
    this.remove(log.id)
    if (log.readers >= this.log.maxReaders) return "maxReaders"
    if (this.count >= this.log.maxReadersPerConnection) return "maxReadersPerConnection"
    if (!this.socket.isConnected) return undefined
    this.closeWithSocket()
    const reader: StreamReader = new StreamReader({
      socket: this.socket,
      log,
      event: `${name}:items`,
      mayHaveBinary,
      window,
      after,
      delay: this.delay(),
      flush: this.flush,
      wheel: this.wheel,
      onDone: (defect) => {
        if (this.readers.get(log.id) === reader) this.remove(log.id)
        if (defect !== undefined) onDefect(Cause.die(defect))
      }
    })
    this.readers.set(log.id, reader)
    this.count++
    return undefined
  }

  remove(id: string): void {
    const reader = this.readers.get(id)
    if (reader === undefined) return
    this.readers.delete(id)
    this.count--
    reader.close()
  }

  /** The time until another reading may begin, in milliseconds. */
  private delay(): number {
    const { connection } = this.socket
    let bucket = reads.get(connection)
    if (bucket === undefined) reads.set(connection, (bucket = new TokenBucket(READS)))
    return bucket.spend(this.wheel.now())
  }

  private get count(): number {
    return reading.get(this.socket.connection) ?? 0
  }

  private set count(count: number) {
    reading.set(this.socket.connection, count)
  }

  private closeWithSocket(): void {
    if (this.isWatched) return
    this.isWatched = true
    const close = Effect.sync(() => {
      for (const id of Array.from(this.readers.keys())) this.remove(id)
    })
    Effect.runSync(Scope.addFinalizer(this.socket.scope, close))
  }
}

/** The stream events of a contract, if there are any. Throws on an `idle` that makes no sense. */
export const streamEventsOf = (
  { contract }: CompiledContract,
  context: Context.Context<any>,
  server: StreamServer
): StreamEvents | undefined => {
  const starts = Array.from(contract.clientToServer.values()).filter(StreamEvent.isStart)
  if (starts.length === 0) return undefined
  const log = Option.getOrElse(Context.getOption(context as Context.Context<never>, StreamLog), () => server.streamLog)
  return new StreamEvents(starts.map(prepare), log, server)
}
