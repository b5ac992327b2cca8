/**
 * Questions and answers: a client asks the server, the server asks one client up to three times,
 * and the server asks a room and counts the votes as they come.
 *
 *     npx node examples/acks.ts
 *
 * Two clients are a quorum. In two other terminals, in `npx node` (the second one as "Grace"):
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000/meeting", { auth: { name: "Ada" } })
 *     socket.on("still-there", (answer) => answer("yes"))
 *     socket.on("vote", (question, answer) => answer({ _tag: "Success", value: "yes" }))
 *     await socket.emitWithAck("check", "Grace")      // true
 *     await socket.emitWithAck("propose", "pizza?")   // { _tag: "Success", value: { yes: 2, no: 0, silent: 0 } }
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Result, Schedule, Schema, Stream } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"

class NoQuorum extends Schema.TaggedError<NoQuorum>()("NoQuorum", { present: Schema.Int, needed: Schema.Int }) {}
class Abstained extends Schema.TaggedError<Abstained>()("Abstained", {}) {}

const Tally = Schema.Struct({ yes: Schema.Int, no: Schema.Int, silent: Schema.Int })

class Meeting extends Namespace.make("/meeting", {
  auth: Schema.Struct({ name: Schema.String }),
  clientToServer: [
    // The client gets one tagged value: { _tag: "Success", value } or { _tag: "Failure", error }.
    Event.make("propose", { payload: Schema.String, ack: Tally, error: NoQuorum }),
    // Without an error the acknowledgement is the value itself.
    Event.make("check", { payload: Schema.String, ack: Schema.Boolean })
  ],
  serverToClient: [
    Event.make("still-there", { ack: Schema.String }),
    Event.make("vote", { payload: Schema.String, ack: Schema.Literals(["yes", "no"]), error: Abstained })
  ]
}) {}

const NEEDED = 2

const MeetingLive = SocketIoServer.layerNamespace(
  Meeting,
  Effect.fnUntraced(function* (socket) {
    const meeting = yield* SocketIoServer.namespace(Meeting)
    const log = (message: string) =>
      Effect.logInfo(message).pipe(Effect.annotateLogs({ sid: socket.id, name: socket.auth.name }))

    /** Asks one client, up to three times: an answer may be late, or may not fit the contract. */
    const isThere = (who: string) =>
      Effect.gen(function* () {
        const found = (yield* meeting.sockets).find(({ auth }) => auth.name === who)
        if (found === undefined) return false
        return yield* found.emitWithAck("still-there").pipe(
          Effect.timeout("500 millis"),
          Effect.tapError((error) => log(`${who} did not answer: ${error._tag}`)),
          Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 2 }))),
          Effect.as(true),
          Effect.orElseSucceed(() => false)
        )
      })

    return Meeting.of({
      check: isThere,
      propose: Effect.fnUntraced(function* (question) {
        const present = (yield* meeting.sockets).length
        if (present < NEEDED) return yield* new NoQuorum({ present, needed: NEEDED })
        // `sockets` are those of this server, and `local` asks these alone. Answers come one by one, for two
        // seconds. Later answers do not count.
        const votes = yield* meeting.all.local.emitWithAck("vote", question).pipe(
          Stream.tap(({ response, sid }) =>
            log(`${sid} votes ${Result.isSuccess(response) ? response.success : "not"}`)
          ),
          Stream.interruptWhen(Effect.sleep("2 seconds")),
          Stream.runCollect
        )
        const count = (vote: string) =>
          votes.filter(({ response }) => Result.isSuccess(response) && response.success === vote).length
        const [yes, no] = [count("yes"), count("no")]
        return { yes, no, silent: present - yes - no }
      })
    })
  })
)

const Main = NodeSocketIoServer.serve(MeetingLive, { port: Number(process.env.PORT ?? 3000) })

NodeRuntime.runMain(Layer.launch(Main))
