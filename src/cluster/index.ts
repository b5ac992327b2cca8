/**
 * Several processes of one machine: the workers of Node's cluster module and their primary.
 *
 * @since 0.1.0
 */
export * as ClusterAdapter from "./ClusterAdapter.ts"
export * as ClusterPrimary from "./ClusterPrimary.ts"
