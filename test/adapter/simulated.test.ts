/**
 * Clusters in worlds in which everything goes wrong: see `scenario.ts`.
 */
import { describe } from "@effect/vitest"

import * as Simulation from "../../src/testing/Simulation.ts"
import { count } from "../support/extent.ts"
import { eachPart } from "../support/seeds.ts"
import { scenario } from "./scenario.ts"

describe("a cluster does as its model, whatever happens to the bus", () => {
  eachPart(count(1_000, 100), ({ first, seeds }) => Simulation.check({ seeds, from: first, maxTrace: 0 }, scenario))
})
