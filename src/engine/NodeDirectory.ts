/**
 * The directory of the servers of a cluster: where the owner of a session is reached, by the tag in
 * the session's id.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

import { TaggedError } from "../SocketIoError.ts"

/**
 * The address at which a server takes requests of other servers: a Unix socket, or a host and a
 * port. Only a server that knows the secret is heard there.
 *
 * @since 0.1.0
 * @category models
 */
export type NodeAddress = { readonly secret: string } & (
  | { readonly path: string }
  | { readonly host: string; readonly port: number }
)

/**
 * Another server has this tag. The caller draws another one.
 *
 * @since 0.1.0
 * @category errors
 */
export class TagTakenError extends TaggedError("TagTakenError")<{ readonly tag: string }> {
  override get message(): string {
    return `the tag ${this.tag} belongs to another server`
  }
}

/**
 * The directory cannot be used: it cannot be read or written, or does not answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class NodeDirectoryError extends TaggedError("NodeDirectoryError")<{
  readonly message: string
  readonly cause?: unknown
}> {}

/**
 * The functions of a {@link NodeDirectory}.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeDirectoryShape {
  /**
   * The path of the Unix socket on which the server with this tag has to listen, for a directory of
   * one machine. Without this function a server listens on a host and a port.
   */
  readonly pathOf?: (tag: string) => string
  /**
   * Enters a server, for the lifetime of the scope. The server listens by then. Fails with
   * {@link TagTakenError} if a living server has the tag: at most one of several servers that enter
   * the same tag at the same time succeeds.
   *
   * A server that dies without closing its scope must disappear, or be found dead by its address.
   */
  readonly register: (
    tag: string,
    address: NodeAddress
  ) => Effect.Effect<void, TagTakenError | NodeDirectoryError, Scope.Scope>
  /**
   * Finds a server. The tag has the form of one, but may come from a stranger. Callers keep the
   * answer while they are connected to the server, and limit how many lookups run at once.
   */
  readonly lookup: (tag: string) => Effect.Effect<Option.Option<NodeAddress>, NodeDirectoryError>
}

/**
 * The servers that pass requests on to one another, by their tags.
 *
 * **Details**
 *
 * `UnixSocketDirectory` is for the processes of one machine, `RedisNodeDirectory` for several
 * machines. {@link layerMemory} is for tests.
 *
 * @since 0.1.0
 * @category services
 */
export class NodeDirectory extends Context.Service<NodeDirectory, NodeDirectoryShape>()(
  "effect-socket.io/engine/NodeDirectory"
) {}

/**
 * Makes a directory in memory, for several servers of one process.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory = (): NodeDirectoryShape => {
  const nodes = new Map<string, NodeAddress>()
  return {
    register: (tag, address) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.suspend(() => {
            if (nodes.has(tag)) return Effect.fail(new TagTakenError({ tag }))
            nodes.set(tag, address)
            return Effect.void
          }),
          () => Effect.sync(() => nodes.delete(tag))
        )
      ),
    lookup: (tag) => Effect.sync(() => Option.fromNullishOr(nodes.get(tag)))
  }
}

/**
 * A directory in memory. Servers with the same layer find one another.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<NodeDirectory> = Layer.sync(NodeDirectory, makeMemory)

/** Longer texts are no addresses. */
const MAX_TEXT = 2_048

/**
 * Writes an address as JSON, for a directory that stores texts.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeAddress = (address: NodeAddress): string =>
  JSON.stringify(
    "path" in address
      ? { path: address.path, secret: address.secret }
      : { host: address.host, port: address.port, secret: address.secret }
  )

/**
 * Reads an address from JSON. Other texts have none.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeAddress = (text: string): Option.Option<NodeAddress> => {
  if (text.length > MAX_TEXT) return Option.none()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return Option.none()
  }
  if (typeof value !== "object" || value === null) return Option.none()
  const { host, path, port, secret } = value as Record<string, unknown>
  if (typeof secret !== "string" || secret === "") return Option.none()
  if (typeof path === "string" && path !== "") return Option.some({ path, secret })
  if (typeof host !== "string" || host === "" || typeof port !== "number") return Option.none()
  return Number.isInteger(port) && port > 0 && port <= 65_535 ? Option.some({ host, port, secret }) : Option.none()
}
