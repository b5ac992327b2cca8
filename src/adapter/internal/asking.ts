import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

import { ServersMissingError } from "../../SocketIoError.ts"
import type { Acknowledgement, BroadcastFlags, BroadcastPacket, Selection } from "../Adapter.ts"
import type { ClusterAnswer, Question } from "../ClusterMessage.ts"
import type { InMemoryAdapter } from "../InMemoryAdapter.ts"
import type { OpenQuestions } from "./openQuestions.ts"

/**
 * Asks all servers of the cluster, and puts their answers together. It fails if servers are
 * missing.
 */
export class Asking {
  private readonly questions: OpenQuestions
  private readonly own: InMemoryAdapter
  private readonly onIncomplete: (missing: number) => void

  /** `onIncomplete` is told of every question that some servers have not answered. */
  constructor(questions: OpenQuestions, own: InMemoryAdapter, onIncomplete: (missing: number) => void) {
    this.questions = questions
    this.own = own
    this.onIncomplete = onIncomplete
  }

  /** Asks all servers, this one first, and puts their answers together. */
  sum<A>(
    question: Question,
    own: () => A,
    add: (sum: A, answer: ClusterAnswer) => A
  ): Effect.Effect<A, ServersMissingError<A>> {
    return Effect.callback<A, ServersMissingError<A>>((resume) => {
      let sum = own()
      const forget = this.questions.ask(question, {
        onAnswer: (answer) => {
          sum = add(sum, answer)
        },
        onEnd: (missing) => {
          if (missing === 0) return resume(Effect.succeed(sum))
          this.onIncomplete(missing)
          resume(Effect.fail(new ServersMissingError({ missing, partial: sum })))
        }
      })
      return Effect.sync(forget)
    })
  }

  /** Asks the clients of this server and those of all others for acknowledgements. */
  acknowledgements(
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags
  ): Stream.Stream<Acknowledgement, ServersMissingError> {
    const { data, mayHaveBinary, trace } = packet
    return Stream.callback<Acknowledgement, ServersMissingError>(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            // One for this server, one for the others.
            let awaited = 2
            let absent = 0
            const settle = () => {
              if (--awaited > 0) return
              if (absent > 0) Queue.failCauseUnsafe(queue, Cause.fail(this.missing(absent)))
              else Queue.endUnsafe(queue)
            }
            const { cancel } = this.own.askUnsafe(packet, selection, flags, {
              onAck: (acknowledgement) => void Queue.offerUnsafe(queue, acknowledgement),
              onEnd: settle
            })
            const forget = this.questions.ask(
              { _tag: "Ask", data, mayHaveBinary, selection, flags, timeout: undefined, trace },
              {
                onAnswer: (answer) => {
                  if (answer._tag === "Acknowledged") Queue.offerUnsafe(queue, answer.acknowledgement)
                },
                onEnd: (missing) => {
                  absent = missing
                  settle()
                }
              }
            )
            return () => {
              cancel()
              forget()
            }
          }),
          Effect.sync
        ),
      // The number of recipients bounds the buffer.
      { bufferSize: Infinity }
    )
  }

  /** Asks the other servers for the arguments with which they answer. */
  answers(question: Question): Stream.Stream<ReadonlyArray<unknown>, ServersMissingError> {
    return Stream.callback<ReadonlyArray<unknown>, ServersMissingError>(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(() =>
            this.questions.ask(question, {
              onAnswer: (answer) => {
                if (answer._tag === "Answered" && answer.args !== undefined) Queue.offerUnsafe(queue, answer.args)
              },
              onEnd: (missing) => {
                if (missing > 0) Queue.failCauseUnsafe(queue, Cause.fail(this.missing(missing)))
                else Queue.endUnsafe(queue)
              }
            })
          ),
          Effect.sync
        ),
      // The number of servers bounds the buffer.
      { bufferSize: Infinity }
    )
  }

  private missing(missing: number): ServersMissingError {
    this.onIncomplete(missing)
    return new ServersMissingError({ missing, partial: undefined })
  }
}
