/**
 * A page of a test, which is left, frozen and restored.
 */
import { Effect } from "effect"

/** The page: its events, and who listens to them. */
export class FakePage extends EventTarget {
  readonly listening: Array<string> = []

  override addEventListener(type: string, listener: EventListener): void {
    this.listening.push(type)
    super.addEventListener(type, listener)
  }

  override removeEventListener(type: string, listener: EventListener): void {
    const index = this.listening.indexOf(type)
    if (index >= 0) this.listening.splice(index, 1)
    super.removeEventListener(type, listener)
  }

  /** Leaves it; `persisted` says whether it may come back from the cache. */
  hide(persisted: boolean): void {
    this.dispatchEvent(Object.assign(new Event("pagehide"), { persisted }))
  }

  show(persisted: boolean): void {
    this.dispatchEvent(Object.assign(new Event("pageshow"), { persisted }))
  }
}

/** The page of the test, until the scope closes. */
export const stubPage = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const page = new FakePage()
      const { addEventListener, removeEventListener } = globalThis
      Object.assign(globalThis, {
        addEventListener: page.addEventListener.bind(page),
        removeEventListener: page.removeEventListener.bind(page)
      })
      return { page, before: { addEventListener, removeEventListener } }
    }),
    ({ before }) => Effect.sync(() => void Object.assign(globalThis, before))
  ),
  ({ page }) => page
)
