import { closeSync, openSync } from "node:fs"
import { readFile } from "node:fs/promises"
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import * as Zlib from "node:zlib"

import type { EngineServer } from "../../engine/EngineServer.ts"
import { negotiateCoding } from "../../engine/HttpHeaders.ts"
import { NodeRequest } from "./nodeRequest.ts"

/**
 * The browser builds of the official client, and the maps of their sources. Nothing else is ever
 * read.
 */
const NAMES: ReadonlySet<string> = new Set(
  ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"].flatMap((name) => [
    name,
    `${name}.map`
  ])
)

/** How a file may be encoded (RFC 9110, 8.4.1), what we would rather send first. */
const CODINGS = ["br", "gzip", "deflate", "identity"] as const

type Coding = (typeof CODINGS)[number]

const [brotli, gzip, deflate] = [
  promisify<Zlib.InputType, Zlib.BrotliOptions, Buffer>(Zlib.brotliCompress),
  promisify<Zlib.InputType, Zlib.ZlibOptions, Buffer>(Zlib.gzip),
  promisify<Zlib.InputType, Zlib.ZlibOptions, Buffer>(Zlib.deflate)
]

/**
 * It is done once, so it may take its time: up to some 150 ms, off the main thread. Brotli's best
 * would take thrice that.
 */
const encode: Record<Coding, (bytes: Buffer) => Promise<Buffer>> = {
  br: (bytes) =>
    brotli(bytes, {
      params: {
        [Zlib.constants.BROTLI_PARAM_QUALITY]: 10,
        [Zlib.constants.BROTLI_PARAM_MODE]: Zlib.constants.BROTLI_MODE_TEXT,
        [Zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length
      }
    }),
  gzip: (bytes) => gzip(bytes, { level: 9 }),
  deflate: (bytes) => deflate(bytes, { level: 9 }),
  identity: (bytes) => Promise.resolve(bytes)
}

interface ClientFile {
  /** The version of the package that it belongs to. */
  readonly version: string
  readonly encoded: (coding: Coding) => Promise<Buffer>
}

/**
 * Works out a value once for each key: who asks meanwhile waits for the same. Failures are not
 * remembered.
 */
const once = <K, V>(work: (key: K) => Promise<V>): ((key: K) => Promise<V>) => {
  const values = new Map<K, Promise<V>>()
  return (key) => {
    let value = values.get(key)
    if (value === undefined) {
      values.set(key, (value = work(key)))
      value.catch(() => values.delete(key))
    }
    return value
  }
}

/** Reads a file and, with it, the version that is installed by now. */
const read = async (manifest: string, name: string): Promise<ClientFile> => {
  const [json, bytes] = await Promise.all([readFile(manifest, "utf8"), readFile(join(dirname(manifest), "dist", name))])
  return { version: JSON.parse(json).version, encoded: once((coding) => encode[coding](bytes)) }
}

/** How long it is remembered that there is no client, in milliseconds. */
const MISSING_FOR = 5_000

/**
 * Whether files can be opened at all: a search finds nothing where the process has used up its
 * descriptors, and does not say why.
 */
const canOpen = (): boolean => {
  try {
    closeSync(openSync(process.execPath, "r"))
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code !== "EMFILE" && code !== "ENFILE"
  }
}

/**
 * The `package.json` of the client that the application has, else of the one beside this library.
 */
const installed = (): string | false => {
  for (const from of [() => join(process.cwd(), "/"), () => import.meta.url]) {
    try {
      return createRequire(from()).resolve("socket.io-client/package.json")
    } catch {
      // Not there, or the working directory is gone.
    }
  }
  return false
}

/**
 * Answers requests for the client's files below the path, which ends with a slash. Gives the
 * function that does so, and says whether a request was for one of them.
 *
 * Files stay in memory once they were asked for: with version 4.8 these are 1.2 MB, and 0.3 MB more
 * for each of three codings, so 2.1 MB for a server that was asked for all of them in every form.
 */
export const clientFiles = (
  engine: EngineServer,
  path: string,
  locate: () => string | false = installed,
  now: () => number = () => performance.now(),
  isReadable: () => boolean = canOpen
): ((incoming: IncomingMessage, response: ServerResponse) => boolean) => {
  const prefix = `${path}socket.io.`
  let manifest: string | false = false
  let lookAgainAt = -Infinity
  const load = once((name: string) => read(manifest as string, name))

  /**
   * What is remembered of a search, which is synchronous, in a dozen folders: where it is, or for a
   * short time that it is not.
   */
  const search = (): "found" | "missing" | "not now" => {
    if (manifest !== false) return "found"
    if (now() < lookAgainAt) return "missing"
    if (!isReadable()) return "not now"
    manifest = locate()
    if (manifest !== false) return "found"
    // They may have run out meanwhile.
    if (!isReadable()) return "not now"
    lookAgainAt = now() + MISSING_FOR
    return "missing"
  }

  const answer = async (name: string, exchange: Exchange): Promise<void> => {
    const { headers, method } = exchange.incoming
    const allow = { allow: "GET, HEAD, OPTIONS" }
    if (method === "OPTIONS") return send(exchange, 204, allow)
    if (method !== "GET" && method !== "HEAD") return refuse(exchange, 405, `${name} can only be read`, allow)
    const found = search()
    if (found === "missing") return refuse(exchange, 404, "to serve the client from here: npm install socket.io-client")
    if (found === "not now") return refuse(exchange, 503, `${name} could not be read: too many open files`)
    try {
      const file = await load(name)
      const coding = negotiateCoding(headers["accept-encoding"], CODINGS)
      const vary = { vary: [exchange.cors.vary, "Accept-Encoding"].filter(Boolean).join(", ") }
      if (coding === undefined) return refuse(exchange, 406, `available encodings: ${CODINGS.join(", ")}`, vary)
      // Encoded files are other bytes than the plain one, so they may not share its tag (RFC 9110,
      // 8.8.3.3), and need one each, as a cache tells by the tag which of its copies a 304 is
      // about. Theirs are weak: the next version of zlib may give other bytes for the same file.
      // The plain file's tag is that of the reference.
      const tag = coding === "identity" ? `"${file.version}"` : `W/"${file.version}-${coding}"`
      const validators = { ...vary, "cache-control": "public, max-age=0", etag: tag }
      if (isKnown(headers["if-none-match"], tag)) return send(exchange, 304, validators)
      const body = await file.encoded(coding)
      return send(
        exchange,
        200,
        {
          ...validators,
          "content-type": `application/${name.endsWith(".map") ? "json" : "javascript"}; charset=utf-8`,
          ...(coding === "identity" ? {} : { "content-encoding": coding })
        },
        body
      )
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === "ENOENT") return refuse(exchange, 404, `the installed version of socket.io-client has no ${name}`)
      return refuse(exchange, 500, `${name} could not be read: ${code ?? "not as expected"}`)
    }
  }

  return (incoming, response) => {
    const url = incoming.url!
    // What clients poll leaves here.
    if (!url.startsWith(prefix)) return false
    const end = url.indexOf("?")
    const name = url.slice(path.length, end < 0 ? url.length : end)
    if (!NAMES.has(name)) return false
    // The engine answers preflight requests.
    if (incoming.method === "OPTIONS" && engine.options.cors !== undefined) return false
    answer(name, { incoming, response, cors: engine.responseHeaders(new NodeRequest(incoming)) }).catch((defect) => {
      engine.report("a request for a client's file failed", defect)
      response.destroy()
    })
    return true
  }
}

interface Exchange {
  readonly incoming: IncomingMessage
  readonly response: ServerResponse
  readonly cors: Readonly<Record<string, string | Array<string>>>
}

const send = ({ cors, incoming, response }: Exchange, status: number, headers: OutgoingHttpHeaders, body?: Buffer) => {
  // The peer may have gone while the file was read.
  if (response.destroyed || response.headersSent) return
  response.writeHead(status, { ...cors, ...headers, ...(body === undefined ? {} : { "content-length": body.length }) })
  response.end(incoming.method === "HEAD" ? undefined : body)
  // Without this a body that nobody reads would keep the connection busy.
  if (!incoming.complete) incoming.resume()
}

/** Refuses with a line of text. What is wrong now may be right in a minute, so caches forget it. */
const refuse = (exchange: Exchange, status: number, line: string, headers: OutgoingHttpHeaders = {}) =>
  send(
    exchange,
    status,
    { ...headers, "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" },
    Buffer.from(`${line}\n`)
  )

/**
 * Whether the client has the representation with this tag: `If-None-Match`, compared weakly (RFC
 * 9110, 13.1.2).
 */
const isKnown = (condition: string | undefined, tag: string): boolean => {
  if (condition === undefined) return false
  if (condition.trim() === "*") return true
  const opaque = tag.replace(/^W\//, "")
  return Array.from(condition.matchAll(/(?:W\/)?("[^"]*")/g)).some((match) => match[1] === opaque)
}
