/**
 * The official codecs of Engine.IO protocol 3: the server's, and the one of the Socket.IO 2 client in its builds for Node and
 * for browsers. None of them is exported by its package, hence the paths.
 */
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import * as vm from "node:vm"

const requireFrom = (path: string): NodeJS.Require => createRequire(path)
const require = requireFrom(import.meta.url)
const engine = dirname(requireFrom(require.resolve("socket.io")).resolve("engine.io"))
const clientPath = requireFrom(require.resolve("socket.io-client-v2")).resolve("engine.io-client")
const client = requireFrom(clientPath)

export interface Packet {
  readonly type: string
  readonly data: string | Uint8Array
}

/** The result of a decoder: the packets before the first error, and whether there was one. */
export interface Decoded {
  readonly packets: ReadonlyArray<Packet>
  readonly failed: boolean
}

export interface Codec {
  readonly name: string
  readonly encodeText: (packets: ReadonlyArray<Packet>) => string
  readonly encodeBytes: (packets: ReadonlyArray<Packet>) => Uint8Array
  readonly decode: (payload: string | Uint8Array) => Decoded
}

type OfficialPacket = { readonly type?: string; readonly data?: string | Uint8Array | ArrayBuffer }
type Callback<A> = (result: A) => void
interface Official {
  encodePayload(packets: ReadonlyArray<OfficialPacket>, supportsBinary: boolean, callback: Callback<string>): void
  encodePayloadAsBinary(packets: ReadonlyArray<OfficialPacket>, callback: Callback<Uint8Array>): void
  encodePayloadAsArrayBuffer(packets: ReadonlyArray<OfficialPacket>, callback: Callback<ArrayBuffer>): void
  encodePayloadAsBlob(packets: ReadonlyArray<OfficialPacket>, callback: Callback<Blob>): void
  decodePayload(
    payload: string | Uint8Array | ArrayBuffer,
    binaryType: string,
    callback: Callback<OfficialPacket>
  ): void
}

const plain = (bytes: Uint8Array | ArrayBuffer): Uint8Array => new Uint8Array(bytes)

const codec = (name: string, official: Official, isBrowser: boolean): Codec => ({
  name,
  encodeText: (packets) => {
    let result = ""
    official.encodePayload(packets, false, (payload) => (result = payload))
    return result
  },
  encodeBytes: (packets) => {
    let result: Uint8Array | ArrayBuffer = new Uint8Array()
    if (isBrowser) official.encodePayloadAsArrayBuffer(packets, (payload) => (result = payload))
    else official.encodePayloadAsBinary(packets, (payload) => (result = payload))
    return plain(result)
  },
  decode: (payload) => {
    const packets: Array<Packet> = []
    let failed = false
    const input = typeof payload === "string" ? payload : isBrowser ? plain(payload).buffer : Buffer.from(payload)
    official.decodePayload(
      input as string | ArrayBuffer,
      isBrowser ? "arraybuffer" : "nodebuffer",
      ({ data = "", type }) => {
        // It goes on behind an error in a payload of bytes.
        failed ||= type === undefined || type === "error"
        if (!failed) packets.push({ type: type!, data: typeof data === "string" ? data : plain(data) })
      }
    )
    return { packets, failed }
  }
})

const browser = client("engine.io-parser/lib/browser.js") as Official

export const codecs: ReadonlyArray<Codec> = [
  codec("the server's codec", require(join(engine, "parser-v3/index.js")) as Official, false),
  codec("the client's codec for Node", client("engine.io-parser") as Official, false),
  codec("the client's codec for browsers", browser, true)
]

/** The POST of a browser with something binary among its packets. */
export const encodeAsBlob = async (packets: ReadonlyArray<Packet>): Promise<Uint8Array> =>
  plain(await (await new Promise<Blob>((resolve) => browser.encodePayloadAsBlob(packets, resolve))).arrayBuffer())

/** The body that the official JSONP client has a browser post. Its form is made by hand, as there is no document here. */
export const postAsJsonp = (payload: string): string => {
  const { prototype } = client(join(dirname(clientPath), "transports/polling-jsonp.js")) as {
    readonly prototype: { doWrite(this: unknown, data: string, callback: () => void): void }
  }
  const area = { value: "" }
  const form = { appendChild() {}, removeChild() {}, submit() {} }
  const { document } = globalThis
  Object.assign(globalThis, { document: { createElement: () => ({}) } })
  try {
    prototype.doWrite.call({ area, form, uri: () => "" }, payload, () => {})
  } finally {
    Object.assign(globalThis, { document })
  }
  return new URLSearchParams({ d: area.value }).toString()
}

interface ServerJsonp {
  parser: unknown
  req: unknown
  res: unknown
  onData(body: string): void
  doWrite(payload: string, options: object, callback: () => void): void
}

const serverJsonp = (index: string): ServerJsonp => {
  const { JSONP } = require(join(engine, "transports/polling-jsonp.js")) as {
    readonly JSONP: new (request: unknown) => ServerJsonp
  }
  return new JSONP({ _query: { EIO: "3", j: index } })
}

/** The payload that the official server finds in what a JSONP client posted. */
export const readJsonpForm = (body: string): string | undefined => {
  const transport = serverJsonp("0")
  let result: string | undefined
  transport.parser = { decodePayload: (payload: string) => (result = payload) }
  transport.onData(body)
  return result
}

/** The body with which the official server answers a JSONP client. */
export const jsonpAnswer = (index: string, payload: string): string => {
  const transport = serverJsonp(index)
  let result = ""
  transport.req = { headers: {} }
  transport.res = { writeHead() {}, end: (body: string) => (result = body) }
  transport.doWrite(payload, {}, () => {})
  return result
}

/** Runs the answer to a JSONP request as a browser would, and tells what the callback of that index was called with. */
export const runJsonp = (index: number, body: string): unknown => {
  let result: unknown
  const ___eio = { [index]: (payload: unknown) => (result = payload) }
  vm.runInNewContext(body, { ___eio })
  return result
}
