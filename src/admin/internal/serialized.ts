import { hashText } from "../../internal/hashText.ts"
import type { ServerSocketBase } from "../../server/ServerSocket.ts"
import { cut, cutName, cutText } from "./cut.ts"

/** The rooms of one socket that are shown. */
const MAX_ROOMS = 100
const MAX_ROOM_CHARACTERS = 4_000

/** Headers with which somebody could take the place of a user. */
const SECRETS: ReadonlySet<string> = new Set(["authorization", "cookie", "proxy-authorization"])

/** A socket, as the page shows it. */
export interface ShownSocket extends ServerSocketBase {
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * Names a connection. The page groups sockets by it. The id itself, or a part of it, would help to
 * take the connection over.
 */
export const clientIdOf = ({ connection }: ServerSocketBase): string => hashText(connection.id)

/** The rooms that are shown, and the socket's own in any case. */
const roomsOf = ({ id, rooms }: ServerSocketBase): ReadonlyArray<string> => {
  const shown = [id]
  let characters = MAX_ROOM_CHARACTERS
  for (const room of rooms) {
    if (shown.length >= MAX_ROOMS || characters <= 0) break
    if (room === id) continue
    const name = cutName(room)
    characters -= name.length
    shown.push(name)
  }
  return shown
}

const handshakeOf = ({ handshake }: ServerSocketBase) => {
  const { address, headers, issued, query, secure, time, url, xdomain } = handshake
  const shown: Record<string, string> = {}
  for (const name of Object.keys(headers)) shown[name] = SECRETS.has(name) ? "(hidden)" : headers[name]!
  return {
    address,
    issued,
    secure,
    time,
    xdomain,
    url: cutText(url),
    headers: cut(shown),
    query: cut(Object.fromEntries(query))
  }
}

/** A socket in the form of the page's protocol. */
export const serialize = (socket: ShownSocket) => ({
  id: socket.id,
  clientId: clientIdOf(socket),
  transport: socket.transport,
  nsp: socket.namespace,
  data: cut(socket.data),
  handshake: handshakeOf(socket),
  rooms: roomsOf(socket)
})
