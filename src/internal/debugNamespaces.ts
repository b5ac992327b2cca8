/** The subsystems that a `DEBUG` setting selects, in the notation of npm's `debug` package. */
export interface DebugNamespaces {
  readonly includes: (subsystem: string) => boolean
}

/**
 * Reads a setting: names separated by commas or spaces, `*` for anything, `-` before excluded
 * names.
 */
export const parseDebug = (setting: string): DebugNamespaces => {
  const included: Array<RegExp> = []
  const excluded: Array<RegExp> = []
  for (const name of setting.split(/[\s,]+/)) {
    if (name === "") continue
    const pattern = name.startsWith("-") ? name.slice(1) : name
    const source = pattern.replaceAll(/[\\^$.+?()[\]{}|]/g, "\\$&").replaceAll(/\*+/g, ".*")
    ;(name.startsWith("-") ? excluded : included).push(new RegExp(`^${source}$`))
  }
  return { includes: (subsystem) => matches(included, subsystem) && !matches(excluded, subsystem) }
}

const matches = (patterns: ReadonlyArray<RegExp>, subsystem: string): boolean =>
  patterns.some((pattern) => pattern.test(subsystem))
