import type { EngineSession } from "../../engine/EngineSession.ts"
import { queryOf } from "../../engine/RequestDetails.ts"
import { costOf } from "../../internal/cost.ts"
import { ownCopy } from "../../internal/namespacePattern.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import type { Rate } from "../../RateLimit.ts"
import { namespaceRefusals } from "../ServerMetrics.ts"
import type { Environment } from "./environment.ts"
import type { Member, Members } from "./members.ts"

// The way of a CONNECT packet from its connection to a namespace, and the refusals on that way. The
// namespace decides whether the client is admitted.

/** The bytes of a CONNECT packet beside its namespace and its auth payload, in any encoding. */
const CONNECT_OVERHEAD = 256

/**
 * The number of ended sockets whose finalizers still run. At this number the connection gets no
 * more sockets.
 */
const MAX_LEAVING = 1_000

/**
 * The time in which a client may join a namespace once more, after it has left some or was refused,
 * or while it waits for the answer, in milliseconds, and how often it may do so at once. To join
 * costs the server ten times as much as an event, and what an application does for each, such as a
 * query, costs more. No client that works comes near it. The options for namespaces may ask for
 * more.
 */
const JOIN_TIME = 10
const JOINS = 2_000

const joinRate = ({ options: { maxNamespaces, openingRate } }: Environment): Rate => {
  const cost = Math.min(JOIN_TIME, openingRate.cost)
  return { cost, capacity: cost * Math.max(JOINS, 2 * maxNamespaces, openingRate.capacity / openingRate.cost) }
}

export type Auth = Readonly<Record<string, unknown>>

/** The auth payload of clients that send none. */
const noAuth: Auth = {}

/** A namespace, in the form in which a connection joins it. */
export interface Entrance<C> {
  /** Makes the client a member, and decides whether it is admitted. */
  connect(connection: C, auth: Auth, authBytes: number): void
  /** The client does not connect: the namespace is forgotten if nothing else needs it. */
  forgetIfUnused(): void
}

/** Leads connections to namespaces. */
export interface Entrances<C> {
  /** Returns the namespace that a client may connect to, or wait for. */
  find(name: string): Entrance<C> | undefined
  /** Whether a missing namespace may still come. */
  mayCome(name: string): boolean
}

/** A connection, as it joins namespaces. */
export interface Joining {
  readonly session: EngineSession
  readonly environment: Environment
  readonly entrances: Entrances<this>
  readonly members: Members
  /** Whether the client speaks protocol 4, which connects to namespaces in another way. */
  readonly isLegacy: boolean
  /** Whether nothing is sent to the client any more, as it moves to another server. */
  readonly isSilent: boolean
  /** The cost of the auth payloads that its sockets keep, in bytes. */
  readonly authBytes: number
  /** The sockets that have ended, but still hold resources. */
  readonly leaving: number
  /** The client has joined something in time. */
  onAdmitted(): void
}

/** Whether a CONNECT of this size may fit the limit of auth payloads. */
export const mayFit = ({ environment }: Joining, namespace: string, size: number): boolean =>
  size <= namespace.length + environment.options.maxAuthBytes + CONNECT_OVERHEAD

/** A client of protocol 4 is in the default namespace without asking for it. */
export const joinDefault = <C extends Joining>(connection: C): void => connectTo(connection, "/", noAuth)

/** A client asks for a namespace. The size is that of its packet. */
export const onConnect = <C extends Joining>(connection: C, { data, namespace }: SocketPacket, size: number): void => {
  // The client asks its next server again.
  if (connection.isSilent) return
  if (!connection.isLegacy) {
    // The payload of a packet that exceeds the limit is not parsed.
    const isBounded = mayFit(connection, namespace, size)
    return connectTo(connection, namespace, isBounded ? ((data ?? noAuth) as Auth) : undefined)
  }
  // They send a query instead of an auth payload, and are in the default namespace already.
  const at = namespace.indexOf("?")
  const name = at < 0 ? namespace : namespace.slice(0, at)
  if (name === "/" && connection.members.get(name) !== undefined) return
  if (at < 0) return connectTo(connection, name, noAuth)
  const isBounded = namespace.length - at <= connection.environment.options.maxAuthBytes
  connectTo(connection, name, isBounded ? authOf(namespace.slice(at)) : undefined)
}

/** The parameters of a query, as an auth payload that does not keep the query. */
const authOf = (query: string): Auth =>
  Object.fromEntries(Array.from(queryOf(query), ([name, value]) => [name, ownCopy(value)]))

/** A client joins a namespace once more. Returns the milliseconds until it may, or 0. */
const joinAgain = ({ environment, members }: Joining): number =>
  members.join(joinRate(environment), environment.wheel.now())

/** Connects to a namespace. `undefined` stands for an auth payload that is too large. */
const connectTo = <C extends Joining>(connection: C, namespace: string, auth: Auth | undefined): void => {
  const { entrances, environment, isLegacy, members, session } = connection
  const member = members.get(namespace)
  if (member?.isConnected === true) {
    return session.closeUnsafe("parse error", `second CONNECT to "${namespace}"`)
  }
  if (member !== undefined) {
    // The decision in progress answers a client that asks too often.
    if (joinAgain(connection) > 0) return
    startOver(connection, member)
  }
  if (members.size >= environment.options.maxNamespaces || connection.leaving >= MAX_LEAVING) {
    return turnAway(connection, namespace, "Too many namespaces")
  }
  if (member === undefined && members.isReturning) {
    const missing = joinAgain(connection)
    if (missing > 0) return turnAway(connection, namespace, "Too many joins", { retryAfter: Math.ceil(missing) })
  }
  const entrance = entrances.find(namespace)
  if (entrance === undefined) {
    // A refusal would be final. After a lost connection clients come back.
    if (entrances.mayCome(namespace)) return session.closeUnsafe("server shutting down")
    if (isLegacy && namespace === "/") return enterUnserved(connection)
    return turnAway(connection, namespace, "Invalid namespace")
  }
  const authBytes = auth === undefined || auth === noAuth ? 0 : costOf(auth)
  if (auth === undefined || connection.authBytes + authBytes > environment.options.maxAuthBytes) {
    entrance.forgetIfUnused()
    return turnAway(connection, namespace, "Auth payload too large")
  }
  entrance.connect(connection, auth, authBytes)
}

/**
 * The client asks again while it waits for the answer: official clients do so without a DISCONNECT
 * in between, if the application disconnects and connects them, or connects them twice. The last
 * payload counts, and there is one answer. Each time counts as a join.
 */
const startOver = ({ members }: Joining, member: Member): void => {
  members.leave(member.namespace.name)
  // A session that it has asked for waits for it.
  member.end("session resumed")
}

const turnAway = (connection: Joining, namespace: string, message: string, data?: object): void => {
  connection.members.remember(namespace)
  connection.environment.observer.count(namespaceRefusals, { namespace: "" })
  // Clients of protocol 4 expect this one refusal in the form of protocol 5.
  refuse(connection, namespace, message, connection.isLegacy ? { message, ...data } : data)
}

/**
 * Tells a client that it is not admitted. Sends the refusal without its data if they cannot be
 * encoded: the refusal itself counts.
 */
export const refuse = (connection: Joining, namespace: string, message: string, data?: unknown): void => {
  try {
    sendRefusal(connection, namespace, message, data)
  } catch {
    sendRefusal(connection, namespace, message, undefined)
  }
}

const sendRefusal = (
  { environment, isLegacy, session }: Joining,
  namespace: string,
  message: string,
  data: unknown
): void => {
  const error = isLegacy ? (data ?? message) : data === undefined ? { message } : { message, data }
  session.sendUnsafe(environment.wire.connectError(namespace, error, data !== undefined))
}

/**
 * Tells a client of protocol 4 that it is in the default namespace, though no layer serves it:
 * some clients join others only then. There is no socket, and the client's packets for that
 * namespace are ignored.
 */
export const enterUnserved = (connection: Joining): void => {
  connection.onAdmitted()
  connection.members.remember("/")
  connection.session.sendUnsafe(connection.environment.wire.connect("/", undefined))
}
