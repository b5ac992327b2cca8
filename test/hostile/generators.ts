/**
 * Inputs that are wrong in every way that one can think of, and in some that one cannot: the same ones for the same seed.
 */
import { Seeded } from "../../src/testing/internal/seeded.ts"

/** Names that objects inherit, that the protocol reserves, and that parsers stumble over. */
const NAMES = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "length",
  "_placeholder",
  "num",
  "connect",
  "disconnect",
  "connect_error",
  "newListener",
  "error",
  "",
  "0",
  "-1"
]

const NUMBERS = [
  "0",
  "-0",
  "1e400",
  "-1e400",
  "1e-400",
  "9007199254740993",
  "0.1",
  "01",
  "+1",
  "0x10",
  "1_000",
  "NaN",
  "-",
  "1e"
]

const ODD_TEXT = [
  "\u0000",
  "\u001e",
  "\u0002",
  "\ud800",
  "\udfff",
  "\u2028",
  "\ufeff",
  "\\",
  '"',
  "/",
  ",",
  "-",
  "[",
  "{",
  "😀",
  "é"
]

const VERSIONS = ["4", "3", "2", "04", "4.0", "", "-4", "٤", "4\u0000"]

export class Generator extends Seeded {
  constructor(seed: number) {
    super(seed, 9)
  }

  chance(probability: number): boolean {
    return this.double() < probability
  }

  pick<A>(values: ReadonlyArray<A>): A {
    return values[this.below(values.length)]!
  }

  times<A>(max: number, make: () => A): Array<A> {
    return Array.from({ length: this.below(max + 1) }, make)
  }

  digits(max: number): string {
    return this.times(max, () => String(this.below(10))).join("")
  }

  /** Any text: of letters, of odd characters, long now and then. */
  text(): string {
    if (this.chance(0.02)) return this.pick(["x", "9", "[", "\u001e", "{"]).repeat(this.below(20_000))
    return this.times(12, () =>
      this.chance(0.3) ? this.pick(ODD_TEXT) : String.fromCharCode(32 + this.below(95))
    ).join("")
  }

  bytes(): Buffer {
    const length = this.chance(0.02) ? this.below(30_000) : this.below(40)
    const bytes = Buffer.alloc(length)
    this.fill(bytes)
    return bytes
  }

  /** The text of a JSON value, or of something that is none. */
  json(depth = 4): string {
    const kind = this.below(depth > 0 ? 12 : 8)
    switch (kind) {
      case 0:
        return this.pick(["null", "true", "false", "undefined", "nul", "Infinity"])
      case 1:
        return this.pick(NUMBERS)
      case 2:
        return String(this.below(100))
      case 3:
        return JSON.stringify(this.text())
      case 4:
        return JSON.stringify(this.pick(NAMES))
      case 5:
        return `{"_placeholder":true,"num":${this.pick(["0", "1", "-1", "1e9", '"0"', "null", "{}", "0.5"])}}`
      case 6:
        return this.chance(0.2) ? "[".repeat(this.below(300)) : '"'
      case 7:
        return this.chance(0.2) ? '{"a":'.repeat(this.below(300)) : "{}"
      case 8:
      case 9:
        return `[${this.times(4, () => this.json(depth - 1)).join(this.chance(0.95) ? "," : "")}]`
      default:
        return `{${this.times(4, () => `${JSON.stringify(this.pick(NAMES))}:${this.json(depth - 1)}`).join(",")}}`
    }
  }

  namespace(): string {
    if (this.chance(0.7)) return this.pick(["", "/typed,"])
    return this.pick(["/,", "/room/1,", `/room/${this.text()},`, "/none,", "/", `/${this.text()}`, `/${this.text()},`])
  }

  event(): string {
    const name = this.pick(["echo", "typed", "bytes", "many", "none", this.text(), this.pick(NAMES)])
    return `[${[JSON.stringify(name), ...this.times(3, () => this.json())].join(",")}]`
  }

  /** A packet of Socket.IO, more or less. */
  packet(): string {
    const type = this.chance(0.5)
      ? "2"
      : this.chance(0.9)
        ? String(this.below(7))
        : this.pick(["7", "9", "", "x", "٣", "-1"])
    const count =
      type === "5" || type === "6" || this.chance(0.05)
        ? `${this.pick(["0", "1", "2", "10", "11", "", this.digits(30)])}-`
        : ""
    const id = this.chance(0.4) ? this.digits(this.chance(0.1) ? 400 : 3) : ""
    const data = this.chance(0.5)
      ? JSON.stringify([this.pick(["echo", "typed", "none"]), this.value(2)])
      : this.chance(0.5)
        ? this.event()
        : this.chance(0.8)
          ? this.json()
          : this.text()
    return type + count + this.namespace() + id + data
  }

  /** A CONNECT packet. */
  connect(): string {
    return `0${this.namespace()}${this.chance(0.8) ? this.json() : this.text()}`
  }

  /** An EVENT that is well formed, for a namespace that there is, with arguments that are not what is expected. */
  payload(): string {
    const namespace = this.pick(["", "/typed,"])
    const id = this.chance(0.5) ? String(this.below(1_000)) : ""
    const value = this.value(3)
    const name = this.pick(["echo", "typed", "typed", "typed", "many", "none", "bytes", this.text(), this.pick(NAMES)])
    return `2${namespace}${id}${JSON.stringify([name, value, ...this.times(2, () => this.value(2))])}`
  }

  /** A value of JSON. */
  value(depth: number): unknown {
    switch (this.below(depth > 0 ? 9 : 6)) {
      case 0:
        return null
      case 1:
        return this.chance(0.5)
      case 2:
        return this.pick([0, -0, 1, -1, 1.5, 2 ** 53, -(2 ** 60), 1e308, 5e-324, this.below(1_000)])
      case 3:
        return this.text()
      case 4:
        return this.pick(NAMES)
      case 5:
        return {
          name: this.pick(["ok", 1, null]),
          count: this.pick([1, 1.5, "1", null]),
          tags: this.pick([[], ["a"], [1], "a"])
        }
      case 6:
        return this.times(4, () => this.value(depth - 1))
      default:
        return Object.fromEntries(
          this.times(4, () => [this.pick(["name", "count", "tags", "bytes", ...NAMES]), this.value(depth - 1)])
        )
    }
  }

  /** Something else, a few bits, characters or pieces away. */
  mutate(text: string): string {
    const at = this.below(text.length + 1)
    switch (this.below(7)) {
      case 0:
        return text.slice(0, at)
      case 1:
        return text.slice(at)
      case 2:
        return text.slice(0, at) + this.pick(ODD_TEXT) + text.slice(at)
      case 3:
        return text.slice(0, at) + text.slice(at + 1)
      case 4:
        return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << this.below(8))) + text.slice(at + 1)
      case 5:
        return text.slice(0, at) + text.slice(this.below(at + 1))
      default:
        return text.slice(0, at) + this.text() + text.slice(at)
    }
  }

  maybeMutated(text: string): string {
    let mutated = text
    while (this.chance(0.25)) mutated = this.mutate(mutated)
    return mutated
  }

  /** A packet of Engine.IO, more or less. */
  enginePacket(): string {
    switch (this.below(20)) {
      case 0:
        return this.text()
      case 1:
        return (
          this.pick(["0", "1", "2", "3", "5", "6", "7", "2probe", "3probe", "x"]) +
          (this.chance(0.3) ? this.text() : "")
        )
      case 2:
        return `b${this.chance(0.6) ? this.bytes().toString("base64") : this.text()}`
      default:
        return this.maybeMutated(`4${this.packet()}`)
    }
  }

  /** The body of a POST. */
  body(): string {
    const separator = this.chance(0.9) ? "\u001e" : this.pick(["", "\u001e\u001e", ",", "\n"])
    const body = [this.enginePacket(), ...(this.chance(0.2) ? this.times(5, () => this.enginePacket()) : [])].join(
      separator
    )
    return this.chance(0.1) ? this.mutate(body) : body
  }

  /** A query of the handshake or of a session, as name and value. */
  query(sid: string): Array<[name: string, value: string]> {
    const value = (good: string): string =>
      this.chance(0.3) ? this.pick([this.text(), this.pick(NAMES), good.toUpperCase(), `${good} `]) : good
    const query: Array<[string, string]> = []
    if (this.chance(0.9)) query.push(["EIO", this.chance(0.5) ? this.pick(VERSIONS) : "4"])
    if (this.chance(0.9))
      query.push(["transport", value(this.pick(["polling", "websocket", "webtransport", "flashsocket"]))])
    if (this.chance(0.6)) query.push(["sid", value(this.pick([sid, "none", "", sid.slice(1)]))])
    if (this.chance(0.2)) query.push(["j", value(this.digits(3))])
    if (this.chance(0.2)) query.push(["b64", value("1")])
    for (const name of this.times(3, () => this.pick([this.text(), this.pick(NAMES), "EIO", "sid"]))) {
      query.push([name, this.text()])
    }
    return query
  }

  // ---------------------------------------------------------------- what takes more than one message

  /** A size from 1 to 2 to the power of `bits`: each order of magnitude is as likely. */
  size(bits: number): number {
    return Math.max(1, Math.floor(2 ** (this.double() * bits)))
  }

  /** The text of an auth payload, of up to a megabyte. */
  auth(): string {
    const element = this.pick(["{}", "[]", "1", '"x"', '{"a":1}', "0.125"])
    const count = Math.floor(this.size(20) / (element.length + 1))
    switch (this.below(5)) {
      case 0:
        return JSON.stringify({ token: this.text() })
      case 1:
        return `{"token":"${this.pick(["x", "é", "\\u0041"]).repeat(this.size(17))}"}`
      case 2:
        return `{${Array.from({ length: Math.floor(count / 4) }, (_, i) => `"k${i}":${element}`).join(",")}}`
      default:
        return `{"token":"x","list":[${Array(count).fill(element).join(",")}]}`
    }
  }

  /** A binary event and its attachments, whose placeholders are repeated, missing, or stand for nothing. */
  binary(): ReadonlyArray<string | Buffer> {
    const count = 1 + this.below(12)
    const nums = Array.from({ length: count }, (_, num) => num)
    const num = (i: number): number | string => {
      if (this.chance(0.9)) return nums[i % count]!
      return this.pick<number | string>([this.below(count), count, -1, 0.5, '"0"', "null", 1e9])
    }
    const placeholders = Array.from(
      { length: this.chance(0.7) ? count : this.below(40) },
      (_, i) => `{"_placeholder":true,"num":${num(i)}}`
    )
    const [namespace, event] = this.pick([
      ["", "echo"],
      ["", "bytes"],
      ["/typed,", "bytes"]
    ])
    const id = this.chance(0.5) ? String(this.below(1_000)) : ""
    const list = placeholders.join(",")
    const args = this.chance(0.5) ? [`[${list}]`] : placeholders
    const head = `45${count}-${namespace}${id}[${[`"${event}"`, ...args].join(",")}]`
    const sent = this.chance(0.9) ? count : this.below(count + 2)
    return [head, ...Array.from({ length: sent }, () => this.bytes())]
  }

  /** Thousands of packets of every kind, as the body of a POST. */
  packets(): string {
    const kinds = this.times(5, () =>
      this.pick<() => string>([
        () => `42["echo",${this.below(10)}]`,
        () => `42${this.below(1_000)}["echo",${this.below(10)}]`,
        () => `42["none",1]`,
        () => `42/typed,1["typed",${this.below(10)}]`,
        () => `42/typed,["none"]`,
        () => `42["join","${this.below(2_000)}"]`,
        () => `42["leave","${this.below(2_000)}"]`,
        () => `43${this.below(100)}[1]`,
        () => `40/room/${this.below(100)},\u001e41/room/1,`,
        () => "40/pair/a-b-c,\u001e41/pair/a-b-c,",
        () => "3",
        () => "6",
        () => `40/none${this.below(10)},`
      ])
    )
    if (kinds.length === 0) return this.body()
    return Array.from({ length: this.size(13) }, () => this.pick(kinds)()).join("\u001e")
  }

  /** Frames of WebSocket in any order, of a client or of a server; most of them again and again. */
  frames(isMasked: boolean): Buffer {
    const kinds = this.times(8, () => {
      const payload = this.chance(0.6) ? Buffer.from(this.enginePacket()) : this.bytes()
      const opcode = this.chance(0.9) ? this.pick([0, 1, 1, 1, 2, 9, 9, 10]) : this.below(16)
      const length = this.chance(0.99) ? payload.length : this.size(17)
      const isLong = length > 125
      const head = Buffer.alloc(isLong ? 4 : 2)
      head[0] = (this.chance(0.8) ? 0x80 : 0) | opcode | (this.chance(0.01) ? 0x40 : 0)
      head[1] = (isMasked === this.chance(0.99) ? 0x80 : 0) | (isLong ? 126 : length)
      if (isLong) head.writeUInt16BE(length & 0xffff, 2)
      const mask = head[1]! >= 0x80 ? [Buffer.alloc(4)] : []
      return Array<Buffer>(this.size(9)).fill(Buffer.concat([head, ...mask, payload]))
    })
    return Buffer.concat(kinds.flat())
  }

  /** The name of a namespace that has several parameters, or nearly. */
  pair(): string {
    const part = () => this.pick(["-", "a", "a-", "--", "é", ":", "%2d"]).repeat(this.below(60))
    return `/pair/${part()}${this.pick(["-", "", "/"])}${part()}${this.pick(["-", ""])}${part()}${this.pick(["", "/"])}`
  }

  /** The name of a room. */
  room(): string {
    return this.chance(0.8) ? `room ${this.below(5_000)}` : this.chance(0.5) ? this.pick(NAMES) : this.text()
  }

  /** The query after a namespace's name, as clients of Socket.IO 2 send it. */
  legacyQuery(): string {
    const part = () =>
      this.chance(0.3) ? encodeURIComponent(this.pick(NAMES)) : this.pick(["a", "%", "%ff", "+", "é", "[]", "token"])
    return Array.from({ length: this.size(12) }, () => `${part()}=${part()}`).join(this.pick(["&", "&&", ";", "&=&"]))
  }

  /** The value of a header, as Node takes it. */
  header(): string {
    const word = () =>
      this.pick([
        "x-a",
        "https://good.example",
        "https://evil.example",
        "null",
        "*",
        "127.0.0.1",
        "::1",
        "[::1]:80",
        "é"
      ])
    return Array.from({ length: this.size(8) }, word).join(this.pick([", ", ",", " ", ";", ",,"]))
  }
}
