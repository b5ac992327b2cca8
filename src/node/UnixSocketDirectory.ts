/**
 * The directory of the servers of one machine: a private folder with a Unix socket for each.
 *
 * @since 0.1.0
 */
import * as Fs from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

import {
  decodeAddress,
  encodeAddress,
  NodeDirectory,
  NodeDirectoryError,
  type NodeDirectoryShape
} from "../engine/NodeDirectory.ts"
import { isTag } from "../engine/SessionId.ts"

/** The longest path of a Unix socket in bytes, on Linux; a few less on other systems. */
const MAX_PATH = 103

/**
 * Sockets that are younger than this, in milliseconds, are not taken for those of dead processes:
 * theirs may not listen yet.
 */
const YOUNG = 10_000

const failed = (what: string) => (cause: unknown) =>
  new NodeDirectoryError({ message: `${what}: ${String((cause as Error).message)}`, cause })

const attempt = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, NodeDirectoryError> =>
  Effect.tryPromise({ try: run, catch: failed(what) })

/**
 * Makes a directory of the servers of one machine, in a folder.
 *
 * **Details**
 *
 * The folder is created, with access for its owner alone, unless it exists. All processes of the
 * same user with the same folder find one another. Each server has two files there: `<tag>.sock`,
 * on which it listens, and `<tag>.json` with the secret. Both disappear when the server's scope
 * closes. Those of a process that has died are removed when the next directory is made.
 *
 * Fails with `NodeDirectoryError` if the folder cannot be used, if other users have access to it,
 * or if its path is longer than 94 bytes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  folder: string
): Effect.fn.Return<NodeDirectoryShape, NodeDirectoryError> {
  const file = (tag: string) => join(folder, `${tag}.json`)
  const pathOf = (tag: string) => join(folder, `${tag}.sock`)
  if (Buffer.byteLength(pathOf("tags")) > MAX_PATH) {
    return yield* new NodeDirectoryError({ message: `the path of "${folder}" is too long for Unix sockets` })
  }
  yield* attempt("cannot create the folder", () => Fs.mkdir(folder, { recursive: true, mode: 0o700 }))
  const stats = yield* attempt("cannot read the folder", () => Fs.stat(folder))
  const uid = process.getuid?.()
  if (uid !== undefined && (stats.uid !== uid || (stats.mode & 0o077) !== 0)) {
    return yield* new NodeDirectoryError({
      message: `"${folder}" must belong to this user, without access for others (mode 0700)`
    })
  }
  yield* removeDead(folder, pathOf, file)
  return {
    pathOf,
    register: (tag, address) =>
      Effect.asVoid(
        Effect.acquireRelease(
          // The socket exists by then, and no two processes can have listened on it.
          attempt("cannot write the address", async () => {
            const temporary = join(folder, `${tag}.${process.pid}.tmp`)
            await Fs.writeFile(temporary, encodeAddress(address), { mode: 0o600 })
            await Fs.rename(temporary, file(tag))
          }),
          () => Effect.ignore(attempt("cannot remove the address", () => Fs.rm(file(tag), { force: true })))
        )
      ),
    lookup: (tag) =>
      isTag(tag)
        ? attempt("cannot read the address", () =>
            Fs.readFile(file(tag), "utf8").catch((error: NodeJS.ErrnoException) => {
              if (error.code === "ENOENT") return ""
              throw error
            })
          ).pipe(
            Effect.map(decodeAddress),
            // Some file systems do not distinguish "A" and "a".
            Effect.map(Option.filter((address) => "path" in address && address.path === pathOf(tag)))
          )
        : Effect.succeedNone
  }
})

/**
 * A directory of the servers of one machine, in a folder (see {@link make}).
 *
 * **Example** (The processes of one machine)
 *
 * ```ts
 * const Routing = NodeSessionRouting.layer().pipe(Layer.provide(UnixSocketDirectory.layer("/run/chat")))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (folder: string): Layer.Layer<NodeDirectory, NodeDirectoryError> =>
  Layer.effect(NodeDirectory, make(folder))

/** Removes the files of processes that have died. */
const removeDead = Effect.fnUntraced(function* (
  folder: string,
  pathOf: (tag: string) => string,
  file: (tag: string) => string
) {
  const names = yield* attempt("cannot read the folder", () => Fs.readdir(folder))
  const tags = names.filter((name) => name.endsWith(".sock")).map((name) => name.slice(0, -".sock".length))
  yield* Effect.forEach(
    tags.filter(isTag),
    (tag) =>
      attempt("", async () => {
        const { mtimeMs } = await Fs.stat(pathOf(tag))
        if (Date.now() - mtimeMs < YOUNG || (await isAlive(pathOf(tag)))) return
        await Fs.rm(file(tag), { force: true })
        await Fs.rm(pathOf(tag), { force: true })
      }).pipe(Effect.ignore),
    { concurrency: 16, discard: true }
  )
})

/** Whether a process listens on a Unix socket. In doubt it does. */
const isAlive = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path)
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"))
  })
