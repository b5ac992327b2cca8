/** Names that are longer match no pattern: what a client asks for shall not be work. */
const MAX_NAME = 256

/** A namespace's pattern, as `/room/:id`, ready to match names and to make them. */
export interface NamespacePattern {
  readonly parameters: ReadonlyArray<string>
  /** The raw parameters of a name; `undefined` if it does not match. */
  readonly match: (name: string) => Readonly<Record<string, string>> | undefined
  /** The name that has these parameters. Throws if it would not match. */
  readonly format: (parameters: Readonly<Record<string, string>>) => string
}

const PARAMETER = /:([A-Za-z_][A-Za-z0-9_]*)/g

const escape = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")

/** Whether a name is short enough to be matched at all, or to be remembered when nobody serves it. */
export const isMatchable = (name: string): boolean => name.length <= MAX_NAME

/** The same name with nothing behind it: a slice of a message keeps the whole message in memory. */
export const ownCopy = (name: string): string => (" " + name).slice(1)

/** Compiles a pattern. Throws if a parameter stands in it twice. */
export const compilePattern = (pattern: string): NamespacePattern => {
  const parameters: Array<string> = []
  let source = ""
  let at = 0
  for (const match of pattern.matchAll(PARAMETER)) {
    const name = match[1]!
    if (parameters.includes(name)) throw new Error(`the pattern "${pattern}" has the parameter "${name}" twice`)
    parameters.push(name)
    source += `${escape(pattern.slice(at, match.index))}([^/,]+?)`
    at = match.index + match[0].length
  }
  const regexp = new RegExp(`^${source}${escape(pattern.slice(at))}$`)
  const match = (name: string): Readonly<Record<string, string>> | undefined => {
    const found = isMatchable(name) ? regexp.exec(name) : null
    if (found === null) return undefined
    return Object.fromEntries(parameters.map((parameter, i) => [parameter, found[i + 1]!]))
  }
  return {
    parameters,
    match,
    format: (values) => {
      const name = pattern.replaceAll(PARAMETER, (_, parameter: string) => String(values[parameter]))
      const back = match(name)
      if (back === undefined || parameters.some((parameter) => back[parameter] !== values[parameter])) {
        throw new Error(`"${name}" is not a name of the pattern "${pattern}"`)
      }
      return name
    }
  }
}
