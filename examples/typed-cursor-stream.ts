/**
 * A stream of cursor positions, typed with Schema, from one terminal to the others. Positions go
 * out at a bounded rate. A position that cannot leave at once is dropped, because the next one
 * replaces it. They come in as a `Stream`, also across reconnections.
 *
 *     npx node examples/typed-cursor-stream.ts            # the server
 *     npx node examples/typed-cursor-stream.ts Ada        # in another terminal: draws, and shows the others' cursors
 *     npx node examples/typed-cursor-stream.ts Grace      # in a third one
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect, Layer, Schedule, Schema, Stream } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { SocketIoClient } from "effect-socket.io/client"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"

const Coordinate = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const Position = Schema.Struct({ x: Coordinate, y: Coordinate })
type Position = typeof Position.Type

class Board extends Namespace.make("/board", {
  auth: Schema.Struct({ name: Schema.NonEmptyString.check(Schema.isMaxLength(12)) }),
  clientToServer: [Event.make("move", { payload: Position })],
  serverToClient: [Event.make("moved", { payload: { name: Schema.String, to: Position } })]
}) {}

const BoardLive = SocketIoServer.layerNamespace(Board, (socket) =>
  Effect.succeed(
    Board.of({
      // A position outside of the board never gets here. Slow clients miss this one.
      move: (to) => socket.broadcast.volatile.emit("moved", { name: socket.auth.name, to })
    })
  )
)

/** A hand that draws. It gives far more positions than anybody needs. */
const hand = (name: string) =>
  Stream.fromSchedule(Schedule.spaced("2 millis")).pipe(
    Stream.mapEffect(() => Clock.currentTimeMillis),
    Stream.map((now): Position => {
      const angle = now / 1_000 + name.length
      return { x: 0.5 + 0.45 * Math.sin(2 * angle), y: 0.5 + 0.45 * Math.sin(3 * angle) }
    })
  )

interface Move {
  readonly name: string
  readonly to: Position
  /** The distance from the position before. */
  readonly way: number
}

const withWay = Stream.mapAccum(
  () => new Map<string, Position>(),
  (before, { name, to }: { readonly name: string; readonly to: Position }) => {
    const from = before.get(name) ?? to
    before.set(name, to)
    const move: Move = { name, to, way: Math.hypot(to.x - from.x, to.y - from.y) }
    return [before, [move]] as const
  }
)

/** The moves of a hand in a while, in one line. */
const line = (name: string, moves: ReadonlyArray<Move>): string => {
  const { x, y } = moves.at(-1)!.to
  const track = Array.from({ length: 30 }, (_, i) => (i === Math.round(x * 29) ? "●" : "─")).join("")
  const way = moves.reduce((sum, move) => sum + move.way, 0)
  return `${name.padEnd(12)} ${track} at ${x.toFixed(2)} ${y.toFixed(2)}, ${moves.length} moves, ${way.toFixed(2)} wide`
}

const draw = (name: string) =>
  Effect.gen(function* () {
    const board = yield* SocketIoClient.connect(Board, { auth: { name } })
    yield* Console.log(`${name} draws`)
    // At most twenty positions a second leave. The others are left out.
    const drawing = hand(name).pipe(
      Stream.throttle({ cost: (positions) => positions.length, units: 1, duration: "50 millis", strategy: "enforce" }),
      Stream.runForEach((to) => board.volatile.emit("move", to))
    )
    const watching = board.stream("moved").pipe(
      withWay,
      Stream.groupedWithin(10_000, "500 millis"),
      Stream.map((moves) => Map.groupBy(moves, (move) => move.name)),
      Stream.runForEach((hands) =>
        Effect.forEach(hands, ([name, moves]) => Console.log(line(name, moves)), { discard: true })
      )
    )
    yield* Effect.all([drawing, watching], { concurrency: "unbounded", discard: true })
  }).pipe(Effect.scoped, Effect.provide(SocketIoClient.layer({ url: process.env.SERVER ?? "http://localhost:3000" })))

const serve = BoardLive.pipe(
  Layer.provide(NodeSocketIoServer.layer({ port: Number(process.env.PORT ?? 3000) })),
  Layer.launch
)

const name = process.argv[2]
const main: Effect.Effect<unknown, unknown> = name === undefined ? serve : draw(name)

NodeRuntime.runMain(main)
