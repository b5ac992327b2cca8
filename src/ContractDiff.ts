/**
 * Changes of contracts, and what they break: old clients in the field meet a new server.
 *
 * Take a snapshot of the contracts with each release, and compare the next one with it. The command
 * `effect-socket.io contracts check` does so in a build.
 *
 * @since 0.1.0
 */
import { type Change, type Level, type RuleId, rules } from "./ContractChange.ts"
import type { ContractSnapshot } from "./ContractSnapshot.ts"
import { names, NamespaceChanges, own } from "./internal/namespaceChanges.ts"

export { type Change, type Level, type RuleId, rules } from "./ContractChange.ts"

export { type ContractSnapshot, fingerprint, parse, snapshot, stringify, uncompared } from "./ContractSnapshot.ts"

/**
 * Returns the changes between two snapshots, the gravest first.
 *
 * **Details**
 *
 * The events of clients, and the auth payload, must fit the new contract. The events of the server
 * must fit the old one, acknowledgements and failures included: clients have that one. So the same
 * change of a schema may be safe in one direction and breaking in the other one.
 *
 * | change | clients send | the server sends |
 * |---|---|---|
 * | namespace removed | breaking | breaking |
 * | event removed | breaking | safe; breaking if it is acknowledged |
 * | event added | safe | safe |
 * | required field added | breaking | safe |
 * | optional field added | safe | safe |
 * | field removed | safe | breaking if it was required |
 * | optional to required | breaking | safe |
 * | required to optional | safe | breaking |
 * | union or enumeration grows | safe | breaking |
 * | union or enumeration shrinks | breaking | safe |
 * | bound tightened | breaking | safe |
 * | bound loosened | safe | breaking |
 * | type or number of arguments changed | breaking | breaking |
 * | acknowledgement added | safe | breaking |
 * | acknowledgement removed | breaking | safe |
 * | failures added | risky: programs may tell all of them apart | safe |
 * | failures removed | safe | breaking |
 * | rate limit tightened, concurrency lowered | risky | |
 * | anything that is not understood | risky | risky |
 *
 * @since 0.1.0
 * @category comparing
 */
export const compare = (before: ContractSnapshot, after: ContractSnapshot): ReadonlyArray<Change> => {
  const changes: Array<Change> = []
  for (const name of names(before.namespaces, after.namespaces)) {
    const [one, two] = [own(before.namespaces, name), own(after.namespaces, name)]
    const add = (rule: RuleId, level: Level, breaks: Change["breaks"]) =>
      changes.push({ rule, level, where: name, path: "", message: rules[rule], breaks })
    if (two === undefined) add("namespace-removed", "breaking", "old clients")
    else if (one === undefined) add("namespace-added", "safe", "new clients on old servers")
    else changes.push(...new NamespaceChanges(name, one, two).all())
  }
  const weight = { breaking: 0, risky: 1, safe: 2 }
  return changes.toSorted((one, two) => weight[one.level] - weight[two.level])
}
