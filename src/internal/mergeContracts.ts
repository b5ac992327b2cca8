import * as Context from "effect/Context"

import { type ContractFields, defaults, eachDirection, makeContract, union } from "./makeContract.ts"

/** A contract, of which the fields can be had. */
interface Contract {
  readonly compiled: <A>(compile: (fields: ContractFields) => A) => A
}

const fieldsOf = (fields: ContractFields): ContractFields => fields

/** Merges two contracts; `auth` and the like are those of the first. */
export const mergeContracts = (one: Contract, other: Contract): any => {
  const fields = one.compiled(fieldsOf)
  return makeContract({ ...fields, ...merged(fields, other.compiled(fieldsOf)) })
}

/** The fields of two contracts that are merged. */
const merged = (fields: ContractFields, other: ContractFields): Partial<ContractFields> => {
  const check = (name: string, differs: boolean) => {
    if (differs) throw new Error(`merge: "${fields._tag}" and "${other._tag}" differ in "${name}"`)
  }
  for (const option of ["auth", "concurrency"] as const) {
    check(option, other[option] !== defaults[option] && other[option] !== fields[option])
  }
  return {
    ...eachDirection((direction) => union(fields[direction], other[direction], check)),
    data: Object.fromEntries(union(Object.entries(fields.data), Object.entries(other.data), check)),
    middlewares: Array.from(new Set([...fields.middlewares, ...other.middlewares])),
    annotations: Context.merge(fields.annotations, other.annotations)
  }
}
