/**
 * Every operation of the official API that other servers hear of, with the message that it is.
 */
import type { ClusterMessage, Question } from "../../../src/adapter/ClusterMessage.ts"

type Plain = { readonly rooms?: Array<string>; readonly except?: Array<string> }

const selection = ({ except = [], rooms = [] }: Plain = {}) => ({ rooms, except })
const flags = { volatile: false, compress: true }

const broadcast = (
  data: ReadonlyArray<unknown>,
  to?: Plain,
  set: object = {},
  mayHaveBinary = false
): ClusterMessage => ({
  _tag: "Broadcast",
  data: data as never,
  mayHaveBinary,
  selection: selection(to),
  flags: { ...flags, ...set }
})

const question = (question: Question): ClusterMessage => ({ _tag: "Question", requestId: "", question })

const ask = (data: ReadonlyArray<unknown>, to: Plain, timeout: number, mayHaveBinary = false): ClusterMessage =>
  question({
    _tag: "Ask",
    data: data as never,
    mayHaveBinary,
    selection: selection(to),
    flags,
    timeout
  })

export interface Operation {
  readonly name: string
  readonly run: (io: any) => unknown
  readonly message: ClusterMessage
  /** The parts that ours does not write in the same bytes: numbers of rooms, and a time limit that nobody uses. */
  readonly differs?: true
}

const bytes = Buffer.from([1, 2, 3])

export const operations: ReadonlyArray<Operation> = [
  { name: "emit", run: (io) => io.emit("hi", 1, "two", null), message: broadcast(["hi", 1, "two", null]) },
  { name: "emit nothing", run: (io) => io.emit("hi"), message: broadcast(["hi"]) },
  { name: "emit to a room", run: (io) => io.to("r").emit("hi"), message: broadcast(["hi"], { rooms: ["r"] }) },
  {
    name: "emit to a room named as an id",
    run: (io) => io.to("aaaaaaaaaabbbbbbbbbb").emit("hi"),
    message: broadcast(["hi"], { rooms: ["aaaaaaaaaabbbbbbbbbb"] })
  },
  {
    name: "emit to rooms except one",
    run: (io) =>
      io
        .to("r")
        .to("ü")
        .except("x")
        .emit("hi", { a: [1.5, true, { b: "ö" }] }),
    message: broadcast(["hi", { a: [1.5, true, { b: "ö" }] }], { rooms: ["r", "ü"], except: ["x"] })
  },
  {
    name: "emit to rooms that are numbers",
    run: (io) => io.to(42).to(7).except(1.5).emit("hi"),
    message: broadcast(["hi"], { rooms: ["42", "7"], except: ["1.5"] }),
    differs: true
  },
  { name: "volatile", run: (io) => io.volatile.emit("hi"), message: broadcast(["hi"], {}, { volatile: true }) },
  {
    name: "without compression",
    run: (io) => io.compress(false).emit("hi"),
    message: broadcast(["hi"], {}, { compress: false })
  },
  { name: "with compression", run: (io) => io.compress(true).emit("hi"), message: broadcast(["hi"]), differs: true },
  {
    name: "a time limit without an acknowledgement",
    run: (io) => io.timeout(5).emit("hi"),
    message: broadcast(["hi"]),
    differs: true
  },
  { name: "bytes", run: (io) => io.emit("hi", bytes), message: broadcast(["hi", bytes], {}, {}, true) },
  {
    name: "bytes within",
    run: (io) => io.to("r").emit("hi", { a: [bytes] }, 2 ** 40, -(2 ** 40)),
    message: broadcast(["hi", { a: [bytes] }, 2 ** 40, -(2 ** 40)], { rooms: ["r"] }, {}, true)
  },
  {
    name: "emit with acknowledgement",
    run: (io) =>
      io
        .to("r")
        .timeout(50)
        .emit("q", 1, () => undefined),
    message: ask(["q", 1], { rooms: ["r"] }, 50)
  },
  {
    name: "bytes with acknowledgement",
    run: (io) => io.timeout(50).emit("q", bytes, () => undefined),
    message: ask(["q", bytes], {}, 50, true)
  },
  {
    name: "socketsJoin",
    run: (io) => io.in("r").except("x").socketsJoin(["a", "b"]),
    message: { _tag: "Join", selection: selection({ rooms: ["r"], except: ["x"] }), rooms: ["a", "b"] }
  },
  {
    name: "socketsLeave",
    run: (io) => io.socketsLeave("a"),
    message: { _tag: "Leave", selection: selection(), rooms: ["a"] }
  },
  {
    name: "socketsJoin of a number",
    run: (io) => io.socketsJoin([4]),
    message: { _tag: "Join", selection: selection(), rooms: ["4"] },
    differs: true
  },
  {
    name: "disconnectSockets",
    run: (io) => io.in("r").disconnectSockets(),
    message: { _tag: "Disconnect", selection: selection({ rooms: ["r"] }), close: false }
  },
  {
    name: "disconnectSockets and close",
    run: (io) => io.disconnectSockets(true),
    message: { _tag: "Disconnect", selection: selection(), close: true }
  },
  {
    name: "fetchSockets",
    // No answer comes.
    run: (io) =>
      io
        .in("r")
        .fetchSockets()
        .catch(() => undefined),
    message: question({ _tag: "Fetch", selection: selection({ rooms: ["r"] }) })
  },
  {
    name: "serverSideEmit",
    run: (io) => io.serverSideEmit("note", { a: 1 }),
    message: { _tag: "ServerEvent", data: ["note", { a: 1 }] }
  },
  {
    name: "serverSideEmit with an answer",
    run: (io) => io.serverSideEmit("ask", "x", () => undefined),
    message: question({ _tag: "ServerEvent", data: ["ask", "x"] })
  }
]

/** A message with the id that an official server has chosen. */
export const withId = (message: ClusterMessage, requestId: string): ClusterMessage =>
  message._tag === "Question" ? { ...message, requestId } : message
