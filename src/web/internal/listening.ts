/** A server that listens itself, on the platforms of this folder. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

import type { EngineServer } from "../../engine/EngineServer.ts"
import { type Names, separate } from "../../engine/OptionReaders.ts"
import { ListenError } from "../../server/ListenError.ts"
import type * as ServerListening from "../../server/Listening.ts"
import type { ServerOptions } from "../../server/ServerOptions.ts"
import * as SocketIoServer from "../../server/SocketIoServer.ts"
import { InvalidOptionError } from "../../SocketIoError.ts"
import { ATTACH_OPTIONS, type AttachOptions } from "../WebEngine.ts"

/** The address to listen on. The certificate has the form of the platform. */
export interface Listening {
  readonly port: number
  readonly host?: string
  readonly tls?: unknown
}

const LISTENING: Names<Listening> = { port: true, host: true, tls: true }

/** A server of the platform that listens. */
export interface Listener {
  readonly url: string
  /** Accepts no more connections. */
  readonly stop: () => void
  /** Resolves when no connection is left, after `stop`. */
  readonly ended: () => Promise<unknown>
  /** Closes what is left. */
  readonly cut: () => Promise<unknown>
}

/** The address of a server that listens, as a URL. */
export const urlOf = (hostname: string, port: number, secure: boolean): string => {
  const isAny = hostname === "::" || hostname === "0.0.0.0"
  const host = isAny ? "localhost" : hostname.includes(":") ? `[${hostname}]` : hostname
  return `${secure ? "https" : "http"}://${host}:${port}`
}

/** Checks the options. The result listens, and throws if it cannot. */
export type Listen = (
  engine: EngineServer,
  options: AttachOptions,
  listening: Listening
) => Effect.Effect<() => Listener, InvalidOptionError>

/** The options of a server that listens itself. */
export type Options<R> = ServerOptions<R> & AttachOptions & Listening

/** The server of a platform, for `Listening` of the server. */
export const prepare = Effect.fnUntraced(function* <R>(
  options: Options<R>,
  listen: Listen
): Effect.fn.Return<ServerListening.Listener<R>, InvalidOptionError> {
  const [listening, others] = separate(options as Options<never>, LISTENING)
  const [attachOptions, serverOptions] = separate(others, ATTACH_OPTIONS)
  const { port } = listening
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    return yield* new InvalidOptionError({ option: "port", problem: `must be from 0 to 65535, not ${port}` })
  }
  let start: (() => Listener) | undefined
  let listener: Listener | undefined
  return {
    make: Effect.gen(function* () {
      const shape = yield* SocketIoServer.make<R>(serverOptions as ServerOptions<R>)
      start = yield* listen(yield* shape.engine, { ...heldLike(options), ...attachOptions }, listening as Listening)
      return shape
    }),
    listen: Effect.try({
      try: () => (listener = start!()).url,
      catch: (cause) => new ListenError({ message: cause instanceof Error ? cause.message : String(cause), cause })
    }),
    stop: Effect.sync(() => listener?.stop()),
    awaitClosed: (time) => Effect.suspend(() => (listener === undefined ? Effect.void : close(listener, time))),
    path: options.path
  }
})

/** Messages that wait for the session may take as much as events that wait for their handlers. */
const heldLike = ({ limits }: ServerOptions<any>): Pick<AttachOptions, "maxHeldBytes"> =>
  limits?.maxPendingBytes === undefined ? {} : { maxHeldBytes: limits.maxPendingBytes }

/**
 * Waits for the last connections of a server that accepts no more, and cuts them after the time
 * (ms).
 */
const close = (listener: Listener, time: number): Effect.Effect<void> =>
  Effect.promise(listener.ended).pipe(
    Effect.timeoutOption(Duration.millis(time)),
    Effect.flatMap((ended) => (Option.isSome(ended) ? Effect.void : Effect.promise(listener.cut)))
  )
