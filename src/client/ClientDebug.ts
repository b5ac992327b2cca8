/**
 * Logs of the connections of clients: warnings while a server cannot be connected to, and each step
 * at level Debug. A client writes none of them without this module.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"

import { parseDebug } from "../internal/debugNamespaces.ts"
import { log } from "../internal/log.ts"
import type { ClientExtra } from "./ClientExtras.ts"
import { warnOfAttempts } from "./internal/attempts.ts"
import type { Extend } from "./internal/connection.ts"

/**
 * The parts of a client, each of which logs its own steps.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientPart = "engine" | "manager" | "socket"

/** Writes a step of a client: `manager` with the message `connecting`, for example. */
type WriteStep = (
  part: ClientPart,
  message: string,
  annotations?: Readonly<Record<string, unknown>>
) => Effect.Effect<void>

/**
 * The logs of the clients that are made; {@link layer} makes them. Default: none.
 *
 * @since 0.1.0
 * @category services
 */
export const ClientDebug: Context.Reference<ReadonlyArray<ClientExtra>> = Context.Reference<ReadonlyArray<ClientExtra>>(
  "effect-socket.io/client/ClientDebug",
  { defaultValue: () => [] }
)

/** Writes the steps of a client. */
const writing =
  (write: WriteStep): Extend =>
  (parts, { runtime }) => {
    const step = (...step: Parameters<WriteStep>) => runtime.runFork(write(...step))
    const { reconnection } = parts
    return {
      ...parts,
      dial: (sink, fx) => {
        const dialed = parts.dial(
          {
            ...sink,
            onOpen: (handshake) => {
              step("engine", "opened", { sid: handshake.sid })
              sink.onOpen(handshake)
            },
            onUpgrade: () => {
              step("engine", "upgraded")
              sink.onUpgrade?.()
            },
            onClose: (close) => {
              step("engine", "closed", { ...close })
              sink.onClose(close)
            }
          },
          fx
        )
        return Effect.tap(dialed, () => Effect.sync(() => step("manager", "connecting")))
      },
      reconnection:
        reconnection &&
        Schedule.tap(reconnection, ({ attempt, duration }) =>
          Effect.sync(() => step("manager", "trying again", { attempt, delay: duration }))
        ),
      target: (target) =>
        parts.target({
          ...target,
          onStatus: (next) => {
            const status = target.onStatus?.(next) ?? next
            step("socket", status._tag, { namespace: target.namespace, ...status })
            return status
          }
        })
    }
  }

/** The setting of the environment, or in pages the one that the package `debug` has. */
const currentSetting = (): string => {
  const { process, window } = globalThis as {
    readonly process?: { readonly env?: { readonly DEBUG?: string } }
    readonly window?: { readonly localStorage: { readonly debug?: string } }
  }
  try {
    return process?.env?.DEBUG ?? window?.localStorage.debug ?? ""
  } catch {
    // A page may not be allowed to read what is stored.
    return ""
  }
}

/**
 * Warns while a server cannot be connected to, and logs the steps of clients at level Debug,
 * annotated with their `subsystem`: `socket.io-client:engine`, `socket.io-client:manager` or
 * `socket.io-client:socket`.
 *
 * **Details**
 *
 * The warning comes at level Warn, whatever the setting is: when the first attempt has failed and
 * another one follows, and then once a minute at the most. It has the server's origin and the
 * error.
 *
 * A step is logged if the application's minimum level is Debug, or if the setting includes its
 * subsystem. The setting is in the notation of the package `debug`, as
 * `socket.io-client:*,-socket.io-client:socket`. Default: `DEBUG` in the environment, or
 * `localStorage.debug` in a page, as it is when the layer is built.
 *
 * `NodeClientPlatform` includes this layer. In pages, and in programs without that platform,
 * provide it to the client.
 *
 * **Example** (A page that logs what `localStorage.debug` asks for)
 *
 * ```ts
 * const Client = SocketIoClient.layer({ url: location.origin }).pipe(Layer.provide(ClientDebug.layer()))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (setting?: string): Layer.Layer<never> =>
  Layer.sync(ClientDebug, () => {
    const { includes } = parseDebug(setting ?? currentSetting())
    const extend = writing((part, message, annotations) => {
      const subsystem = `socket.io-client:${part}`
      const line = log("Debug", message, { subsystem, ...annotations })
      return includes(subsystem) ? Effect.provideService(line, References.MinimumLogLevel, "Debug") : line
    })
    return [{ extend: warnOfAttempts }, { extend }]
  })
