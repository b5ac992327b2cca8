/**
 * The network between one peer and its server, in memory. It can be cut, and it can go dead
 * unnoticed.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

import * as Link from "./Link.ts"

/**
 * The network between a client and its server.
 *
 * **Details**
 *
 * `TestSocketIo.network` is the network of the layer's client. Clients of `TestSocketIo.makeClient`
 * and raw clients have a `network` of their own.
 *
 * **Gotchas**
 *
 * After `stall` a side notices nothing until its heartbeat fails: adjust the `TestClock` by
 * `pingInterval + pingTimeout`. After `cut` the client reconnects only after `restore`, and when
 * the clock reaches its next attempt.
 *
 * **Example** (A client that comes back)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { TestClock } from "effect/testing"
 * import { TestSocketIo } from "effect-socket.io/testing"
 *
 * const outage = Effect.gen(function* () {
 *   const network = yield* TestSocketIo.network
 *   yield* network.cut
 *   yield* network.restore
 *   yield* TestClock.adjust("10 seconds")
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Network {
  /**
   * Breaks every connection: everything on its way is lost, and both sides notice before the effect
   * ends. New connections fail until `restore`.
   */
  readonly cut: Effect.Effect<void>
  /** Breaks every connection, as `cut` does. New ones can be opened at once. */
  readonly drop: Effect.Effect<void>
  /**
   * Goes dead: nothing arrives in either direction, and neither side is told (connections are
   * half-open). New connections are not answered. Sent data is held until `restore`, and lost with
   * `cut` or `drop`.
   */
  readonly stall: Effect.Effect<void>
  /** Works again. After `stall`, the held data arrives in order, as TCP would send it again. */
  readonly restore: Effect.Effect<void>
}

/**
 * The messages that a client sends over a link: the head of a request, and frames once it is a
 * WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export type FromClient = Frame | ClientRequest

/**
 * The messages that a server sends over a link: its response, and frames if that opens a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export type FromServer = Frame | ServerResponse

/**
 * One message of a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export type Frame = string | Uint8Array

/**
 * An HTTP request, or a request to upgrade to a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientRequest {
  readonly method: string
  /** The path, and the query after `?`. */
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
  /** Whether it asks for a WebSocket. */
  readonly upgrade: boolean
  /** The client's address, as the server will see it. */
  readonly address: string
  readonly secure: boolean
}

/**
 * An HTTP response; with status 101 the link is a WebSocket from then on.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string>>>
  readonly body: string | Uint8Array
}

/**
 * The client's end of a connection.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientEnd = Link.LinkEnd<FromServer, FromClient>

/**
 * The server's end of a connection.
 *
 * @since 0.1.0
 * @category models
 */
export type ServerEnd = Link.LinkEnd<FromClient, FromServer>

/**
 * Observes the networks of one test.
 *
 * @since 0.1.0
 * @category models
 */
export interface MediumObserver {
  /**
   * The number for the next link, and for the next network: several servers may have one observer.
   */
  nextLink(): number
  nextNetwork(): number
  /** A network was made. Networks are counted from 0. */
  onNetwork(id: number, network: Network): void
  /** `cut`, `stall` or `restore` begins. */
  onChange(network: number, state: "up" | "cut" | "stalled"): void
  /** A connection was asked for; `cut` breaks it. */
  onLink(link: number, network: number, cut: () => void): void
  /** A message arrives, or the news of an end. */
  onArrived(
    link: number,
    direction: Link.Transmission["direction"],
    content: FromClient | FromServer | { readonly ending: Link.LinkEnding }
  ): void
  /** Both ends of a connection have ended. */
  onEnded(link: number): void
}

/**
 * The parts that all networks of one test share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Medium {
  /** Decides how sent data arrives. */
  readonly deliver: Link.Deliver
  /** Runs a task after the code that is running now. */
  readonly later: Link.Later
  /** The number of transmissions so far. */
  readonly transmissions: () => number
  /** The number for the next link. */
  readonly nextLink: () => number
  /** The number for the next network. */
  readonly nextNetwork: () => number
  readonly observer: MediumObserver | undefined
}

/**
 * Makes the shared parts of networks. `deliver` decides how sent data arrives. Default: in the
 * order of sending, over all links, when `later` runs it. An observer is told of all events.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMedium = (later: Link.Later, deliver?: Link.Deliver, observer?: MediumObserver): Medium => {
  const deliverWith: Link.Deliver = deliver ?? (({ arrive }, later) => later(arrive))
  let transmissions = 0
  let links = 0
  let networks = 0
  return {
    later,
    deliver: (transmission, later) => {
      transmissions++
      deliverWith(transmission, later)
    },
    transmissions: () => transmissions,
    nextLink: () => observer?.nextLink() ?? links++,
    nextNetwork: () => observer?.nextNetwork() ?? networks++,
    observer
  }
}

/**
 * A network, with the way to connect over it.
 *
 * @since 0.1.0
 * @category models
 */
export interface NetworkPath extends Network {
  readonly medium: Medium
  /**
   * Opens a connection and sends the request. The caller sets the receiver before anything can
   * arrive.
   */
  readonly connect: (request: ClientRequest) => ClientEnd
}

/**
 * Makes a network to a server. `accept` takes the connections, synchronously, when their requests
 * arrive.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (medium: Medium, accept: (end: ServerEnd, request: ClientRequest) => void): NetworkPath => {
  const links = new Set<Link.Link<FromClient, FromServer>>()
  let state: "up" | "cut" | "stalled" = "up"
  const { observer } = medium
  const id = medium.nextNetwork()
  const to = (next: typeof state) =>
    Effect.sync(() => {
      state = next
      observer?.onChange(id, next)
      for (const link of Array.from(links)) {
        if (next === "cut") link.cut()
        else if (next === "stalled") link.stall()
        else link.resume()
      }
    })
  const connect = (request: ClientRequest): ClientEnd => {
    const { deliver, later, nextLink } = medium
    const number = nextLink()
    const link = Link.make<FromClient, FromServer>({
      id: number,
      deliver,
      later,
      // The direction decides the type of the content, which a function of both cannot say.
      onArrived: observer && ((direction, content) => observer.onArrived(number, direction, content as any)),
      onEnded: () => {
        links.delete(link)
        observer?.onEnded(number)
      }
    })
    links.add(link)
    observer?.onLink(number, id, () => link.cut())
    // The server is not told of a connection that was cut before its request arrived.
    link.server.receiver = {
      onMessage: (message) => accept(link.server, message as ClientRequest),
      onEnd: () => {}
    }
    if (state === "cut") later(() => link.cut())
    else {
      if (state === "stalled") link.stall()
      link.client.send(request, sizeOf(request))
    }
    return link.client
  }
  const path: NetworkPath = {
    medium,
    connect,
    cut: to("cut"),
    drop: Effect.andThen(to("cut"), to("up")),
    stall: to("stalled"),
    restore: to("up")
  }
  observer?.onNetwork(id, path)
  return path
}

const encoder = new TextEncoder()

/**
 * The size of a message in bytes: requests and responses are counted without the head.
 *
 * @since 0.1.0
 * @category accessors
 */
export const sizeOf = (message: FromClient | FromServer): number =>
  typeof message === "string"
    ? encoder.encode(message).length
    : message instanceof Uint8Array
      ? message.byteLength
      : sizeOf(message.body)
