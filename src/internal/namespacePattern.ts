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

/** Whether a name is short enough to be matched at all, or to be remembered when nobody serves it. */
export const isMatchable = (name: string): boolean => name.length <= MAX_NAME

/** The same name with nothing behind it: a slice of a message keeps the whole message in memory. */
export const ownCopy = (name: string): string => (" " + name).slice(1)

/** A number that stands for a name where a mistake does no harm: it takes less memory. */
export const hashOf = (name: string): number => {
  let hash = 0
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0
  // Such numbers need no object of their own.
  return hash >> 1
}

const SLASH = 47
const COMMA = 44

/** Whether a part of a name can be a parameter's value. */
const isValue = (name: string, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) {
    const code = name.charCodeAt(i)
    if (code === SLASH || code === COMMA) return false
  }
  return true
}

/**
 * Compiles a pattern. Throws if a parameter stands in it twice.
 *
 * A parameter ends where the text after it begins for the first time, and has no "/" and no comma in it. The first time is
 * enough: where a later one leads to a match, so does the first, as the next parameter takes what is between. A text with
 * "/" or a comma in it can begin in one place only. Hence nothing is tried twice, and matching takes time in proportion to
 * the name, which a client has chosen: a regular expression of the same meaning takes its power.
 */
export const compilePattern = (pattern: string): NamespacePattern => {
  const parameters: Array<string> = []
  /** The texts before the parameters. */
  const texts: Array<string> = []
  let at = 0
  for (const match of pattern.matchAll(PARAMETER)) {
    const name = match[1]!
    if (parameters.includes(name)) throw new Error(`the pattern "${pattern}" has the parameter "${name}" twice`)
    parameters.push(name)
    texts.push(pattern.slice(at, match.index))
    at = match.index + match[0].length
  }
  const last = pattern.slice(at)
  const match = (name: string): Readonly<Record<string, string>> | undefined => {
    if (!isMatchable(name)) return undefined
    if (parameters.length === 0) return name === pattern ? {} : undefined
    if (!name.startsWith(texts[0]!) || !name.endsWith(last)) return undefined
    const values: Array<[string, string]> = []
    let start = texts[0]!.length
    for (let i = 0; i < parameters.length; i++) {
      const next = texts[i + 1]
      const end = next === undefined ? name.length - last.length : name.indexOf(next, start + 1)
      if (end <= start || !isValue(name, start, end)) return undefined
      values.push([parameters[i]!, name.slice(start, end)])
      start = end + (next === undefined ? 0 : next.length)
    }
    return Object.fromEntries(values)
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
