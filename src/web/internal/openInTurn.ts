import * as Openings from "../../internal/openings.ts"

/**
 * The number of requests that may wait for their turn. Some hosts bring all that a connection sends
 * at once, and which requests are those of one connection is not known here.
 */
const MAX_WAITING = 10_000

/**
 * Runs a request that opens a session: now, or in its turn. Returns `undefined` if too many wait. A
 * request whose client disconnects meanwhile is answered, so that nothing waits for it.
 */
export const openInTurn = <A>(
  { signal }: Request,
  run: () => Response | Promise<A>
): Promise<Response | A> | undefined => {
  if (Openings.size() >= MAX_WAITING) return undefined
  const { promise, resolve } = Promise.withResolvers<Response | A>()
  const leave = () => resolve(new Response(null, { status: 400 }))
  let onAbort: (() => void) | undefined
  const opening = Openings.take(OPEN, () => {
    if (onAbort !== undefined) signal.removeEventListener("abort", onAbort)
    if (signal.aborted) leave()
    else resolve(run())
  })
  if (opening !== undefined) {
    onAbort = () => {
      Openings.forget(opening)
      leave()
    }
    signal.addEventListener("abort", onAbort, { once: true })
  }
  return promise
}

const OPEN = { destroyed: false }
