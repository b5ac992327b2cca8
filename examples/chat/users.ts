/**
 * The users that are in the chat, each with a name of its own.
 */
import { Context, Effect, Layer } from "effect"

import { NameTaken, User } from "./contract.ts"

export class Users extends Context.Service<
  Users,
  {
    /** Adds a user; fails if the name is taken. */
    readonly add: (id: string, name: string) => Effect.Effect<User, NameTaken>
    readonly remove: (id: string) => Effect.Effect<void>
    readonly get: (id: string) => Effect.Effect<User | undefined>
  }
>()("chat/Users") {
  static readonly layer = Layer.sync(Users, () => {
    const users = new Map<string, User>()
    return {
      add: (id, name) =>
        Effect.suspend(() => {
          for (const user of users.values()) {
            if (user.name === name && user.id !== id) return Effect.fail(new NameTaken({ name }))
          }
          const user = new User({ id, name })
          users.set(id, user)
          return Effect.succeed(user)
        }),
      remove: (id) => Effect.sync(() => void users.delete(id)),
      get: (id) => Effect.sync(() => users.get(id))
    }
  })
}
