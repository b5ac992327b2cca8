/** Longer names match no pattern: a client must not make the server work by asking for a name. */
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

/**
 * Whether a name is short enough to be matched at all, or to be remembered when nobody serves it.
 */
export const isMatchable = (name: string): boolean => name.length <= MAX_NAME

/** A copy that keeps nothing else in memory: a slice of a message keeps the whole message. */
export const ownCopy = (name: string): string => (" " + name).slice(1)

/** A number in the place of a name, where mistaking one for another does no harm: it is smaller. */
export const hashOf = (name: string): number => {
  let hash = 0
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0
  // Numbers of this size need no object of their own.
  return hash >> 1
}

const VALUE = /^[^/,]+$/

/**
 * Compiles a pattern. Throws if a parameter stands in it twice.
 *
 * A parameter ends where the text after it begins for the first time, and has no "/" and no comma
 * in it. The first time is enough: where a later one leads to a match, so does the first, as the
 * next parameter takes what is between. A text with "/" or a comma in it can begin in one place
 * only. Hence nothing is tried twice, and matching takes time in proportion to the name, which a
 * client has chosen: a regular expression of the same meaning takes its power.
 */
export const compilePattern = (pattern: string): NamespacePattern => {
  const parameters: Array<string> = []
  /** The texts around the parameters. */
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
  texts.push(last)
  const match = (name: string): Readonly<Record<string, string>> | undefined => {
    if (!isMatchable(name) || !name.startsWith(texts[0]!) || !name.endsWith(last)) return undefined
    let start = texts[0]!.length
    const values: Array<[string, string]> = []
    for (const parameter of parameters) {
      const next = texts[values.length + 1]!
      const end = texts.length - 2 > values.length ? name.indexOf(next, start + 1) : name.length - last.length
      const value = end < start ? "" : name.slice(start, end)
      if (!VALUE.test(value)) return undefined
      values.push([parameter, value])
      start = end + next.length
    }
    return start === name.length ? Object.fromEntries(values) : undefined
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

/** The pattern of a regular expression: it has no parameters, and makes no names. */
export const matchPattern = (expression: RegExp): NamespacePattern => ({
  parameters: [],
  match: (name) => (isMatchable(name) && expression.test(name) ? {} : undefined),
  format: () => {
    throw new Error(`no name can be made of ${String(expression)}`)
  }
})
