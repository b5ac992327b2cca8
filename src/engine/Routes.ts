/**
 * Requests for paths beside the engine's own, such as health checks: layers above the engine answer
 * them. An edge passes such requests on.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

import type { InvalidOptionError } from "../SocketIoError.ts"
import type { HttpExchange } from "./EngineRequest.ts"
import { refuse } from "./OptionReaders.ts"

/**
 * Answers a request: it calls `respond` of the exchange once. `rest` is the part of the path after
 * that of the route; it is empty for a route of a single path.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer = (exchange: HttpExchange, rest: string) => void

/**
 * A route for a request, as {@link Routes.find} finds it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Route {
  readonly answer: Answer
  readonly rest: string
}

/**
 * The routes of a server: single paths, and folders with everything below them.
 *
 * @since 0.1.0
 * @category models
 */
export class Routes {
  private readonly paths = new Map<string, Answer>()
  private readonly folders = new Map<string, Answer>()
  /** The engine's own path, with a slash at its end, once an edge has attached it. */
  private enginePath: string | undefined

  /** An edge serves the engine at this path, which has a slash at its end. */
  attach(enginePath: string): void {
    this.enginePath = enginePath
  }

  /**
   * Answers requests for a path until the returned effect is run, or another answer takes its
   * place. With a slash at its end, the path stands for everything below it, too. Fails with
   * `InvalidOptionError` if it is no path, or the engine's own. `option` is its name for that
   * error.
   */
  add(option: string, path: string, answer: Answer): Effect.Effect<Effect.Effect<void>, InvalidOptionError> {
    return Effect.suspend(() => {
      if (typeof path !== "string" || !/^\/[^?#\s]*$/.test(path)) {
        return refuse(option, `must start with "/", and be without query, fragment and spaces, unlike "${path}"`)
      }
      const { enginePath } = this
      if (enginePath !== undefined && `${path}/`.startsWith(enginePath)) {
        return refuse(option, `must not be below "${enginePath}"`)
      }
      const answers = path.endsWith("/") ? this.folders : this.paths
      answers.set(path, answer)
      return Effect.succeed(
        Effect.sync(() => {
          if (answers.get(path) === answer) answers.delete(path)
        })
      )
    })
  }

  /** Finds the route for a request's target: its path, and perhaps a query. */
  find(target: string | undefined): Route | undefined {
    if (target === undefined || (this.paths.size === 0 && this.folders.size === 0)) return undefined
    const end = target.indexOf("?")
    const path = end < 0 ? target : target.slice(0, end)
    const answer = this.paths.get(path)
    if (answer !== undefined) return { answer, rest: "" }
    for (const [folder, answer] of this.folders) {
      if (path.startsWith(folder)) return { answer, rest: path.slice(folder.length) }
    }
    return undefined
  }
}
