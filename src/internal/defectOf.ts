import type * as Cause from "effect/Cause"

/**
 * Returns the content of a reason: an error, a thrown value, or `Interrupt`. `Cause.squash` would
 * add to the size of a page.
 */
export const defectOf = (reason: Cause.Reason<unknown>): unknown =>
  reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : reason._tag
