/**
 * This library's client on every runtime, against the official server.
 */
import { once } from "node:events"

import { afterAll, assert, describe, it } from "@effect/vitest"

import { type Peer, requires } from "../support/peers.ts"
import { within } from "../support/RawClient.ts"
import * as ReferenceServer from "../support/ReferenceServer.ts"
import { type RuntimeName, runtimes } from "../support/runtimePrograms.ts"
import { startOn } from "../support/runtimes.ts"

const server = ReferenceServer.start()
afterAll(async () => (await server).stop())

const peers: ReadonlyArray<readonly [RuntimeName, Peer]> = [
  ["node22", "Node 22"],
  ["node24", "Node 24"],
  ["node26", "Node 26"],
  ["bun", "Bun"],
  ["deno", "Deno"]
]

const seen = (platform: string, transports: ReadonlyArray<string>) => ({
  platform,
  transports,
  bytes: [1, 2, 3],
  isLong: true,
  last: 499,
  refused: "not authorized",
  transport: transports.at(-1),
  reason: "io server disconnect"
})

for (const [name, peer] of peers) {
  describe(`a client on ${peer}`, requires(peer), () => {
    it("talks to the official server over every transport, on the platform of Node and on that of fetch", async () => {
      const child = startOn(runtimes[name], "runtimeClient.ts", {}, [(await server).url])
      let output = ""
      child.stdout!.on("data", (chunk: Buffer) => {
        output += chunk
      })
      await within(`end of the client on ${peer}`, once(child, "close"))
      assert.deepStrictEqual(
        output
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line)),
        ["fetch", "node"].flatMap((platform) =>
          [["polling"], ["websocket"], ["polling", "websocket"]].map((transports) => seen(platform, transports))
        )
      )
    })
  })
}
