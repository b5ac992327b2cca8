import { readdir, readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, extname, join, relative, sep } from "node:path"
import { promisify } from "node:util"
import { gzip } from "node:zlib"

import type { HttpExchange } from "../../engine/EngineRequest.ts"
import { negotiateCoding } from "../../engine/HttpHeaders.ts"

const compress = promisify<Uint8Array, { readonly level: number }, Buffer>(gzip)

/** The kinds of files that are served. Source maps are not. */
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "application/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon"
}

/** The page must not be shown in a frame: a user could be led to click on a hidden button. */
const PROTECTION = {
  "x-frame-options": "DENY",
  "content-security-policy": "frame-ancestors 'none'",
  "referrer-policy": "no-referrer"
}

/** A file in both forms: all responses share their bytes, which stay in memory. */
interface UiFile {
  readonly type: string
  readonly plain: Buffer
  readonly gzip: Buffer
}

/**
 * The folder of the page's files, of the package that the application or this library has
 * installed.
 */
export const locate = (): string | undefined => {
  for (const from of [() => join(process.cwd(), "/"), () => import.meta.url]) {
    try {
      return join(dirname(createRequire(from()).resolve("@socket.io/admin-ui/package.json")), "ui", "dist")
    } catch {
      // The package is missing, or the working directory was removed.
    }
  }
  return undefined
}

/**
 * For how long it is remembered that the package is missing, in milliseconds: a search looks into a
 * dozen folders.
 */
const MISSING_FOR = 5_000

/**
 * Reads all files of the page: 1.3 MB, and a third of that compressed. No other file is ever read.
 */
const readAll = async (folder: string): Promise<ReadonlyMap<string, UiFile>> => {
  const files = new Map<string, UiFile>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const type = TYPES[extname(entry.name)]
    if (!entry.isFile() || type === undefined) continue
    const path = join(entry.parentPath, entry.name)
    const plain = await readFile(path)
    files.set(relative(folder, path).split(sep).join("/"), { type, plain, gzip: await compress(plain, { level: 9 }) })
  }
  return files
}

const refuse = (exchange: HttpExchange, status: number, line: string, headers: Record<string, string> = {}): void => {
  exchange.respond(
    status,
    { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
    line
  )
}

const send = (exchange: HttpExchange, name: string, file: UiFile): void => {
  const coding = negotiateCoding(exchange.request.header("accept-encoding"), ["gzip", "identity"])
  const headers = {
    ...PROTECTION,
    "content-type": file.type,
    vary: "Accept-Encoding",
    // The names of the other files change with their content.
    "cache-control": name === "index.html" ? "no-cache" : "public, max-age=86400",
    ...(coding === "gzip" ? { "content-encoding": "gzip" } : {})
  }
  exchange.respond(200, headers, coding === "gzip" ? file.gzip : file.plain)
}

/**
 * Answers requests for the files of the page. They are read at the first request, once: a request
 * costs no more than its response.
 */
export const makeUiFiles = (
  onDefect: (message: string, defect: unknown) => void,
  find: () => string | undefined = locate,
  now: () => number = () => performance.now()
): ((exchange: HttpExchange, rest: string) => void) => {
  let folder: string | undefined
  let files: Promise<ReadonlyMap<string, UiFile>> | undefined
  let lookAgainAt = -Infinity
  const search = (): string | undefined => {
    if (folder !== undefined || now() < lookAgainAt) return folder
    folder = find()
    if (folder === undefined) lookAgainAt = now() + MISSING_FOR
    return folder
  }
  const load = (folder: string) => {
    files ??= readAll(folder)
    files.catch(forget)
    return files
  }
  const forget = () => {
    files = folder = undefined
  }
  const answer = async (exchange: HttpExchange, rest: string): Promise<void> => {
    const { method } = exchange.request
    if (method !== "GET" && method !== "HEAD") {
      return refuse(exchange, 405, "the page can only be read\n", { allow: "GET, HEAD" })
    }
    const found = search()
    if (found === undefined)
      return refuse(exchange, 404, "to serve the page from here: npm install @socket.io/admin-ui\n")
    const name = rest === "" ? "index.html" : rest
    const file = (await load(found)).get(name)
    if (file === undefined) return refuse(exchange, 404, "not found\n")
    send(exchange, name, file)
  }
  return (exchange, rest) => {
    answer(exchange, rest).catch((defect) => {
      onDefect("the files of the Admin UI could not be read", defect)
      refuse(exchange, 500, "the page could not be read\n")
    })
  }
}
