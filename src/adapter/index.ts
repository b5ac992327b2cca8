/**
 * The port of rooms and broadcasts, and its in-memory form.
 *
 * @since 0.1.0
 */
export * as Adapter from "./Adapter.ts"
export * as AdapterFactory from "./AdapterFactory.ts"
export * as DeliveryOrder from "./DeliveryOrder.ts"
export * as InMemoryAdapter from "./InMemoryAdapter.ts"
export * as ClusterLink from "./ClusterLink.ts"
export * as ClusterMessage from "./ClusterMessage.ts"
export * as ClusterMetrics from "./ClusterMetrics.ts"
export * as ClusterStatus from "./ClusterStatus.ts"
export * as DistributedAdapter from "./DistributedAdapter.ts"
export * as Envelope from "./Envelope.ts"
export * as LogPosition from "./LogPosition.ts"
export * as Received from "./Received.ts"
export * as RemoteDetails from "./RemoteDetails.ts"
export * as Sequences from "./Sequences.ts"
export * as SharedLog from "./SharedLog.ts"
export * as StoredSession from "./StoredSession.ts"
export * as WireValues from "./WireValues.ts"
