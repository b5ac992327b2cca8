/** Which subsystems a `DEBUG` setting asks for, in the notation of the `debug` package of npm. */
export interface DebugNamespaces {
  readonly includes: (subsystem: string) => boolean
}

/**
 * Reads a setting: names apart by commas or spaces, `*` for anything, `-` before what is left out.
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
  patterns.some((it) => it.test(subsystem))
