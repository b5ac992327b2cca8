/**
 * The part of an HTTP exchange that edges share: extra headers, and turns with other work.
 *
 * @since 0.1.0
 */
import { countMessage } from "../internal/pace.ts"
import { atTurnEnd } from "../internal/turn.ts"
import type { EngineRequest, Pacer } from "./EngineRequest.ts"
import { type Headers, merge } from "./HttpHeaders.ts"
import { PollingPacer } from "./internal/pollingPacer.ts"

/**
 * A request and its one response. An edge adds the methods that read the request and write the
 * response.
 *
 * @since 0.1.0
 * @category models
 */
export abstract class PacedExchange<Request extends EngineRequest> {
  readonly request: Request
  /** Headers for the response, which those of `respond` replace. */
  protected extraHeaders: Headers | undefined
  /** Whether the response was passed to `respond`, or the peer has disconnected before that. */
  protected responded = false

  constructor(request: Request, extraHeaders: Headers | undefined) {
    this.request = request
    this.extraHeaders = extraHeaders
  }

  addHeaders(headers: Headers): void {
    this.extraHeaders = merge(this.extraHeaders, headers)
  }

  /** A step has failed: the peer is not left waiting. */
  protected abstract onDefect(defect: unknown): void

  countReceived(session: object, bytes: number): void {
    countMessage(session, bytes)
  }

  makePacer(session: object): Pacer {
    return new PollingPacer(session)
  }

  defer(task: () => void): void {
    atTurnEnd({ onTurnEnd: task, onDefect: (defect) => this.onDefect(defect) })
  }
}
