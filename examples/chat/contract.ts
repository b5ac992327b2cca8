/**
 * What the chat's clients and its server say to each other. It imports no runtime: both sides share it. It
 * imports deeply, as a page's bundler does not get everything out of barrels.
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

/** The client says who it is, and learns who is there. */
export const Join = Event.make("join", {
  payload: { name: Schema.NonEmptyString.check(Schema.isMaxLength(40)) },
  ack: Schema.Array(User),
  error: NameTaken
})

/** The client says something. */
export const Say = Event.make("say", {
  payload: { text: Schema.NonEmptyString.check(Schema.isMaxLength(2_000)) }
})

/** Somebody has said something. */
export const Said = Event.make("said", { payload: ChatMessage })

export const Joined = Event.make("joined", { payload: User })

export const Left = Event.make("left", { payload: User })

export class Chat extends Namespace.make("/chat", {
  clientToServer: [Join, Say],
  serverToClient: [Said, Joined, Left]
}) {}
