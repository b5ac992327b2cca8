/**
 * Messages, and their claims and answers, in any service of idempotency.
 */
import { Effect, Exit, Scope } from "effect"

import type { Claim, IdempotencyShape, Message } from "../../src/idempotency/Idempotency.ts"

/** Makes messages whose answers are kept for a time, in milliseconds. */
export const messagesOf =
  (window: number) =>
  (id: string, more: Partial<Message> = {}): Message => ({
    namespace: "/",
    event: "order",
    owner: undefined,
    id,
    client: "client",
    window,
    ...more
  })

/** Claims a message, in a scope of its own. */
export const claim = Effect.fnUntraced(function* (service: IdempotencyShape, message: Message) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const claimed = yield* Scope.provide(service.claim(message), scope)
  return { ...claimed, release: Scope.close(scope, Exit.void) }
})

/** Gives the answer to a claimed message. */
export const complete = (claimed: Claim, answer: string) =>
  claimed._tag === "Claimed" ? claimed.complete(answer) : Effect.die(new Error("answered already"))

/** Handles a message. */
export const handle = (service: IdempotencyShape, message: Message, answer: string) =>
  Effect.scoped(Effect.flatMap(service.claim(message), (claimed) => complete(claimed, answer)))

/** The answer to a message, if there is one. It leaves no claim. */
export const answerOf = (service: IdempotencyShape, message: Message) =>
  Effect.scoped(
    Effect.map(service.claim(message), (claimed) => (claimed._tag === "Answered" ? claimed.answer : undefined))
  )
