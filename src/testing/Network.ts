/**
 * The network between one peer and what it connects to, in memory: it can be cut, and it can go
 * dead without anybody noticing.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

import * as Link from "./Link.ts"

/**
 * The network between a client and its server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Network {
  /**
   * Breaks every connection: what is on its way is lost, and both sides notice before the effect is
   * done. New connections fail, until `restore`.
   */
  readonly cut: Effect.Effect<void>
  /** Breaks every connection, as `cut` does; new ones can be opened at once. */
  readonly drop: Effect.Effect<void>
  /**
   * Goes dead: nothing arrives any more, either way, and nobody is told (connections are
   * half-open). New connections are not answered. What is sent is held until `restore`, and lost
   * with `cut` or `drop`.
   */
  readonly stall: Effect.Effect<void>
  /** Works again. After `stall`, what was held arrives, in order, as TCP would send it again. */
  readonly restore: Effect.Effect<void>
}

/**
 * What a client sends over a link: the head of a request, and frames once it is a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export type FromClient = Frame | ClientRequest

/**
 * What a server sends over a link: its answer, and frames if that opens a WebSocket.
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
 * An HTTP request, or one to upgrade to a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientRequest {
  readonly method: string
  /** The path, and the query behind `?`. */
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
  /** Whether it asks for a WebSocket. */
  readonly upgrade: boolean
  /** The client's address, as the server is to see it. */
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
 * Sees what happens on the networks of one test.
 *
 * @since 0.1.0
 * @category models
 */
export interface MediumObserver {
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
 * What all networks of one test have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface Medium {
  /** How what is sent arrives. */
  readonly deliver: Link.Deliver
  /** Runs what is to happen behind the code that is running now. */
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
 * Makes what networks have in common. What is sent arrives as `deliver` says; default: in the order
 * in which it is sent, over all links, when `later` says. An observer is told what happens.
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
    nextLink: () => links++,
    nextNetwork: () => networks++,
    observer
  }
}

/**
 * A network, for what stands on it.
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
 * Makes a network over which a server is reached: `accept` takes the connections, synchronously,
 * when their requests arrive.
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
      onArrived: observer && ((direction, content) => observer.onArrived(number, direction, content as any)),
      onEnded: () => {
        links.delete(link)
        observer?.onEnded(number)
      }
    })
    links.add(link)
    observer?.onLink(number, id, () => link.cut())
    // Nobody hears of a connection that was cut before its request arrived.
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
 * The bytes of a message: those of a request or response are counted without the head.
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
