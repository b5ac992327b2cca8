/** Constants of the codec. A module without imports: bundlers put them in their places. */

export const BLANK = 32
export const DASH = 45
export const SLASH = 47
export const ZERO = 48
export const NINE = 57

/** Only a cycle is deeper than this; real payloads never are. */
export const MAX_DEPTH = 1_000
