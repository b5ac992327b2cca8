/**
 * Returns a copy that keeps nothing else in memory. A part of a text keeps the whole text, from 13
 * characters on: a packet's, or that of a request with many packets.
 */
export const ownText = (part: string): string => (" " + part).slice(1)
