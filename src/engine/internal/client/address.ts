import type { TransportName } from "../../Transport.ts"

/** The parts of an address that are the same for all requests of a session. */
interface AddressOptions {
  readonly origin: string
  readonly path: string
  readonly query: Readonly<Record<string, string | undefined>>
  readonly forceBase64?: boolean
}

/** Escapes a part of an address. Half a character, which has no form there, is replaced. */
const escape = (text: string): string => encodeURIComponent(text.replace(/[\ud800-\udfff]/gu, "\ufffd"))

/** The address of a transport, for a session that is open or to be opened. */
export const addressOf = (options: AddressOptions, transport: TransportName, sid: string | undefined): string => {
  // Without `URLSearchParams`, as React Native has only a part of it.
  const params = { ...options.query, EIO: "4", transport, b64: options.forceBase64 ? "1" : undefined, sid }
  let address = `${options.origin}${options.path}?`
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) address += `${escape(name)}=${escape(value)}&`
  }
  return address.slice(0, -1)
}
