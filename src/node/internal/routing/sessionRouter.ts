import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Fiber from "effect/Fiber"

import type { NodeDirectoryShape } from "../../../engine/NodeDirectory.ts"
import { queryOf } from "../../../engine/RequestDetails.ts"
import { tagOf } from "../../../engine/SessionId.ts"
import { setTimeout } from "../../../internal/turn.ts"
import { connect, handOver } from "./connection.ts"
import * as Frames from "./frames.ts"
import { Link } from "./link.ts"
import { join } from "./pipe.ts"
import { headOf, type Origin, PassedRequest } from "./passing.ts"

/** The reason why a request was not passed on, or has no answer of its owner. */
export type Failure = "unknown" | "unreachable" | "lost" | "full"

/** How a router works; durations in milliseconds. */
export interface RouterSettings {
  readonly connectTimeout: number
  /** The interval of questions for a sign of life. */
  readonly checkInterval: number
  /** The number of requests and WebSockets that are passed on at the same time. */
  readonly maxPassed: number
}

/** Counts what a router does. */
export interface RouterCounters {
  readonly onPassed: (kind: "request" | "upgrade") => void
  readonly onFailed: (reason: Failure) => void
}

/** Runs effects in the scope of the router. */
export type Run = <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>

/** The number of owners that are looked up or called at the same time. */
const MAX_REACHING = 64

/** The number of tags that are remembered as dead, and the time in milliseconds. */
const MAX_DEAD = 1_024
const DEAD_TIME = 1_000

/** While the server shuts down, polls are held for this time in milliseconds. */
const CLOSING_HOLD = 100

/** Passes requests for the sessions of other servers on to their owners. */
export class SessionRouter {
  private readonly directory: NodeDirectoryShape
  private readonly settings: RouterSettings
  private readonly counters: RouterCounters
  private readonly run: Run
  private readonly now: () => number
  /** The beginning of a query parameter with an id of this server. */
  private readonly own: string
  private readonly tag: string
  private readonly links = new Map<string, Link>()
  /** The requests that wait for a link, by the tag of its owner. */
  private readonly reaching = new Map<string, Array<(link: Link | Failure) => void>>()
  /** The tags without a living owner, and the time until which this is believed. */
  private readonly dead = new Map<string, { readonly until: number; readonly failure: Failure }>()
  private count = 0
  private isClosing = false
  /**
   * Told of each WebSocket that is passed on. It returns the function to call when that has closed.
   */
  onPipe: (pipe: { readonly move: (within: number) => void; readonly cut: () => void }) => () => void = () => () => {}
  private onIdle: (() => void) | undefined

  constructor(
    tag: string,
    directory: NodeDirectoryShape,
    settings: RouterSettings,
    counters: RouterCounters,
    run: Run,
    now: () => number
  ) {
    this.tag = tag
    this.own = `sid=${tag}`
    this.directory = directory
    this.settings = settings
    this.counters = counters
    this.run = run
    this.now = now
  }

  /**
   * Returns the tag of another server, if the request's session may be there. With a balancer that
   * keeps clients on their servers this is a search for a text.
   */
  foreignTag({ url = "" }: IncomingMessage): string | undefined {
    if (!url.includes("sid=") || url.includes(this.own)) return undefined
    const tag = tagOf(queryOf(url).get("sid") ?? "")
    return tag === this.tag ? undefined : tag
  }

  /** Passes a request on. `answer` answers it here, if its owner cannot. */
  passRequest(
    tag: string,
    incoming: IncomingMessage,
    response: ServerResponse,
    origin: Origin,
    answer: () => void
  ): void {
    if (this.isFull(answer)) return
    this.reach(tag, (link) => {
      if (response.destroyed) return this.leave()
      if (!(link instanceof Link)) return this.fail(link, answer)
      this.counters.onPassed("request")
      if (this.isClosing) response.setHeader("connection", "close")
      const request = new PassedRequest(link, incoming, response, origin, (isLost) => {
        if (isLost) this.fail("lost", response.headersSent || response.destroyed ? undefined : answer)
        else this.leave()
      })
      if (this.isClosing) setTimeout(() => request.release(), CLOSING_HOLD)
    })
  }

  /**
   * Passes an upgrade on, and joins the two connections. `answer` answers it here: also while this
   * server shuts down. It would soon cut the WebSocket, perhaps in the middle of the upgrade, and
   * official clients then stop until their heartbeat expires. So the client stays on its transport.
   */
  passUpgrade(
    tag: string,
    incoming: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    origin: Origin,
    answer: () => void
  ): void {
    if (this.isClosing) return answer()
    if (this.isFull(answer)) return
    this.reach(tag, (link) => {
      if (socket.destroyed) return this.leave()
      if (!(link instanceof Link)) return this.fail(link, answer)
      const settle = (connection: readonly [owner: Socket, rest: Buffer] | undefined) => {
        if (connection === undefined) return this.fail("unreachable", socket.destroyed ? undefined : answer)
        const [owner, rest] = connection
        if (socket.destroyed || !link.isOpen || this.isClosing) {
          owner.destroy()
          return this.fail("lost", socket.destroyed ? undefined : answer)
        }
        this.counters.onPassed("upgrade")
        owner.write(Frames.frame(Frames.REQUEST, 0, headOf(incoming, origin)))
        if (head.length > 0) owner.write(head)
        if (rest.length > 0) owner.unshift(rest)
        handOver(owner)
        const pipe = join(socket, owner)
        link.pipes.add(pipe)
        const sid = queryOf(incoming.url ?? "").get("sid")!
        const onClosed = this.onPipe({ move: (within) => link.move(sid, within), cut: pipe.destroy })
        owner.once("close", () => {
          link.pipes.delete(pipe)
          onClosed()
          this.leave()
        })
      }
      this.run(
        connect(link.address, "upgrade").pipe(
          Effect.timeoutOption(this.settings.connectTimeout),
          Effect.map(Option.getOrUndefined),
          Effect.orElseSucceed(() => undefined),
          Effect.map(settle),
          Effect.onInterrupt(() => Effect.sync(() => settle(undefined)))
        )
      )
    })
  }

  /** Has held polls answered and upgrades refused from now on, because the server shuts down. */
  beginClosing(): void {
    this.isClosing = true
    for (const link of this.links.values()) link.releaseAll()
  }

  /** Waits until no request is under way. */
  readonly idle: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.pending === 0) return resume(Effect.void)
    this.onIdle = () => {
      if (this.pending === 0) resume(Effect.void)
    }
  })

  /** Ends every WebSocket that is passed on. */
  closePipes(): void {
    for (const link of this.links.values()) for (const pipe of Array.from(link.pipes)) pipe.destroy()
  }

  /** Ends every link, and every WebSocket that is passed on. */
  close(): void {
    this.isClosing = true
    for (const link of Array.from(this.links.values())) link.destroy()
  }

  private get pending(): number {
    let pending = 0
    for (const link of this.links.values()) pending += link.pending
    return pending
  }

  private isFull(answer: () => void): boolean {
    if (this.count >= this.settings.maxPassed) {
      this.counters.onFailed("full")
      answer()
      return true
    }
    this.count++
    return false
  }

  private leave(): void {
    this.count--
    this.onIdle?.()
  }

  private fail(failure: Failure, answer: (() => void) | undefined): void {
    this.leave()
    this.counters.onFailed(failure)
    answer?.()
  }

  /** Calls back with the link to an owner: at once if there is one. */
  private reach(tag: string, onReached: (link: Link | Failure) => void): void {
    const link = this.links.get(tag)
    if (link !== undefined) return onReached(link)
    const waiting = this.reaching.get(tag)
    if (waiting !== undefined) return void waiting.push(onReached)
    const dead = this.dead.get(tag)
    if (dead !== undefined && this.now() < dead.until) return onReached(dead.failure)
    if (this.reaching.size >= MAX_REACHING) return onReached("full")
    const callbacks = [onReached]
    this.reaching.set(tag, callbacks)
    const settle = (link: Link | Failure) => {
      this.reaching.delete(tag)
      if (link instanceof Link) this.links.set(tag, link)
      else this.bury(tag, link)
      for (const callback of callbacks) callback(link)
    }
    this.run(
      this.call(tag).pipe(
        Effect.map(settle),
        Effect.onInterrupt(() => Effect.sync(() => settle("unreachable")))
      )
    )
  }

  private bury(tag: string, failure: Failure): void {
    this.dead.delete(tag)
    if (this.dead.size >= MAX_DEAD) this.dead.delete(this.dead.keys().next().value!)
    this.dead.set(tag, { until: this.now() + DEAD_TIME, failure })
  }

  private call(tag: string): Effect.Effect<Link | Failure> {
    return this.directory.lookup(tag).pipe(
      Effect.flatMap(
        Option.match({
          onNone: () => Effect.succeed<Link | Failure>("unknown"),
          onSome: (address) =>
            Effect.map(connect(address, "requests"), ([socket, rest]): Link | Failure => {
              const link: Link = new Link(address, socket, rest, () => {
                if (this.links.get(tag) === link) this.links.delete(tag)
              })
              const check = Effect.sync(() => link.check())
              const watching = this.run(
                Effect.asVoid(Effect.schedule(check, Schedule.spaced(this.settings.checkInterval)))
              )
              socket.once("close", () => watching.interruptUnsafe())
              return link
            })
        })
      ),
      Effect.timeoutOption(this.settings.connectTimeout),
      Effect.map(Option.getOrElse((): Link | Failure => "unreachable")),
      Effect.catchCause(() => Effect.succeed<Link | Failure>("unreachable"))
    )
  }
}
