import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"

/** A list of wire values as text: JSON, with the bytes beside it, by their paths. */

type Path = ReadonlyArray<string | number>

/**
 * Writes wire values as text: JSON and bytes of any kind. Throws on a value that is neither, such
 * as a `Blob` or a cycle. Only values that `mayHaveBinary` are searched for bytes.
 */
export const writeValues = (values: ReadonlyArray<unknown>, mayHaveBinary: boolean): string => {
  const bytes: Array<readonly [path: Path, base64: string]> = []
  const plain = mayHaveBinary ? takeBytes(values, [], bytes) : values
  return JSON.stringify(bytes.length === 0 ? [plain] : [plain, bytes])
}

/** Reads them. Returns `undefined` if the text is damaged. */
export const readValues = (text: string): ReadonlyArray<unknown> | undefined => {
  try {
    const [values, bytes = []] = JSON.parse(text) as [unknown, ReadonlyArray<readonly [Path, string]>?]
    if (!Array.isArray(values)) return undefined
    for (const [path, base64] of bytes) {
      let target: any = values
      for (const [at, step] of path.entries()) {
        if (!Object.hasOwn(target, step)) return undefined
        if (at === path.length - 1) target[step] = Result.getOrThrow(Base64.decode(base64))
        else target = target[step]
      }
    }
    return values
  } catch {
    return undefined
  }
}

const takeBytes = (value: unknown, path: Path, bytes: Array<readonly [Path, string]>): unknown => {
  if (typeof value !== "object" || value === null) return value
  const found = bytesOf(value)
  if (found !== undefined) {
    bytes.push([path, Base64.encode(found)])
    return null
  }
  if (typeof Blob === "function" && value instanceof Blob) throw new Error("a Blob cannot be kept: read its bytes")
  if (Array.isArray(value)) return value.map((element, i) => takeBytes(element, [...path, i], bytes))
  if (typeof (value as { readonly toJSON?: unknown }).toJSON === "function") return value
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, takeBytes(member, [...path, key], bytes)])
  )
}

const bytesOf = (value: object): Uint8Array | undefined =>
  ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : value instanceof ArrayBuffer
      ? new Uint8Array(value)
      : undefined
