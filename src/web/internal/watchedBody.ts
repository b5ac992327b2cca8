import type { ResponseWatcher } from "../../engine/EngineRequest.ts"

/** The bytes that the platform gets at a time. */
const PIECE = 64 * 1024

/**
 * A body that the platform asks for piece by piece, as fast as the peer reads it. So it is known
 * how long that takes, and whether the peer reads at all.
 */
export class WatchedBody {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>
  private watcher: ResponseWatcher | undefined
  private isGone = false
  private controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined

  constructor(bytes: Uint8Array) {
    let at = 0
    this.stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        start: (controller) => {
          this.controller = controller
        },
        pull: (controller) => {
          if (at === bytes.byteLength) {
            controller.close()
            return this.end()
          }
          // A copy, which the platform may keep without the rest.
          controller.enqueue(bytes.slice(at, at + PIECE))
          at = Math.min(at + PIECE, bytes.byteLength)
        },
        cancel: () => this.end()
      },
      { highWaterMark: 0 }
    )
  }

  watch(watcher: ResponseWatcher): void {
    if (this.isGone) return watcher.onGone()
    this.watcher = watcher
    watcher.onWaiting()
  }

  /** Closes the connection, if the peer has not read everything. */
  drop(isLengthKnown: boolean): void {
    if (this.isGone) return
    // A body that is shorter than its length is broken. Without a length only an error breaks it; a
    // reason would be logged.
    if (isLengthKnown) this.controller?.close()
    else this.controller?.error(undefined)
    this.end()
  }

  private end(): void {
    if (this.isGone) return
    this.isGone = true
    this.watcher?.onGone()
  }
}
