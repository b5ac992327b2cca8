/**
 * Makes one script for browsers from a module and its imports, in memory.
 */
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { build } from "esbuild"

export const bundle = (module: string): Effect.Effect<Uint8Array> =>
  Effect.promise(async () => {
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL(module, import.meta.url))],
      bundle: true,
      minify: true,
      format: "esm",
      platform: "browser",
      target: "es2022",
      write: false,
      logLevel: "silent"
    })
    return outputFiles[0]!.contents
  })
