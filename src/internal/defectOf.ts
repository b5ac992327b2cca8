import type * as Cause from "effect/Cause"

/**
 * What a reason is about: an error, what was thrown, or `Interrupt`. `Cause.squash` would cost a
 * page more.
 */
export const defectOf = (reason: Cause.Reason<unknown>): unknown =>
  reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : reason._tag
