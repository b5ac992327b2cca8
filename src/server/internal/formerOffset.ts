import { NO_OFFSET } from "../../adapter/StoredSession.ts"
import { hashOf } from "../../internal/namespacePattern.ts"
import type { Resumption } from "./recoverable.ts"

// The offset that a client has from an earlier session, as a hash: it sends it until the first
// event of the next one.

/** The hash of the offset that a client names. */
export const hashOfOffset = (offset: unknown): number => (typeof offset === "string" ? hashOf(offset) : NO_OFFSET)

/** The hash of the offset with which a client asks for a session that it does not get. */
export const formerOf = (resumption: Resumption | undefined): number =>
  resumption === undefined || resumption._tag === "Resumed" ? NO_OFFSET : resumption.former
