/**
 * The parts of connection state recovery: a log of broadcasts, sessions, rooms over time.
 *
 * Applications need the option `recovery` of the server, and none of these.
 *
 * @since 0.1.0
 */
export * as AwaySessions from "./AwaySessions.ts"
export * as CatchUp from "./CatchUp.ts"
export * as DirectMessages from "./DirectMessages.ts"
export * as LaterEntries from "./LaterEntries.ts"
export * as Memberships from "./Memberships.ts"
export * as MessageLog from "./MessageLog.ts"
export * as OlderEntries from "./OlderEntries.ts"
export * as ReadAllowance from "./ReadAllowance.ts"
export * as RecoverySession from "./RecoverySession.ts"
export * as RecentEntries from "./RecentEntries.ts"
export * as SharedSession from "./SharedSession.ts"
