import { closeSync, openSync } from "node:fs"
import { readFile } from "node:fs/promises"
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import * as Zlib from "node:zlib"

import type { EngineServer } from "../../engine/EngineServer.ts"
import { negotiateCoding } from "../../engine/HttpHeaders.ts"
import { discard } from "./bodyChunks.ts"
import { NodeRequest } from "./nodeRequest.ts"

/**
 * The browser builds of the official client, and their source maps. No other file is ever read.
 */
const NAMES: ReadonlySet<string> = new Set(
  ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"].flatMap((name) => [
    name,
    `${name}.map`
  ])
)

/** The encodings of a file (RFC 9110, 8.4.1), in the order in which we prefer them. */
const CODINGS = ["br", "gzip", "deflate", "identity"] as const

type Coding = (typeof CODINGS)[number]

const [brotli, gzip, deflate] = [
  promisify<Zlib.InputType, Zlib.BrotliOptions, Buffer>(Zlib.brotliCompress),
  promisify<Zlib.InputType, Zlib.ZlibOptions, Buffer>(Zlib.gzip),
  promisify<Zlib.InputType, Zlib.ZlibOptions, Buffer>(Zlib.deflate)
]

/**
 * Encoding happens once, so it may take its time: up to some 150 ms, off the main thread. Brotli's
 * best quality would take thrice that.
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
  /** The version of the package that the file belongs to. */
  readonly version: string
  readonly encoded: (coding: Coding) => Promise<Buffer>
}

/**
 * Computes a value once for each key. Callers that ask meanwhile wait for the same result. Failures
 * are not remembered.
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

/** Reads a file and, with it, the version that is installed at that time. */
const read = async (manifest: string, name: string): Promise<ClientFile> => {
  const [json, bytes] = await Promise.all([readFile(manifest, "utf8"), readFile(join(dirname(manifest), "dist", name))])
  return { version: JSON.parse(json).version, encoded: once((coding) => encode[coding](bytes)) }
}

/** The time in milliseconds for which a missing client is remembered. */
const MISSING_FOR = 5_000

/**
 * Whether files can be opened at all. A search finds nothing if the process has used up its
 * descriptors, and does not report that reason.
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
 * The `package.json` of the application's client, or else of the one beside this library.
 */
const installed = (): string | false => {
  for (const from of [() => join(process.cwd(), "/"), () => import.meta.url]) {
    try {
      return createRequire(from()).resolve("socket.io-client/package.json")
    } catch {
      // The package is missing, or the working directory was removed.
    }
  }
  return false
}

/**
 * Answers requests for the client's files below the path, which ends with a slash. Returns the
 * function that does so; it reports whether a request was for one of them.
 *
 * Files stay in memory once a client has asked for them. With version 4.8 these are 1.2 MB, and 0.3
 * MB more for each of three encodings: 2.1 MB for a server that has served all of them in every
 * form.
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
   * The remembered result of a search: the place of the client, or for a short time that it is
   * missing. A search is synchronous and looks into a dozen folders.
   */
  const search = (): "found" | "missing" | "not now" => {
    if (manifest !== false) return "found"
    if (now() < lookAgainAt) return "missing"
    if (!isReadable()) return "not now"
    manifest = locate()
    if (manifest !== false) return "found"
    // The descriptors may have run out meanwhile.
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
      // An encoded file has other bytes than the plain one, so it needs a tag of its own (RFC 9110,
      // 8.8.3.3): a cache uses the tag to find the copy that a 304 is about. Tags of encoded files
      // are weak, because the next version of zlib may give other bytes for the same file. The
      // plain file has the tag of the reference.
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
    // Polling requests return here.
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
  // The peer may have disconnected while the file was read.
  if (response.destroyed || response.headersSent) return
  response.writeHead(status, { ...cors, ...headers, ...(body === undefined ? {} : { "content-length": body.length }) })
  response.end(incoming.method === "HEAD" ? undefined : body)
  discard(incoming)
}

/**
 * Refuses with a line of text. Caches must not keep it, because the file may be there a minute
 * later.
 */
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
