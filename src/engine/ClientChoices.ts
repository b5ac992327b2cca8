/**
 * Choices for sessions of clients that not every application makes. Each is a function that gives
 * another way to make sessions; see `EngineClient.make`.
 *
 * @since 0.1.0
 */
import type { EngineClient, MakeEngineClient } from "./EngineClient.ts"
import { listen } from "./internal/client/pageEvents.ts"

/**
 * The memory that the sessions of one client share: whether the last one could use WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface UpgradeMemory {
  upgraded: boolean
}

/**
 * Begins with WebSocket once an upgrade has succeeded, until a session fails.
 *
 * @since 0.1.0
 * @category combinators
 */
export const rememberUpgrade =
  (make: MakeEngineClient, memory: UpgradeMemory = { upgraded: false }): MakeEngineClient =>
  (options, runtime, sink) => {
    const isKnown = memory.upgraded && options.transports[1] === "websocket"
    let isOpened = false
    const session = make(isKnown ? { ...options, transports: ["websocket", "polling"] } : options, runtime, {
      ...sink,
      onOpen: (handshake) => {
        isOpened = true
        memory.upgraded = session.transportName === "websocket"
        sink.onOpen(handshake)
      },
      onUpgrade: () => {
        memory.upgraded = true
        sink.onUpgrade?.()
      },
      onClose: (close) => {
        // The next session does not begin with a WebSocket that failed or broke.
        if (close.reason === "transport error" || (!isOpened && close.reason !== "forced close")) {
          memory.upgraded = false
        }
        sink.onClose(close)
      }
    })
    return session
  }

/**
 * Tries the other transports, in their order, when the first one cannot connect, or not in time.
 *
 * @since 0.1.0
 * @category combinators
 */
export const tryAllTransports =
  (make: MakeEngineClient): MakeEngineClient =>
  (options, runtime, sink) => {
    const begin = ([first, ...others]: typeof options.transports): EngineClient => {
      let isOpened = false
      return make({ ...options, transports: first === undefined ? [] : [first, ...others] }, runtime, {
        ...sink,
        onOpen: (handshake) => {
          isOpened = true
          sink.onOpen(handshake)
        },
        onClose: (close) => {
          if (isOpened || isOver || others.length === 0) return sink.onClose(close)
          current = begin(others)
          current.open()
        }
      })
    }
    /** Nobody wants another session. */
    let isOver = false
    let current = begin(options.transports)
    return {
      get id() {
        return current.id
      },
      get isOpen() {
        return current.isOpen
      },
      get transportName() {
        return current.transportName
      },
      get writable() {
        return current.writable
      },
      open: () => current.open(),
      send: (...message) => current.send(...message),
      checkAlive: () => current.checkAlive(),
      close: (description) => {
        isOver = true
        current.close(description)
      },
      fail: (...why) => {
        isOver = true
        current.fail(...why)
      }
    }
  }

const onPageHide = listen("pagehide")

/**
 * Ends a session when the page is left or frozen, and tells the server. A frozen page keeps no
 * connection then, and a restored page finds it closed.
 *
 * @since 0.1.0
 * @category combinators
 */
export const closeOnPageHide =
  (make: MakeEngineClient): MakeEngineClient =>
  (options, runtime, sink) => {
    let stop: (() => void) | undefined
    const session = make(options, runtime, {
      ...sink,
      onClose: (close) => {
        stop?.()
        sink.onClose(close)
      }
    })
    const open = () => {
      stop = onPageHide(() => session.fail("transport close", "page hidden", undefined, true))
      session.open()
    }
    // Everything else is that of the session.
    return Object.create(session, { open: { value: open } }) as EngineClient
  }
