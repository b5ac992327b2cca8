/**
 * The contract of the chat: the events that its clients and its server send. It imports no runtime,
 * and both sides share it. Its imports are deep, because a page's bundler keeps parts of a barrel
 * that nobody uses.
 */
import * as Schema from "effect/Schema"
import * as Event from "effect-socket.io/Event"
import * as Namespace from "effect-socket.io/Namespace"

export class User extends Schema.Class<User>("chat/User")({
  id: Schema.String,
  name: Schema.String
}) {}

export class ChatMessage extends Schema.Class<ChatMessage>("chat/ChatMessage")({
  from: User,
  text: Schema.String,
  at: Schema.Date
}) {}

export class NameTaken extends Schema.TaggedError<NameTaken>()("NameTaken", { name: Schema.String }) {
  override get message(): string {
    return `somebody is called ${this.name} already`
  }
}

/** The client gives its name, and gets the list of users. */
export const Join = Event.make("join", {
  payload: { name: Schema.NonEmptyString.check(Schema.isMaxLength(40)) },
  ack: Schema.Array(User),
  error: NameTaken
})

/** A message of the client. */
export const Say = Event.make("say", {
  payload: { text: Schema.NonEmptyString.check(Schema.isMaxLength(2_000)) }
})

/** A message of somebody, for everybody. */
export const Said = Event.make("said", { payload: ChatMessage })

export const Joined = Event.make("joined", { payload: User })

export const Left = Event.make("left", { payload: User })

export class Chat extends Namespace.make("/chat", {
  clientToServer: [Join, Say],
  serverToClient: [Said, Joined, Left]
}) {}
