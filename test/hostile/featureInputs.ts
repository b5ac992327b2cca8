/**
 * Generated input for what a server has on request.
 */
import type { Generator } from "./generators.ts"

/** The acknowledgement id of what the server asks of clients. */
const CONTROL = 2_147_483_647

const word = (g: Generator): string => g.pick(["lobby", "a", "b", g.text(), "x".repeat(g.size(11))])

const number = (g: Generator): unknown =>
  g.pick([0, 1, 2, -1, 0.5, 10_000, 10_001, 2 ** 53, 1e308, null, "1", g.below(100)])

const event = (namespace: string, g: Generator, ...args: ReadonlyArray<unknown>): string =>
  `42${namespace},${g.chance(0.6) ? String(g.below(100)) : ""}${JSON.stringify(args)}`

/** A frame of RPC, more or less. */
export const rpcFrame = (g: Generator): unknown => {
  const id = g.pick<unknown>(["1", "2", String(g.below(20)), "", g.digits(100), g.below(9), null])
  const tag = g.pick(["Request", "Request", "Request", "Ack", "Interrupt", "Resume", "Ping", "Pong", "Eof", g.text()])
  return {
    _tag: tag,
    ...(g.chance(0.8) ? { id, tag: g.pick<unknown>(["Echo", "Echo", "Never", "Words", g.text(), 1]) } : {}),
    ...(g.chance(0.8) ? { requestId: id } : {}),
    ...(g.chance(0.8) ? { payload: g.chance(0.5) ? { text: g.text() } : g.value(3) } : {}),
    ...(g.chance(0.8) ? { headers: g.chance(0.7) ? [] : g.chance(0.5) ? [["a", g.text()]] : g.value(2) } : {}),
    ...(g.chance(0.3) ? { question: number(g), total: number(g), requests: g.value(3) } : {}),
    ...(g.chance(0.2) ? { traceId: g.text(), spanId: g.text(), sampled: g.value(0) } : {})
  }
}

export const rpc = (g: Generator): string => g.maybeMutated(event("/rpc", g, "rpc", rpcFrame(g)))

/** Events of resumable streams, of streams that may be there. */
export const stream = (g: Generator, id = "x"): string => {
  const of = g.pick(["long", "never", "none"])
  const known = g.chance(0.7) ? id : g.text()
  const kinds: ReadonlyArray<() => ReadonlyArray<unknown>> = [
    () => [of],
    () => [of, g.value(2)],
    () => [`${of}:read`, { stream: known, after: number(g), window: number(g) }],
    () => [`${of}:ack`, { stream: known, at: number(g) }],
    () => [`${of}:stop`, { stream: known }],
    () => [`${of}:find`, g.chance(0.5) ? word(g) : { key: word(g) }],
    () => [`${of}:${g.pick(["read", "ack", "stop", "find", "items"])}`, g.value(3)]
  ]
  return g.maybeMutated(event("/streams", g, ...g.pick(kinds)()))
}

/** Messages that are handled once, with ids that come again. */
export const once = (g: Generator): string => {
  const id = g.pick<unknown>([`abcdefghijklmnopqrs${g.below(10)}`, "short", "x".repeat(g.size(10)), 1, null])
  const more = g.chance(0.8) ? [{ id, ...(g.chance(0.2) ? { at: number(g) } : {}) }] : [g.value(2)]
  return g.maybeMutated(event("/streams", g, "once", g.chance(0.8) ? word(g) : g.value(2), ...more))
}

/** Events of handlers that run one or two at a time; now and then it leaves, and joins again. */
export const queued = (g: Generator): string =>
  g.chance(0.02)
    ? g.pick(["40/queued,", "41/queued,"])
    : event("/queued", g, g.pick(["one", "one", "two"]), g.chance(0.9) ? g.below(4) : g.value(2))

export const presence = (g: Generator): string =>
  g.chance(0.1)
    ? g.pick(["40/online,", "41/online,"])
    : g.maybeMutated(
        event("/online", g, g.pick(["enter", "leave", "status", g.text()]), g.chance(0.9) ? word(g) : g.value(2))
      )

/** Tries to log in at the Admin UI, and what it is asked for. */
export const admin = (g: Generator): string => {
  const auth = g.pick<unknown>([
    { username: word(g), password: word(g) },
    { username: "admin", password: g.value(1) },
    { sessionId: word(g) },
    g.value(2)
  ])
  const events = ["join", "leave", "emit", "_disconnect", g.text()]
  return g.chance(0.6)
    ? g.maybeMutated(`40/admin,${JSON.stringify(auth)}`)
    : event("/admin", g, g.pick(events), "/", word(g), g.value(1))
}

/** New credentials, and questions about those that hold. */
export const refresh = (g: Generator): string =>
  g.chance(0.2)
    ? event("/account", g, "whoami")
    : g.maybeMutated(
        event("/account", g, "auth", g.chance(0.7) ? { token: g.pick(["ada", "ada", "bob", ""]) } : g.value(2))
      )

/** A CONNECT with a private session id: of a session that is there, of one that is not, or of none. */
export const recovery = (g: Generator, pid: string, offset: string): string => {
  const value = (known: string) =>
    g.pick<unknown>([known, known, g.mutate(known), g.text(), number(g), "x".repeat(g.size(12))])
  return `40${JSON.stringify({ pid: value(pid), offset: value(offset), ...(g.chance(0.3) ? { token: "a" } : {}) })}`
}

/** Answers to what the server asks of clients: to move, above all. */
export const control = (g: Generator): string =>
  g.maybeMutated(
    g.chance(0.7)
      ? `43${g.pick(["", "/typed,"])}${CONTROL}${JSON.stringify(g.times(2, () => g.value(2)))}`
      : `42${CONTROL}${JSON.stringify([g.pick(["move", "echo", g.text()]), g.value(2)])}`
  )

/** The id of a session: of this one, of its server, of another server, or of none. */
export const sessionId = (g: Generator, sid: string): string =>
  encodeURIComponent(
    g
      .pick([
        sid.slice(0, 4) + "A".repeat(16),
        sid.slice(0, 4) + word(g).slice(0, 100),
        g.digits(20),
        `Z${g.below(1_000)}`.padEnd(20, "A"),
        word(g).slice(0, 100)
      ])
      .toWellFormed()
  )
