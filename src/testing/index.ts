/**
 * Tests of namespaces and clients without a network, under a clock that the test moves.
 *
 * @since 0.1.0
 */
export * as Link from "./Link.ts"
export * as Network from "./Network.ts"
export * as RawPeer from "./RawPeer.ts"
export * as Simulation from "./Simulation.ts"
export * as TestSocketIo from "./TestSocketIo.ts"
