/**
 * Longer names match no pattern: a client must not cause work on the server with the name that it
 * asks for.
 */
const MAX_NAME = 256

/** A namespace's pattern, such as `/room/:id`, ready to match and to make names. */
export interface NamespacePattern {
  readonly parameters: ReadonlyArray<string>
  /** Returns the raw parameters of a name; `undefined` if it does not match. */
  readonly match: (name: string) => Readonly<Record<string, string>> | undefined
  /** Returns the name with these parameters. Throws if that would not match. */
  readonly format: (parameters: Readonly<Record<string, string>>) => string
}

const PARAMETER = /:([A-Za-z_][A-Za-z0-9_]*)/g

/**
 * Whether a name is short enough to be matched, or to be remembered when no namespace serves it.
 */
export const isMatchable = (name: string): boolean => name.length <= MAX_NAME

/**
 * Returns a copy that keeps nothing else in memory: a slice of a message keeps the whole message.
 */
export const ownCopy = (name: string): string => (" " + name).slice(1)

/**
 * Returns a number that stands for a name where a collision does no harm: a number takes less
 * memory.
 */
export const hashOf = (name: string): number => {
  let hash = 0
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0
  // V8 stores numbers of this size without an object.
  return hash >> 1
}

const VALUE = /^[^/,]+$/

/**
 * Compiles a pattern. Throws if it holds a parameter twice.
 *
 * A parameter ends at the first place where the text after it begins, and holds no "/" and no
 * comma. The first place is enough: if a later place leads to a match, so does the first one,
 * because the next parameter takes the text between. A text that holds "/" or a comma can begin in
 * one place only. Hence no place is tried twice, and matching takes time in proportion to the name,
 * which a client has chosen. An equivalent regular expression takes a power of that time.
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

/** Returns the pattern of a regular expression: it has no parameters, and makes no names. */
export const matchPattern = (expression: RegExp): NamespacePattern => ({
  parameters: [],
  match: (name) => (isMatchable(name) && expression.test(name) ? {} : undefined),
  format: () => {
    throw new Error(`no name can be made of ${String(expression)}`)
  }
})
