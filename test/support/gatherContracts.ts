/**
 * Writes AsyncAPI documents of all contracts that modules declare when they are loaded, as JSON: a process of its own, in which tests are
 * declared and not run, and examples do not start. The names of contracts are made different.
 *
 *     node test/support/gatherContracts.ts OUTPUT FILE…
 */
import { readFileSync, writeFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { pathToFileURL } from "node:url"

import { root } from "./sources.ts"

const { contracts } = ((globalThis as any).gathered = { contracts: [] as Array<any> })

/** `describe` declares what is within it; what would run does not. */
const runner = `
const silent = () => silent
const skipped = new Proxy(silent, { get: () => skipped })
export const describe = new Proxy((name, ...rest) => {
  const declare = rest.find((value) => typeof value === "function")
  return declare?.()
}, { get: (self, key) => key === "each" ? () => silent : self })
export { skipped as it, skipped as test, skipped as vi, skipped as expect, skipped as assert }
export { silent as beforeAll, silent as beforeEach, silent as afterAll, silent as afterEach }
`

const runtime = (specifier: string, at: string) =>
  specifier.endsWith("NodeRuntime")
    ? "export const runMain = () => {}"
    : `export * from ${JSON.stringify(at)}\nexport const NodeRuntime = { runMain: () => {} }`

const textOf = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`

registerHooks({
  resolve: (specifier, context, next) => {
    if (/^(@effect\/)?vitest$/.test(specifier)) return { url: textOf(runner), shortCircuit: true }
    const resolved = next(specifier, context)
    if (/^@effect\/platform-node(\/NodeRuntime)?$/.test(specifier) && !context.parentURL?.startsWith("data:")) {
      return { url: textOf(runtime(specifier, resolved.url)), shortCircuit: true }
    }
    return resolved
  },
  load: (url, context, next) => {
    if (url !== `${pathToFileURL(root)}src/internal/makeContract.ts`) return next(url, context)
    const source = readFileSync(new URL(url), "utf8")
    const recorded = source.replace(
      "export const makeContract = (fields: ContractFields): any => {",
      `$&
  const contract = makeUnrecorded(fields)
  ;(globalThis as any).gathered.contracts.push(contract)
  return contract
}

const makeUnrecorded = (fields: ContractFields): any => {`
    )
    if (recorded === source) throw new Error("contracts are made elsewhere now")
    return { source: recorded, format: "module-typescript", shortCircuit: true }
  }
})

const AsyncApi = await import("../../src/AsyncApi.ts")
const [, , output, ...files] = process.argv
const names = new Set<string>()
const gathered: Array<{ readonly file: string; readonly contract: any }> = []
for (const file of files) {
  contracts.length = 0
  await import(root + file)
  for (const contract of contracts) {
    let name = contract._tag
    for (let i = 2; names.has(name); i++) name = `${contract._tag}-${i}`
    names.add(name)
    gathered.push({ file, contract: Object.create(contract, { _tag: { value: name } }) })
  }
}
const documentOf = (specification: "3.0.0" | "3.1.0", isPart: (i: number) => boolean) =>
  AsyncApi.fromNamespaces(
    gathered.flatMap(({ contract }, i) => (isPart(i) ? [contract] : [])),
    { title: "Test", version: "1.0.0", servers: { here: { url: "http://localhost:3000" } }, specification }
  )
const documents = [documentOf("3.1.0", (i) => i % 3 > 0), documentOf("3.0.0", (i) => i % 3 === 0)]
writeFileSync(output!, JSON.stringify({ files: gathered.map(({ file }) => file), documents }))
process.exit(0)
