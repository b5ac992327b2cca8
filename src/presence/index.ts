/**
 * The members of the rooms of a namespace, on all servers.
 *
 * @since 0.1.0
 */
export * as Presence from "./Presence.ts"
export * as PresenceList from "./PresenceList.ts"
export * as PresenceMetrics from "./PresenceMetrics.ts"
export * as PresenceModel from "./PresenceModel.ts"
