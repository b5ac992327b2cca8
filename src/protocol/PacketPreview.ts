/**
 * Recognises a packet of Socket.IO protocol 5 by its beginning alone.
 *
 * Parsing a megabyte of small objects takes up to a tenth of a second, and nothing else is served
 * meanwhile. A server that refuses the packet anyway, by its size or by its event's name, need not
 * parse it.
 *
 * @since 0.1.0
 */
import { ownText } from "./internal/ownText.ts"
import { CONNECT, EVENT } from "./PacketType.ts"
import { isReservedEvent, type SocketPacket } from "./SocketPacket.ts"

/** A CONNECT with an object, or an EVENT without attachments whose name is short and plain. */
const BEGINNING = /(?:0(\/[^,]*,)?\{|2(\/[^,]*,)?(\d{0,15})\["([^"\\]{0,200})"[,\]])/y

/**
 * Reads the beginning of a text message, without its payload: a CONNECT without data, or an EVENT
 * with its name and no arguments. The rest is not read and may be anything, JSON or not. Returns
 * `undefined` for everything else, and for names that are reserved, long or escaped: such a message
 * has to be decoded.
 *
 * @since 0.1.0
 * @category decoding
 */
export const preview = (message: string, offset: number): SocketPacket | undefined => {
  BEGINNING.lastIndex = offset
  const match = BEGINNING.exec(message)
  if (match === null) return undefined
  const [, home, namespace, id, event] = match
  if (event === undefined) return { type: CONNECT, namespace: withoutComma(home), id: undefined, data: undefined }
  if (isReservedEvent(event)) return undefined
  const data = [ownText(event)]
  return { type: EVENT, namespace: withoutComma(namespace), id: id === "" ? undefined : Number(id), data }
}

const withoutComma = (namespace: string | undefined): string =>
  namespace === undefined ? "/" : ownText(namespace.slice(0, -1))
