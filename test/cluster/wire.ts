/**
 * JSON that keeps bytes, as the control protocol writes it: `{"$bytes": "<base64>"}`.
 */

/** A replacer is given what `toJSON` of a Buffer has made of it; the holder, `this`, has the value itself. */
export const stringify = (value: unknown): string =>
  JSON.stringify(value, function (this: Record<string, unknown>, key: string, json: unknown) {
    const own = this[key]
    return own instanceof Uint8Array ? { $bytes: Buffer.from(own).toString("base64") } : json
  })

export const parse = (text: string): any =>
  JSON.parse(text, (_, value) =>
    typeof value?.$bytes === "string" ? Buffer.from(value.$bytes as string, "base64") : value
  )

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
