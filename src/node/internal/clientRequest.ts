import * as Http from "node:http"
import * as Https from "node:https"

import type { PollRequest, PollResponse } from "../../engine/ClientPlatform.ts"
import { type CookieJar, originOf } from "./cookieJar.ts"

/**
 * The part of a `Response` that polling needs. A `Response` itself takes only what servers ought to
 * send.
 */
interface Answer {
  readonly status: number
  /** The address where redirects ended; may be empty if there were none. */
  readonly url: string
  readonly headers: Pick<Headers, "getSetCookie">
  readonly body: AsyncIterable<Uint8Array> | null
}

interface RequestRuntime {
  readonly fetch: (url: string, init: RequestInit) => Promise<Answer>
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
  // Cookies that were set on the way of redirects are not visible. Those of another origin, where
  // redirects may end, would never be sent.
  if (withCredentials && originOf(response.url || url) === originOf(url)) {
    jar.store(url, response.headers.getSetCookie())
  }
  return { status: response.status, body: await bodyOf(response, maxPayload) }
}

/**
 * Requests over an agent of Node's, where `fetch` takes none: a proxy's, say. It does what polling
 * needs. Redirects are not followed: an agent of somebody's choice is for the server of their
 * choice.
 */
export const fetchOver =
  (agent: Http.Agent, tls: Https.RequestOptions) =>
  (url: string, { body, headers, method = "GET", signal }: RequestInit): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { request } = url.startsWith("https:") ? Https : Http
      const outgoing = request(url, {
        ...tls,
        agent,
        method,
        headers: headers as Http.OutgoingHttpHeaders,
        ...(signal ? { signal } : {})
      })
      outgoing.on("error", reject)
      // A server that changes the protocol gives no response.
      outgoing.once("close", () => reject(new Error("no response")))
      // Nothing here may throw: nobody would catch it.
      outgoing.once("response", (incoming) =>
        resolve({
          status: incoming.statusCode!,
          url,
          headers: { getSetCookie: () => incoming.headers["set-cookie"] ?? [] },
          body: incoming
        })
      )
      outgoing.end(body as string | undefined)
    })

/** The body as text. A server that sends without end is not listened to. */
const bodyOf = async ({ body }: Answer, maxPayload: number): Promise<string> => {
  if (body === null) return ""
  const chunks: Array<Uint8Array> = []
  let size = 0
  // Throwing ends the iteration, which aborts the response.
  for await (const chunk of body) {
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
