import type { SessionClose } from "../../EngineSession.ts"
import type { Leaving } from "../leaving.ts"

/** The state of a session. */
export type Life =
  | { readonly _tag: "Open" }
  /** A drain has closed its transport. Messages of a client that does not know are handled. */
  | { readonly _tag: "Leaving"; readonly leaving: Leaving; readonly isReleased: boolean }
  /** The session closes its transport, which may release everything within that call. */
  | { readonly _tag: "Ending"; readonly isReleased: boolean }
  /** The session has ended; its transport may still be telling the client. */
  | { readonly _tag: "Closing"; readonly close: SessionClose }
  /** Its transport has released everything; other transports of the session may not have. */
  | { readonly _tag: "Closed"; readonly close: SessionClose }
  /** All resources are released. */
  | { readonly _tag: "Released"; readonly close: SessionClose }

// All sessions share these objects. Each message compares the first one with the state to see
// whether the session is open.
export const OPEN: Life = { _tag: "Open" }
export const ENDING: Life = { _tag: "Ending", isReleased: false }
export const RELEASED: Life = { _tag: "Ending", isReleased: true }

/** Whether the session's transport has released everything. */
export const isTransportReleased = (life: Life): boolean =>
  life._tag === "Closed" || life._tag === "Released" || ("isReleased" in life && life.isReleased)
