import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import { logText } from "../../internal/logText.ts"
import type * as Namespace from "../../Namespace.ts"
import type { BroadcastOperator } from "../../server/BroadcastOperator.ts"
import type { ServerSocket } from "../../server/ServerSocket.ts"
import type { SocketIoServerShape } from "../../server/SocketIoServer.ts"

type Operator = BroadcastOperator<Namespace.Untyped>

/**
 * A command on the sockets of a namespace, or on the members of a room: every socket has one of its
 * own.
 */
interface Command {
  readonly name: string
  /** The argument that names the room; the namespace is the first one. */
  readonly filterAt: number
  /** Acts, or refuses arguments that make no sense with `undefined`. */
  readonly act: (target: Operator, args: ReadonlyArray<unknown>) => Effect.Effect<void> | undefined
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== ""

const COMMANDS: ReadonlyArray<Command> = [
  {
    name: "emit",
    filterAt: 1,
    act: (target, [, , event, ...args]) => (isText(event) ? target.emit(event, ...args) : undefined)
  },
  { name: "join", filterAt: 2, act: (target, [, room]) => (isText(room) ? target.socketsJoin(room) : undefined) },
  { name: "leave", filterAt: 2, act: (target, [, room]) => (isText(room) ? target.socketsLeave(room) : undefined) },
  { name: "_disconnect", filterAt: 2, act: (target, [, close]) => target.disconnectSockets({ close: close === true }) }
]

/** The features by which the page offers these commands. */
export const COMMAND_FEATURES: ReadonlyArray<string> = [
  "EMIT",
  "JOIN",
  "LEAVE",
  "DISCONNECT",
  "MJOIN",
  "MLEAVE",
  "MDISCONNECT"
]

const run = Effect.fnUntraced(function* (
  server: SocketIoServerShape,
  admin: string,
  { act, filterAt, name }: Command,
  args: ReadonlyArray<unknown>
) {
  const [namespace] = args
  const filter = args[filterAt] ?? ""
  if (!isText(namespace) || typeof filter !== "string") return
  const { all } = yield* server.namespace(namespace)
  const action = act(filter === "" ? all : all.in(filter), args)
  if (action === undefined) return
  yield* Effect.logInfo("admin: command").pipe(
    Effect.annotateLogs({ command: name, on: logText(namespace), filter: logText(filter), admin })
  )
  yield* action
})

/** Lets an administrator act. Every command is logged. */
export const addCommands = (
  server: SocketIoServerShape,
  socket: ServerSocket<Namespace.Untyped>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.forEach(COMMANDS, (command) => socket.on(command.name, (...args) => run(server, socket.id, command, args)), {
    discard: true
  })
