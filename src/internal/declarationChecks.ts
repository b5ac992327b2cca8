/** Throws on a number of handlers that is not a positive integer. */
export const checkConcurrency = (owner: string, concurrency: number | undefined): void => {
  if (concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 1)) {
    throw new Error(`concurrency of ${owner} must be a positive integer, not ${String(concurrency)}`)
  }
}

/** Throws if two contracts have the same name. */
export const requireUniqueNames = (namespaces: ReadonlyArray<{ readonly _tag: string }>): void => {
  const names = new Set<string>()
  for (const { _tag } of namespaces) {
    if (names.has(_tag)) throw new Error(`two contracts have the same name: ${_tag}`)
    names.add(_tag)
  }
}
