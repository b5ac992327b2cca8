import type * as Namespace from "../Namespace.ts"

/** Throws if two contracts have the same name. */
export const requireUniqueNames = (namespaces: ReadonlyArray<Namespace.Any>): void => {
  const names = new Set<string>()
  for (const { _tag } of namespaces) {
    if (names.has(_tag)) throw new Error(`two contracts have the same name: ${_tag}`)
    names.add(_tag)
  }
}
