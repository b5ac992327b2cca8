#!/usr/bin/env node
/**
 * The command of the package, `effect-socket.io`. It needs `@effect/platform-node`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { createRequire } from "node:module"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

import { check } from "./contractsCheck.ts"

const { version } = createRequire(import.meta.url)("effect-socket.io/package.json") as { readonly version: string }

const contracts = Command.make("contracts").pipe(
  Command.withDescription("Contracts and their changes"),
  Command.withSubcommands([check])
)

const command = Command.make("effect-socket.io").pipe(
  Command.withDescription("Tools for Socket.IO with Effect"),
  Command.withSubcommands([contracts])
)

Command.run(command, { version }).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    // The modules of contracts may have started something that does not end by itself. Everything
    // that was printed leaves before.
    teardown: (exit) => {
      const code = Exit.isSuccess(exit) ? 0 : 1
      process.stdout.write("", () => process.stderr.write("", () => process.exit(code)))
    }
  })
)
