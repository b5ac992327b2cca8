import type { CompiledContract, Declaration } from "../../internal/compileContract.ts"
import { hashText } from "../../internal/hashText.ts"
import { lengthsOf, type TracePlaces } from "../../internal/tracePlaces.ts"
import { canonical, formOfNamespace } from "../../internal/namespaceForm.ts"

/** Making a fingerprint takes some milliseconds, so each is made once, when a client asks. */
const fingerprints = new WeakMap<Declaration, { readonly contract?: string }>()

const fingerprintOf = ({ contract }: CompiledContract): { readonly contract?: string } => {
  let known = fingerprints.get(contract)
  if (known === undefined) {
    try {
      known = { contract: hashText(JSON.stringify(canonical(formOfNamespace(contract)))) }
    } catch {
      // A schema without a form on the wire has no fingerprint, and works all the same.
      known = {}
    }
    fingerprints.set(contract, known)
  }
  return known
}

/** The places of trace contexts, of contracts that clients have asked for. */
const places = new WeakMap<CompiledContract, TracePlaces>()

const placesOf = (contract: CompiledContract): TracePlaces => {
  let known = places.get(contract)
  if (known === undefined) {
    known = { in: lengthsOf(contract.incoming), out: lengthsOf(contract.outgoing) }
    places.set(contract, known)
  }
  return known
}

/**
 * Returns the part of the answer to CONNECT that only clients of this library get: the fingerprint
 * of the contract, the places of trace contexts, for clients that ask for them, and `more`.
 */
export const greeting = (
  { isOurs, isTraced }: { readonly isOurs: boolean; readonly isTraced: boolean },
  contract: CompiledContract | undefined,
  more: object = {}
): { readonly fx?: object } => {
  if (!isOurs) return {}
  // Without a contract nobody knows where a trace context would be.
  const typed = contract === undefined || contract.untyped ? undefined : contract
  const own = typed && { ...fingerprintOf(typed), ...(isTraced && { trace: placesOf(typed) }) }
  const fx = { ...own, ...more }
  return Object.keys(fx).length === 0 ? {} : { fx }
}
