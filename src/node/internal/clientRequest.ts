import * as Http from "node:http"
import * as Https from "node:https"
import { Readable } from "node:stream"

import type { PollRequest, PollResponse } from "../../engine/ClientPlatform.ts"
import type { CookieJar } from "./cookieJar.ts"

interface RequestRuntime {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  readonly maxPayload: number
  readonly jar: CookieJar
  readonly signal: AbortSignal
}

/** A request of polling. */
export const request = async (
  { body, headers, method, url, withCredentials }: PollRequest,
  { fetch, jar, maxPayload, signal }: RequestRuntime
): Promise<PollResponse> => {
  const response = await fetch(url, {
    method,
    headers: withCredentials ? jar.addTo(url, headers) : headers,
    signal,
    cache: "no-store",
    ...(body === undefined ? {} : { body })
  })
  // The address where redirects ended: cookies that were set on the way are not visible.
  if (withCredentials) jar.store(response.url === "" ? url : response.url, response.headers.getSetCookie())
  return { status: response.status, body: await bodyOf(response, maxPayload) }
}

/**
 * Requests over an agent of Node's, where `fetch` takes none: a proxy's, say. It does what polling
 * needs. Redirects are not followed: an agent of somebody's choice is for the server of their
 * choice.
 */
export const fetchOver =
  (agent: Http.Agent, tls: Https.RequestOptions) =>
  (url: string, { body, headers, method = "GET", signal }: RequestInit): Promise<Response> =>
    new Promise((resolve, reject) => {
      const { request } = url.startsWith("https:") ? Https : Http
      const outgoing = request(url, {
        ...tls,
        agent,
        method,
        headers: headers as Http.OutgoingHttpHeaders,
        ...(signal ? { signal } : {})
      })
      outgoing.once("error", reject)
      outgoing.once("response", (incoming) => {
        const received = new Headers()
        for (const [name, values] of Object.entries(incoming.headersDistinct)) {
          for (const value of values ?? []) received.append(name, value)
        }
        const status = incoming.statusCode!
        const hasBody = status !== 204 && status !== 205 && status !== 304
        if (!hasBody) incoming.resume()
        // Of the two types of streams, which are the same, each has a name of its own.
        const stream = hasBody ? (Readable.toWeb(incoming) as unknown as ReadableStream) : null
        resolve(new Response(stream, { status, headers: received }))
      })
      outgoing.end(body as string | undefined)
    })

/** The body as text. A server that sends without end is not listened to. */
const bodyOf = async (response: Response, maxPayload: number): Promise<string> => {
  if (response.body === null) return ""
  const chunks: Array<Uint8Array> = []
  let size = 0
  // Throwing ends the iteration, which aborts the response.
  for await (const chunk of response.body) {
    size += chunk.byteLength
    if (size > maxPayload) throw new RangeError(`the response has more than ${maxPayload} bytes`)
    chunks.push(chunk)
  }
  return (chunks.length === 1 ? asBuffer(chunks[0]!) : Buffer.concat(chunks, size)).toString()
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** The failure in words: `fetch` hides it in "fetch failed", Node in a list of several attempts. */
export const explain = (error: unknown): Error => {
  if (!(error instanceof Error)) return new Error(String(error))
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause
  if (inner instanceof Error) return explain(inner)
  if (error.message !== "") return error
  return new Error((error as { readonly code?: string }).code ?? error.name)
}
